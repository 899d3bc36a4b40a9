use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "queue_pause")]
pub struct Model {
    /// See `domain::queue`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub queue: i16,
    pub reason: String,
    /// Who paused it, as `Actor::label` says it.
    pub actor: String,
    pub create_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
