//! What is for sale.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    error::Result,
    store::{
        SystemDb,
        entity::plan::{Column, Entity},
    },
};

pub use crate::store::entity::plan::Model as Plan;

/// More are not offered at once: people choose from a handful.
const MOST: u64 = 200;

/// The plans of the platform.
pub struct Plans<'a, C>(&'a SystemDb<C>);

impl<C: ConnectionTrait> SystemDb<C> {
    pub fn plans(&self) -> Plans<'_, C> {
        Plans(self)
    }
}

impl<C: ConnectionTrait> Plans<'_, C> {
    /// Plans on sale, by currency and price; in one currency when it is given.
    pub async fn on_sale(&self, currency: Option<&str>) -> Result<Vec<Plan>> {
        let mut rows = Entity::find()
            .filter(Column::OnSale.eq(true))
            .order_by_asc(Column::Currency)
            .order_by_asc(Column::Amount)
            .order_by_asc(Column::Id)
            .limit(MOST);
        if let Some(currency) = currency {
            rows = rows.filter(Column::Currency.eq(currency));
        }
        Ok(rows.all(self.0.conn()).await?)
    }
}
