//! Channels, customers, conversations, messages, and the webhooks that bring them; what the AI drafts, and
//! what it knows.

pub(in crate::service) mod catalog;
mod channel;
pub(in crate::service) mod customer;
mod escalation;
mod exposure;
mod ingress;
pub(in crate::service) mod knowledge;
mod message;
mod policy;
pub mod precondition;
mod shared;
mod suggestion;
mod take;
mod thread;

use tonic::service::Routes;

pub use ingress::{Ingress, Received};

use super::Parts;
use crate::wire::conversation::v1::{
    catalog_service_server::CatalogServiceServer, channel_service_server::ChannelServiceServer,
    conversation_service_server::ConversationServiceServer, customer_service_server::CustomerServiceServer,
    escalation_service_server::EscalationServiceServer, knowledge_service_server::KnowledgeServiceServer,
    message_service_server::MessageServiceServer, policy_service_server::PolicyServiceServer,
    suggestion_service_server::SuggestionServiceServer,
};

/// Adds the services of this area.
pub fn add(routes: Routes, parts: &Parts) -> Routes {
    let Parts { store, keys, http, public_url, .. } = parts;
    routes
        .add_service(ChannelServiceServer::new(channel::Channels::new(
            store.clone(),
            keys.clone(),
            http.clone(),
            public_url.clone(),
        )))
        .add_service(CustomerServiceServer::new(customer::Customers::new(store.clone())))
        .add_service(ConversationServiceServer::new(thread::Conversations::new(store.clone())))
        .add_service(MessageServiceServer::new(message::Messages::new(store.clone())))
        .add_service(SuggestionServiceServer::new(suggestion::Suggestions::new(store.clone())))
        .add_service(EscalationServiceServer::new(escalation::Escalations::new(store.clone())))
        .add_service(PolicyServiceServer::new(policy::Policies::new(store.clone())))
        .add_service(KnowledgeServiceServer::new(knowledge::Documents::new(store.clone())))
        .add_service(CatalogServiceServer::new(catalog::Products::new(store.clone())))
}
