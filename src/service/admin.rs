//! The platform's own staff.

mod cron;
mod grant;
mod job;
mod owner;
mod system;
mod tenant_admin;

use chrono::{DateTime, Utc};
pub use owner::{Ensured, ensure_owner};
use tonic::service::Routes;

use super::Parts;
use crate::{
    auth::{Actor, Caller, Staff, TenantScope},
    id::TenantId,
    store::Store,
    wire::admin::v1::{
        cron_service_server::CronServiceServer, grant_service_server::GrantServiceServer,
        job_service_server::JobServiceServer, system_service_server::SystemServiceServer,
        tenant_admin_service_server::TenantAdminServiceServer,
    },
};

/// Adds the services of this area.
pub fn add(routes: Routes, parts: &Parts) -> Routes {
    over(routes, &parts.store, parts.started)
}

/// Adds them over a database, in a process that `started` then: they need no other part.
pub fn over(routes: Routes, store: &Store, started: DateTime<Utc>) -> Routes {
    routes
        .add_service(SystemServiceServer::new(system::System::new(store.clone(), started)))
        .add_service(TenantAdminServiceServer::new(tenant_admin::TenantAdmin::new(store.clone())))
        .add_service(GrantServiceServer::new(grant::Grants::new(store.clone())))
        .add_service(JobServiceServer::new(job::Jobs::new(store.clone())))
        .add_service(CronServiceServer::new(cron::Schedules::new(store.clone())))
}

/// The right of staff to work on `tenant`, in their own name.
fn scope(caller: &Caller, staff: Staff, tenant: TenantId) -> TenantScope {
    caller.of_request(TenantScope::of_platform(tenant).acting_as(Actor::User(staff.user())))
}
