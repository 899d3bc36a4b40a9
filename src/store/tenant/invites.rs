//! Invitations to join a tenant. The database keeps open ones apart: one for an address.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};

use crate::{
    domain::{
        access::Role,
        membership::{INVITE, InviteState, email_key},
    },
    error::{Error, Result},
    id::{InviteId, UserId},
    store::{
        SystemDb, TenantDb, Tx,
        entity::invite::{Column, Entity},
        scope::TenantOwned,
    },
};

pub use crate::store::entity::invite::Model as Invite;

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// An invitation to be.
#[derive(Clone, Debug)]
pub struct NewInvite {
    pub email: String,
    pub role: Role,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    pub inviter: UserId,
}

/// The invitations of the scope's tenant.
pub struct Invites<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn invites(&self) -> Invites<'_, C> {
        Invites(self)
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    /// The invitation with that token, of whichever tenant and in whichever state.
    pub async fn invite_by_hash(&self, token_hash: &[u8; 32]) -> Result<Option<Invite>> {
        let found = Entity::find().filter(Column::TokenHash.eq(token_hash.to_vec())).one(self.conn());
        Ok(found.await?)
    }
}

impl<C: ConnectionTrait> Invites<'_, C> {
    /// Invitations that can still be used, the newest first.
    pub async fn open(
        &self,
        now: DateTime<Utc>,
        before: Option<InviteId>,
        limit: u64,
    ) -> Result<Vec<Invite>> {
        let mut rows = self
            .0
            .find::<Entity>()
            .filter(Column::State.eq(InviteState::Open))
            .filter(Column::ExpiresAt.gt(now))
            .order_by_desc(Column::Id)
            .limit(limit);
        if let Some(before) = before {
            rows = rows.filter(Column::Id.lt(before));
        }
        Ok(rows.all(self.0.conn()).await?)
    }

    pub async fn open_for(&self, email: &str, now: DateTime<Utc>) -> Result<Option<Invite>> {
        let found = self
            .0
            .find::<Entity>()
            .filter(Column::EmailKey.eq(email_key(email)))
            .filter(Column::State.eq(InviteState::Open))
            .filter(Column::ExpiresAt.gt(now))
            .one(self.0.conn());
        Ok(found.await?)
    }
}

impl Invites<'_, Tx> {
    /// Adds an invitation; fails with `Exists` while another one for the address can still be used.
    pub async fn add(&self, new: NewInvite) -> Result<Invite> {
        let now = self.0.env().now();
        let email_key = email_key(&new.email);
        self.0
            .update::<Entity>()
            .col_expr(Column::State, Expr::value(InviteState::Expired))
            .filter(Column::EmailKey.eq(email_key.as_str()))
            .filter(Column::State.eq(InviteState::Open))
            .filter(Column::ExpiresAt.lte(now))
            .exec(self.0.conn())
            .await?;
        let invite = Invite {
            tenant_id: self.0.tenant(),
            id: self.0.env().id(),
            email: new.email,
            email_key,
            role: new.role,
            token_hash: new.token_hash.to_vec(),
            inviter_id: new.inviter,
            state: InviteState::Open,
            create_time: now,
            expires_at: now + INVITE,
        };
        let row = invite.clone().into_active_model();
        let added = self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await;
        match added.map_err(Error::from) {
            Err(Error::Exists { .. }) => Err(Error::Exists { what: "an open invitation to that address" }),
            other => other.map(|_| invite),
        }
    }

    /// Closes an open invitation; `false` when it is open no more.
    pub async fn close(&self, id: InviteId, state: InviteState) -> Result<bool> {
        let done = self
            .0
            .update::<Entity>()
            .col_expr(Column::State, Expr::value(state))
            .filter(Column::Id.eq(id))
            .filter(Column::State.eq(InviteState::Open))
            .exec(self.0.conn())
            .await?;
        Ok(done.rows_affected > 0)
    }
}
