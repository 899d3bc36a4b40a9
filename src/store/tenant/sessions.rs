//! Sessions of people, across tenants.
//! Unscoped because: a session belongs to a person, and changes its tenant by joining one.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr};

use crate::{
    error::{Error, Result},
    id::{SessionId, TenantId, UserId},
    store::{
        SystemDb, TenantDb, Tx,
        entity::session::{Column, Entity},
    },
};

pub use crate::store::entity::session::Model as Session;

/// The sessions.
pub struct Sessions<'a, C>(&'a SystemDb<C>);

impl<C: ConnectionTrait> SystemDb<C> {
    pub fn sessions(&self) -> Sessions<'_, C> {
        Sessions(self)
    }
}

impl Sessions<'_, Tx> {
    /// Opens a session that lasts for `lifetime`.
    pub async fn add(
        &self,
        user: UserId,
        tenant: Option<TenantId>,
        token_hash: [u8; 32],
        lifetime: TimeDelta,
    ) -> Result<Session> {
        let now = self.0.env().now();
        let session = Session {
            id: self.0.env().id(),
            user_id: user,
            token_hash: token_hash.to_vec(),
            tenant_id: tenant,
            create_time: now,
            expires_at: now + lifetime,
            last_seen_at: now,
            revoked_at: None,
        };
        Entity::insert(session.clone().into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(session)
    }

    /// Ends a session. Ending it again changes nothing.
    pub async fn revoke(&self, id: SessionId) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::RevokedAt, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(id))
            .filter(Column::RevokedAt.is_null())
            .exec(self.0.conn())
            .await?;
        Ok(())
    }
}

impl SystemDb {
    /// Notes that a session was used. Callers ask at most once a minute.
    pub async fn touch_session(&self, id: SessionId, at: DateTime<Utc>) -> Result<()> {
        self.transaction(async |db| {
            Entity::update_many()
                .col_expr(Column::LastSeenAt, Expr::value(at))
                .filter(Column::Id.eq(id))
                .filter(Column::LastSeenAt.lt(at))
                .exec(db.conn())
                .await?;
            Ok(())
        })
        .await
    }
}

impl TenantDb<Tx> {
    /// Has a member's session work in this tenant.
    pub async fn bind_session(&self, id: SessionId, user: UserId) -> Result<()> {
        let done = Entity::update_many()
            .col_expr(Column::TenantId, Expr::value(self.tenant()))
            .filter(Column::Id.eq(id))
            .filter(Column::UserId.eq(user))
            .exec(self.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::Unauthenticated) } else { Ok(()) }
    }
}
