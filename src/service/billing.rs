//! Plans and subscriptions.

mod plan;
mod subscription;

use tonic::service::Routes;

use super::Parts;
use crate::{
    store::Store,
    wire::billing::v1::{
        plan_service_server::PlanServiceServer, subscription_service_server::SubscriptionServiceServer,
    },
};

/// Adds the services of this area.
pub fn add(routes: Routes, parts: &Parts) -> Routes {
    over(routes, &parts.store)
}

/// Adds them over a database: they need no other part.
pub fn over(routes: Routes, store: &Store) -> Routes {
    routes
        .add_service(PlanServiceServer::new(plan::Plans::new(store.clone())))
        .add_service(SubscriptionServiceServer::new(subscription::Subscriptions::new(store.clone())))
}
