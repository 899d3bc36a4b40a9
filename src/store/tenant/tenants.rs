//! The tenant's own row.

use sea_orm::{ConnectionTrait, IntoActiveModel, QuerySelect, sea_query::Expr};

use crate::{
    error::{Error, Result},
    store::{
        TenantDb, Tx,
        entity::tenant::{Column, Entity},
        scope::TenantOwned,
    },
};

pub use crate::store::entity::tenant::Model as Tenant;

impl TenantOwned for Entity {
    const TENANT: Column = Column::Id;
}

/// New values; `None` keeps the old one.
#[derive(Clone, Debug, Default)]
pub struct TenantChange {
    pub name: Option<String>,
    pub language: Option<String>,
    pub currency: Option<String>,
    pub time_zone: Option<String>,
}

impl TenantChange {
    /// What `tenant` would be.
    #[must_use]
    pub fn of(&self, mut tenant: Tenant) -> Tenant {
        let Self { name, language, currency, time_zone } = self.clone();
        tenant.name = name.unwrap_or(tenant.name);
        tenant.language = language.unwrap_or(tenant.language);
        tenant.currency = currency.unwrap_or(tenant.currency);
        tenant.time_zone = time_zone.unwrap_or(tenant.time_zone);
        tenant
    }
}

/// The tenant of the scope.
pub struct Tenants<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn tenants(&self) -> Tenants<'_, C> {
        Tenants(self)
    }
}

impl<C: ConnectionTrait> Tenants<'_, C> {
    pub async fn get(&self) -> Result<Tenant> {
        let found = self.0.find::<Entity>().one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("tenant", self.0.tenant()))
    }
}

impl Tenants<'_, Tx> {
    /// Reads it and keeps others from changing it, or its members, until the transaction ends.
    pub async fn lock(&self) -> Result<Tenant> {
        let found = self.0.find::<Entity>().lock_exclusive().one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("tenant", self.0.tenant()))
    }

    /// Adds it, with the platform's defaults for all but the name.
    pub async fn add(&self, name: String) -> Result<Tenant> {
        let now = self.0.env().now();
        let tenant = Tenant {
            id: self.0.tenant(),
            name,
            language: "en".to_owned(),
            currency: "USD".to_owned(),
            time_zone: "UTC".to_owned(),
            restricted: false,
            restricted_reason: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let row = tenant.clone().into_active_model();
        self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await?;
        Ok(tenant)
    }

    /// Stores `change` of `seen`.
    pub async fn change(&self, seen: Tenant, change: &TenantChange) -> Result<Tenant> {
        self.store(change.of(seen)).await
    }

    /// Restricts it for a reason, or lifts the restriction.
    pub async fn restrict(&self, seen: Tenant, reason: Option<String>) -> Result<Tenant> {
        self.store(Tenant { restricted: reason.is_some(), restricted_reason: reason, ..seen }).await
    }

    async fn store(&self, tenant: Tenant) -> Result<Tenant> {
        use sea_orm::{ColumnTrait, QueryFilter};
        let seen = tenant.version;
        let tenant = Tenant { version: seen + 1, update_time: self.0.env().now(), ..tenant };
        let done = self
            .0
            .update::<Entity>()
            .col_expr(Column::Name, Expr::value(tenant.name.clone()))
            .col_expr(Column::Language, Expr::value(tenant.language.clone()))
            .col_expr(Column::Currency, Expr::value(tenant.currency.clone()))
            .col_expr(Column::TimeZone, Expr::value(tenant.time_zone.clone()))
            .col_expr(Column::Restricted, Expr::value(tenant.restricted))
            .col_expr(Column::RestrictedReason, Expr::value(tenant.restricted_reason.clone()))
            .col_expr(Column::Version, Expr::value(tenant.version))
            .col_expr(Column::UpdateTime, Expr::value(tenant.update_time))
            .filter(Column::Version.eq(seen))
            .exec(self.0.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::stale()) } else { Ok(tenant) }
    }
}
