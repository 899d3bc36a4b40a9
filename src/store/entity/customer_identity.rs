use sea_orm::entity::prelude::*;

use crate::id::{ChannelId, CustomerId, IdentityId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customer_identity")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IdentityId,
    pub customer_id: CustomerId,
    pub channel_id: ChannelId,
    pub scheme: String,
    pub value: String,
    /// False while the customer blocks us there.
    pub reachable: bool,
    /// Since when that is so, by the provider's clock.
    pub reachable_at: Option<DateTimeUtc>,
    pub create_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
