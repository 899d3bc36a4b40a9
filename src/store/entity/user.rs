use sea_orm::entity::prelude::*;

use crate::{domain::access::PlatformRole, id::UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// As it was given.
    pub email: String,
    /// As it is compared, see `membership::email_key`.
    pub email_key: String,
    pub name: String,
    pub password_hash: String,
    pub platform_role: Option<PlatformRole>,
    pub disabled: bool,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
