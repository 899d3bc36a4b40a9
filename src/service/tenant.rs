//! Signing in, the tenant, its members and API keys.

mod api_key;
mod auth;
mod event;
mod join;
mod member;
mod session;
mod settings;
mod sync;
mod tenants;

use chrono::TimeDelta;
use tonic::service::Routes;

use super::Parts;
use crate::{
    auth::password::Passwords,
    store::Store,
    wire::tenant::v1::{
        api_key_service_server::ApiKeyServiceServer, auth_service_server::AuthServiceServer,
        event_service_server::EventServiceServer, member_service_server::MemberServiceServer,
        settings_service_server::SettingsServiceServer, sync_service_server::SyncServiceServer,
        tenant_service_server::TenantServiceServer,
    },
};

/// Adds the services of this area.
pub fn add(routes: Routes, parts: &Parts) -> Routes {
    people(routes, &parts.store, &parts.passwords, parts.session)
        .add_service(EventServiceServer::new(event::Events::new(parts.store.clone(), parts.hub.clone())))
        .add_service(SettingsServiceServer::new(settings::Settings::new(parts.store.clone())))
        .add_service(SyncServiceServer::new(sync::Sync::new(parts.store.clone())))
}

/// Adds those that need no more than the database: signing in, the tenant, its members and API keys.
/// Sessions last for `session`.
pub fn people(routes: Routes, store: &Store, passwords: &Passwords, session: TimeDelta) -> Routes {
    routes
        .add_service(AuthServiceServer::new(auth::Auth::new(store.clone(), passwords.clone(), session)))
        .add_service(TenantServiceServer::new(tenants::Tenants::new(store.clone())))
        .add_service(MemberServiceServer::new(member::Members::new(store.clone())))
        .add_service(ApiKeyServiceServer::new(api_key::ApiKeys::new(store.clone())))
}
