use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde_json::Value as Json;

pub use crate::store::entity::channel::Model as Channel;
use crate::{
    domain::{channel::Health, conversation::ChannelKind},
    error::{Error, Result},
    id::ChannelId,
    store::{
        TenantDb, Tx,
        entity::channel::{Column, Entity},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The tenant's connected accounts.
    pub fn channels(&self) -> Channels<'_, C> {
        Channels(self)
    }
}

/// Connected accounts of messengers.
pub struct Channels<'a, C>(&'a TenantDb<C>);

/// A channel to be.
#[derive(Clone)]
pub struct NewChannel {
    pub id: ChannelId,
    pub kind: ChannelKind,
    pub name: String,
    pub account: String,
    pub config: Json,
    /// Sealed.
    pub secrets: Vec<u8>,
}

/// What may change of a channel; `None` stays.
#[derive(Clone, Default)]
pub struct ChannelChange {
    pub name: Option<String>,
    pub enabled: Option<bool>,
    /// Account and settings change together.
    pub account: Option<(String, Json)>,
    /// Sealed.
    pub secrets: Option<Vec<u8>>,
    pub health: Option<(Health, Option<String>)>,
}

impl<'a, C: ConnectionTrait> Channels<'a, C> {
    pub(super) fn db(&self) -> &'a TenantDb<C> {
        self.0
    }

    pub async fn get(&self, id: ChannelId) -> Result<Channel> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).filter(Column::DeleteTime.is_null());
        found.one(self.0.conn()).await?.ok_or_else(|| Error::not_found("channel", id))
    }

    /// Oldest first.
    pub async fn list(&self, after: Option<&ChannelId>, limit: u64) -> Result<Vec<Channel>> {
        let mut query = self.0.find::<Entity>().filter(Column::DeleteTime.is_null());
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(*after));
        }
        Ok(query.order_by_asc(Column::Id).limit(limit).all(self.0.conn()).await?)
    }
}

impl Channels<'_, Tx> {
    /// # Errors
    /// `Exists` when the tenant connected this account already, or the id is taken.
    pub async fn insert(&self, new: NewChannel) -> Result<Channel> {
        let NewChannel { id, kind, name, account, config, secrets } = new;
        let now = self.0.env().now();
        let row = Channel {
            tenant_id: self.0.tenant(),
            id,
            kind,
            name,
            enabled: true,
            account,
            config,
            secrets,
            health: Health::Unknown,
            health_reason: None,
            version: 1,
            create_time: now,
            update_time: now,
            delete_time: None,
        };
        let insert =
            self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await;
        match insert.map_err(Error::from) {
            Ok(_) => Ok(row),
            Err(Error::Exists { .. }) => Err(Error::Exists { what: "a channel with this account or id" }),
            Err(error) => Err(error),
        }
    }

    /// Changes `seen`, unless someone else changed it first.
    pub async fn change(&self, seen: &Channel, change: ChannelChange) -> Result<Channel> {
        let ChannelChange { name, enabled, account, secrets, health } = change;
        let now: DateTime<Utc> = self.0.env().now();
        let mut update = self
            .0
            .update::<Entity>()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .filter(Column::Id.eq(seen.id))
            .filter(Column::Version.eq(seen.version))
            .filter(Column::DeleteTime.is_null());
        if let Some(name) = name {
            update = update.col_expr(Column::Name, Expr::value(name));
        }
        if let Some(enabled) = enabled {
            update = update.col_expr(Column::Enabled, Expr::value(enabled));
        }
        if let Some((account, config)) = account {
            update = update
                .col_expr(Column::Account, Expr::value(account))
                .col_expr(Column::Config, Expr::value(config));
        }
        if let Some(secrets) = secrets {
            update = update.col_expr(Column::Secrets, Expr::value(secrets));
        }
        if let Some((health, reason)) = health {
            update = update
                .col_expr(Column::Health, Expr::value(health))
                .col_expr(Column::HealthReason, Expr::value(reason));
        }
        let changed = update.exec_with_returning(self.0.conn()).await.map_err(Error::from);
        match changed {
            Ok(mut rows) => rows.pop().ok_or(Error::stale()),
            Err(Error::Exists { .. }) => Err(Error::Exists { what: "a channel with this account" }),
            Err(error) => Err(error),
        }
    }

    /// Records what the messenger said about the account. `None` when that was known.
    pub async fn set_health(
        &self,
        id: ChannelId,
        health: Health,
        reason: Option<String>,
    ) -> Result<Option<Channel>> {
        let same = Column::Health.eq(health).and(match &reason {
            Some(reason) => Column::HealthReason.eq(reason.clone()),
            None => Column::HealthReason.is_null(),
        });
        let changed = self
            .0
            .update::<Entity>()
            .col_expr(Column::Health, Expr::value(health))
            .col_expr(Column::HealthReason, Expr::value(reason))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(id))
            .filter(same.not())
            .exec_with_returning(self.0.conn())
            .await?;
        Ok(changed.into_iter().next())
    }
}
