use sea_orm::entity::prelude::*;

use crate::id::TenantId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "decision_settings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    /// Basis points.
    pub t_auto_bp: i32,
    /// Basis points.
    pub t_escalate_bp: i32,
    /// The flag AI_AUTOSEND for this tenant.
    pub autosend_enabled: bool,
    pub autosend_allowed: bool,
    /// A list of words of `domain::intent`.
    #[sea_orm(column_type = "JsonBinary")]
    pub intents_autosend_allowed: Json,
    /// A list of words of `domain::intent`.
    #[sea_orm(column_type = "JsonBinary")]
    pub intents_force_handoff: Json,
    pub version: i64,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
