use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter};

use crate::{
    domain::{decision::Policy, intent::Intent},
    error::{Error, Result},
    store::{
        TenantDb, Tx,
        entity::decision_settings::{Column, Entity, Model},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// When the AI may send by itself and when it hands over.
    pub fn decision_settings(&self) -> Settings<'_, C> {
        Settings(self)
    }
}

/// The one row of a tenant's rules; absent until they are changed for the first time.
pub struct Settings<'a, C>(&'a TenantDb<C>);

/// The rules as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionSettings {
    pub policy: Policy,
    /// 1 for the first settings, which no row holds.
    pub version: i64,
    pub update_time: Option<chrono::DateTime<chrono::Utc>>,
}

impl<C: ConnectionTrait> Settings<'_, C> {
    pub async fn get(&self) -> Result<DecisionSettings> {
        let row = self.0.find::<Entity>().one(self.0.conn()).await?;
        let Some(row) = row else {
            return Ok(DecisionSettings { policy: Policy::default(), version: 1, update_time: None });
        };
        let intents =
            |list: serde_json::Value| serde_json::from_value::<Vec<Intent>>(list).map_err(Error::internal);
        Ok(DecisionSettings {
            policy: Policy {
                engine_on: true,
                t_auto_bp: row.t_auto_bp,
                t_escalate_bp: row.t_escalate_bp,
                autosend_enabled: row.autosend_enabled,
                autosend_allowed: row.autosend_allowed,
                intents_autosend_allowed: intents(row.intents_autosend_allowed)?,
                intents_force_handoff: intents(row.intents_force_handoff)?,
            },
            version: row.version,
            update_time: Some(row.update_time),
        })
    }
}

impl Settings<'_, Tx> {
    /// Puts `policy` in the place of `seen`, unless someone else changed it first.
    pub async fn put(&self, seen: &DecisionSettings, policy: &Policy) -> Result<DecisionSettings> {
        let now = self.0.env().now();
        let intents = |list: &[Intent]| serde_json::to_value(list).map_err(Error::internal);
        let row = Model {
            tenant_id: self.0.tenant(),
            t_auto_bp: policy.t_auto_bp,
            t_escalate_bp: policy.t_escalate_bp,
            autosend_enabled: policy.autosend_enabled,
            autosend_allowed: policy.autosend_allowed,
            intents_autosend_allowed: intents(&policy.intents_autosend_allowed)?,
            intents_force_handoff: intents(&policy.intents_force_handoff)?,
            version: seen.version + 1,
            update_time: now,
        };
        let version = row.version;
        if seen.update_time.is_none() {
            let insert = self.0.insert(row.into_active_model()).exec_without_returning(self.0.conn()).await;
            match insert.map_err(Error::from) {
                Err(Error::Exists { .. }) => return Err(Error::stale()),
                done => done?,
            };
        } else {
            let update = self.0.update::<Entity>().set(row.into_active_model().reset_all());
            let guarded = update.filter(Column::Version.eq(seen.version));
            if guarded.exec(self.0.conn()).await?.rows_affected == 0 {
                return Err(Error::stale());
            }
        }
        Ok(DecisionSettings { policy: policy.clone(), version, update_time: Some(now) })
    }
}
