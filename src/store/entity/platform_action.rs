use sea_orm::entity::prelude::*;

use crate::id::{PlatformActionId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "platform_action")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PlatformActionId,
    /// `tenant.restrict`, `grant.create`, …
    pub action: String,
    /// `tenant`, `grant`, `user`.
    pub target_kind: String,
    pub target_id: String,
    pub staff_id: UserId,
    pub reason: String,
    /// What it was before; null when nothing changed.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub previous: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub note: Json,
    pub create_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
