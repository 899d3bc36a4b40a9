//! Credentials of a tenant's machines.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};

use crate::{
    domain::access::Permission,
    error::{Error, Result},
    id::{ApiKeyId, UserId},
    store::{
        SystemDb, TenantDb, Tx,
        entity::api_key::{Column, Entity},
        scope::TenantOwned,
    },
};

pub use crate::store::entity::api_key::{Model as ApiKey, Permissions};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// A key to be.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// SHA-256 of the secret.
    pub token_hash: [u8; 32],
    /// What may be shown of the secret: its beginning and its end.
    pub shown: (String, String),
    pub permissions: Vec<Permission>,
    pub creator: UserId,
    /// `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The keys of the scope's tenant.
pub struct ApiKeys<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn api_keys(&self) -> ApiKeys<'_, C> {
        ApiKeys(self)
    }
}

impl<C: ConnectionTrait> ApiKeys<'_, C> {
    /// Keys, the newest first, those that no longer work too.
    pub async fn list(&self, before: Option<ApiKeyId>, limit: u64) -> Result<Vec<ApiKey>> {
        let mut rows = self.0.find::<Entity>().order_by_desc(Column::Id).limit(limit);
        if let Some(before) = before {
            rows = rows.filter(Column::Id.lt(before));
        }
        Ok(rows.all(self.0.conn()).await?)
    }
}

impl ApiKeys<'_, Tx> {
    /// Reads a key and keeps others from changing it until the transaction ends.
    pub async fn lock(&self, id: ApiKeyId) -> Result<ApiKey> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).lock_exclusive().one(self.0.conn());
        found.await?.ok_or_else(|| Error::not_found("API key", id))
    }

    pub async fn add(&self, new: NewApiKey) -> Result<ApiKey> {
        let now = self.0.env().now();
        let key = ApiKey {
            tenant_id: self.0.tenant(),
            id: new.id,
            name: new.name,
            token_hash: new.token_hash.to_vec(),
            prefix: new.shown.0,
            last4: new.shown.1,
            permissions: Permissions(new.permissions),
            creator_id: new.creator,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let row = key.clone().into_active_model();
        let added = self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await;
        match added.map_err(Error::from) {
            Err(Error::Exists { .. }) => Err(Error::Exists { what: "an API key with that id" }),
            other => other.map(|_| key),
        }
    }

    pub async fn revoke(&self, seen: ApiKey) -> Result<ApiKey> {
        let now = self.0.env().now();
        let key = ApiKey { revoked_at: Some(now), update_time: now, version: seen.version + 1, ..seen };
        let done = self
            .0
            .update::<Entity>()
            .col_expr(Column::RevokedAt, Expr::value(key.revoked_at))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .col_expr(Column::Version, Expr::value(key.version))
            .filter(Column::Id.eq(key.id))
            .filter(Column::Version.eq(seen.version))
            .exec(self.0.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::stale()) } else { Ok(key) }
    }
}

impl SystemDb {
    /// Notes that a key was used. Callers ask at most once a minute.
    pub async fn touch_api_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<()> {
        self.transaction(async |db| {
            Entity::update_many()
                .col_expr(Column::LastUsedAt, Expr::value(at))
                .filter(Column::Id.eq(id))
                .exec(db.conn())
                .await?;
            Ok(())
        })
        .await
    }
}
