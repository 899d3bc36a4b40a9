//! Access that staff gave a tenant.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use crate::{
    domain::grant::GrantPeriod,
    error::{Error, Result},
    id::{GrantId, UserId},
    store::{
        TenantDb, Tx,
        entity::access_grant::{Column, Entity},
        scope::TenantOwned,
    },
};

pub use crate::store::entity::access_grant::Model as Grant;

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// A grant to be.
#[derive(Clone, Debug)]
pub struct NewGrant {
    pub id: GrantId,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub reason: String,
    pub creator: UserId,
}

/// The grants of the scope's tenant.
pub struct Grants<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn grants(&self) -> Grants<'_, C> {
        Grants(self)
    }
}

impl<C: ConnectionTrait> Grants<'_, C> {
    /// Grants, the newest first, those that are over too.
    pub async fn list(&self, before: Option<GrantId>, limit: u64) -> Result<Vec<Grant>> {
        let mut rows = self.0.find::<Entity>().order_by_desc(Column::Id).limit(limit);
        if let Some(before) = before {
            rows = rows.filter(Column::Id.lt(before));
        }
        Ok(rows.all(self.0.conn()).await?)
    }

    /// The times of those that may hold now or later.
    pub async fn current(&self, now: DateTime<Utc>) -> Result<Vec<GrantPeriod>> {
        let rows = self
            .0
            .find::<Entity>()
            .filter(Column::RevokedAt.is_null())
            .filter(Column::EndsAt.gt(now))
            .all(self.0.conn());
        Ok(rows.await?.iter().map(Grant::period).collect())
    }
}

impl Grants<'_, Tx> {
    /// Reads a grant and keeps others from changing it until the transaction ends.
    pub async fn lock(&self, id: GrantId) -> Result<Grant> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).lock_exclusive().one(self.0.conn());
        found.await?.ok_or_else(|| Error::not_found("grant", id))
    }

    pub async fn add(&self, new: NewGrant) -> Result<Grant> {
        let now = self.0.env().now();
        let grant = Grant {
            tenant_id: self.0.tenant(),
            id: new.id,
            starts_at: new.starts_at,
            ends_at: new.ends_at,
            reason: new.reason,
            creator_id: new.creator,
            revoked_at: None,
            revoker_id: None,
            revoke_reason: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let row = grant.clone().into_active_model();
        let added = self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await;
        match added.map_err(Error::from) {
            Err(Error::Exists { .. }) => Err(Error::Exists { what: "a grant with that id" }),
            other => other.map(|_| grant),
        }
    }

    pub async fn revoke(&self, seen: Grant, by: UserId, reason: String) -> Result<Grant> {
        let now = self.0.env().now();
        let grant = Grant {
            revoked_at: Some(now),
            revoker_id: Some(by),
            revoke_reason: Some(reason),
            version: seen.version + 1,
            update_time: now,
            ..seen
        };
        let done = self
            .0
            .update::<Entity>()
            .col_expr(Column::RevokedAt, Expr::value(grant.revoked_at))
            .col_expr(Column::RevokerId, Expr::value(grant.revoker_id))
            .col_expr(Column::RevokeReason, Expr::value(grant.revoke_reason.clone()))
            .col_expr(Column::Version, Expr::value(grant.version))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .filter(Column::Id.eq(grant.id))
            .filter(Column::Version.eq(grant.version - 1))
            .exec(self.0.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::stale()) } else { Ok(grant) }
    }
}
