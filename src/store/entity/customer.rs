use sea_orm::entity::prelude::*;

use crate::{
    id::{CustomerId, TenantId},
    store::rows::positional,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customer")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CustomerId,
    pub display_name: String,
    /// Digits, with a leading plus where known.
    pub phone: Option<String>,
    pub email: Option<String>,
    /// IETF tag.
    pub language: Option<String>,
    /// A list of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Json,
    pub blocked: bool,
    pub block_reason: Option<String>,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

positional!(Model {
    tenant_id: one,
    id: one,
    display_name: one,
    phone: maybe,
    email: maybe,
    language: maybe,
    tags: json,
    blocked: one,
    block_reason: maybe,
    version: one,
    create_time: one,
    update_time: one,
});
