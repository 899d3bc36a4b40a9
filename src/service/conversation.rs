//! The inbox, what the AI drafts, and what it knows.

mod catalog;
mod demand;
mod escalation;
mod knowledge;
mod policy;
mod suggestion;

use tonic::service::Routes;

use super::Parts;
use crate::wire::conversation::v1::{
    catalog_service_server::CatalogServiceServer, escalation_service_server::EscalationServiceServer,
    knowledge_service_server::KnowledgeServiceServer, policy_service_server::PolicyServiceServer,
    suggestion_service_server::SuggestionServiceServer,
};

/// Adds the services of this area.
pub fn add(routes: Routes, parts: &Parts) -> Routes {
    routes
        .add_service(SuggestionServiceServer::new(suggestion::Suggestions::new(parts.store.clone())))
        .add_service(EscalationServiceServer::new(escalation::Escalations::new(parts.store.clone())))
        .add_service(PolicyServiceServer::new(policy::Policies::new(parts.store.clone())))
        .add_service(KnowledgeServiceServer::new(knowledge::Documents::new(parts.store.clone())))
        .add_service(CatalogServiceServer::new(catalog::Products::new(parts.store.clone())))
}
