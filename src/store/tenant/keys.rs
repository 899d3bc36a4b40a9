//! The tenant's data keys, each sealed with a master key; see `auth::seal`.

use sea_orm::{ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder};

use crate::{
    error::{Error, Result},
    store::{
        TenantDb, Tx,
        entity::tenant_key::{Column, Entity},
        scope::TenantOwned,
    },
};

pub use crate::store::entity::tenant_key::Model as TenantKey;

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// The data keys of the scope's tenant.
pub struct Keys<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn keys(&self) -> Keys<'_, C> {
        Keys(self)
    }
}

impl<C: ConnectionTrait> Keys<'_, C> {
    /// The one that new secrets are sealed with; `None` before the first secret.
    pub async fn newest(&self) -> Result<Option<TenantKey>> {
        Ok(self.0.find::<Entity>().order_by_desc(Column::Number).one(self.0.conn()).await?)
    }

    pub async fn get(&self, number: i32) -> Result<TenantKey> {
        let found = self.0.find::<Entity>().filter(Column::Number.eq(number)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("data key", number))
    }
}

impl Keys<'_, Tx> {
    /// Adds a key; fails with `Exists` when someone else added that number first.
    pub async fn add(&self, number: i32, master: String, wrapped: Vec<u8>) -> Result<TenantKey> {
        let create_time = self.0.env().now();
        let key = TenantKey { tenant_id: self.0.tenant(), number, wrapped, master, create_time };
        let row = key.clone().into_active_model();
        self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await?;
        Ok(key)
    }
}
