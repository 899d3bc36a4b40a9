//! What platform staff did: written with what it did, repeats too. Append only.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::{Value, json};

use crate::{
    env::Env,
    error::Result,
    id::UserId,
    store::{
        SystemDb, TenantDb, Tx,
        entity::platform_action::{Column, Entity},
    },
};

pub use crate::store::entity::platform_action::Model as PlatformAction;

/// An action to record.
#[derive(Clone, Debug)]
pub struct NewAction {
    /// `tenant.restrict`, `grant.create`, …
    pub action: &'static str,
    /// `tenant`, `grant`, `user`.
    pub target_kind: &'static str,
    pub target_id: String,
    pub staff: UserId,
    pub reason: String,
    pub outcome: Outcome,
}

/// What an action came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It changed something that was this before.
    Changed(Value),
    /// There was nothing to change: it was in this state already.
    Already(&'static str),
}

impl TenantDb<Tx> {
    /// Records what staff did to this tenant.
    pub async fn record_action(&self, action: NewAction) -> Result<()> {
        record(self.conn(), self.env(), action).await
    }
}

impl SystemDb<Tx> {
    /// Records what staff did to the platform.
    pub async fn record_action(&self, action: NewAction) -> Result<()> {
        record(self.conn(), self.env(), action).await
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    /// What was done to a target, the oldest first; 200 at most.
    pub async fn actions_on(&self, target_kind: &str, target_id: &str) -> Result<Vec<PlatformAction>> {
        let rows = Entity::find()
            .filter(Column::TargetKind.eq(target_kind))
            .filter(Column::TargetId.eq(target_id))
            .order_by_asc(Column::Id)
            .limit(200);
        Ok(rows.all(self.conn()).await?)
    }
}

async fn record(conn: &Tx, env: &Env, action: NewAction) -> Result<()> {
    let (previous, note) = match action.outcome {
        Outcome::Changed(previous) => (Some(previous), json!({})),
        Outcome::Already(state) => (None, json!({"idempotent": true, "noOp": true, "alreadyState": state})),
    };
    let row = PlatformAction {
        id: env.id(),
        action: action.action.to_owned(),
        target_kind: action.target_kind.to_owned(),
        target_id: action.target_id,
        staff_id: action.staff,
        reason: action.reason,
        previous,
        note,
        create_time: env.now(),
    };
    Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
    Ok(())
}
