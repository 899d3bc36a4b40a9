//! The rpc handlers: five beats each. Who is calling · what do they want · decide and store · tell · answer.

pub mod admin;
pub mod billing;
pub mod conversation;
pub mod tenant;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tonic::service::Routes;

use crate::{
    auth::{TenantScope, password::Passwords, seal::Keyring},
    channels::Http,
    events::Hub,
    store::Store,
};

/// What handlers are made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    /// Carries live events.
    pub hub: Hub,
    pub passwords: Passwords,
    /// Seals and opens the secrets of channels.
    pub keys: Keyring,
    /// Calls messengers.
    pub http: Http,
    /// How long a session lasts.
    pub session: TimeDelta,
    /// Where clients and messengers reach this server: `https://chat.example.com`.
    pub public_url: Arc<str>,
    /// When this process started.
    pub started: DateTime<Utc>,
}

/// Every service of ours.
pub fn routes(parts: &Parts) -> Routes {
    let routes = tenant::add(Routes::default(), parts);
    let routes = billing::add(routes, parts);
    let routes = conversation::add(routes, parts);
    admin::add(routes, parts)
}

/// The scope of a command: one that only checks (`validate_only`) is recorded nowhere.
fn recorded_unless(validate_only: bool, scope: TenantScope) -> TenantScope {
    if validate_only { scope.audited(None).once(None) } else { scope }
}
