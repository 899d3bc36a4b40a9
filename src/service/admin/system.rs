//! SystemService: what runs.

use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    store::Store,
    wire::{
        self,
        admin::v1::{GetInfoRequest, SystemInfo, system_service_server::SystemService},
    },
};

/// Serves facts about the system.
pub struct System {
    store: Store,
    started: DateTime<Utc>,
}

impl System {
    pub fn new(store: Store, started: DateTime<Utc>) -> Self {
        Self { store, started }
    }
}

#[tonic::async_trait]
impl SystemService for System {
    async fn get_info(&self, request: Request<GetInfoRequest>) -> Result<Response<SystemInfo>, Status> {
        Caller::of(&request)?.staff()?;
        let db = self.store.system();
        let pending = self.store.pending_migrations().await?;
        Ok(Response::new(SystemInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: wire::admin::database(self.store.backend()).into(),
            pending_migrations: i32::try_from(pending).unwrap_or(i32::MAX),
            tenant_count: i64::try_from(db.tenant_count().await?).unwrap_or(i64::MAX),
            user_count: i64::try_from(db.users().count().await?).unwrap_or(i64::MAX),
            server_time: Some(wire::time(self.store.env().now())),
            start_time: Some(wire::time(self.started)),
        }))
    }
}
