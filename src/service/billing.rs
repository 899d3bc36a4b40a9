//! Plans and subscriptions.

mod plan;
mod subscription;

use tonic::service::Routes;

use super::Parts;
use crate::wire::billing::v1::{
    plan_service_server::PlanServiceServer, subscription_service_server::SubscriptionServiceServer,
};

/// Adds the services of this area.
pub fn add(routes: Routes, parts: &Parts) -> Routes {
    routes
        .add_service(PlanServiceServer::new(plan::Plans::new(parts.store.clone())))
        .add_service(SubscriptionServiceServer::new(subscription::Subscriptions::new(parts.store.clone())))
}
