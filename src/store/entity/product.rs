use sea_orm::entity::prelude::*;

use crate::id::{ProductId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "product")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProductId,
    /// Unique in the tenant unless empty.
    pub sku: String,
    pub name: String,
    pub description: String,
    pub category: String,
    /// Minor units of `currency`; both are there or neither.
    pub price_minor: Option<i64>,
    pub currency: Option<String>,
    pub in_stock: bool,
    /// Absent when not counted.
    pub stock_quantity: Option<i32>,
    pub delivery_info: String,
    /// False keeps it from the AI.
    pub active: bool,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
