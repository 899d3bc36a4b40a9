//! All tenants, for staff.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};

use crate::{
    domain::access::Role,
    error::Result,
    id::TenantId,
    store::{
        SystemDb, TenantDb,
        entity::{member, tenant, user},
        tenant::Tenant,
    },
};

/// A tenant and who owns it.
#[derive(Clone, Debug)]
pub struct TenantOverview {
    pub tenant: Tenant,
    /// The e-mail address of the first owner.
    pub owner_email: Option<String>,
}

impl<C: ConnectionTrait> SystemDb<C> {
    /// Tenants, the newest first; only restricted or unrestricted ones when that is given.
    pub async fn tenants(
        &self,
        restricted: Option<bool>,
        before: Option<TenantId>,
        limit: u64,
    ) -> Result<Vec<TenantOverview>> {
        let mut rows = tenant::Entity::find().order_by_desc(tenant::Column::Id).limit(limit);
        if let Some(restricted) = restricted {
            rows = rows.filter(tenant::Column::Restricted.eq(restricted));
        }
        if let Some(before) = before {
            rows = rows.filter(tenant::Column::Id.lt(before));
        }
        let tenants = rows.all(self.conn()).await?;
        let owners = self.owner_emails(tenants.iter().map(|tenant| tenant.id).collect()).await?;
        let overview = |tenant: Tenant| {
            let owner = owners.iter().find(|(id, _)| *id == tenant.id);
            TenantOverview { owner_email: owner.map(|(_, email)| email.clone()), tenant }
        };
        Ok(tenants.into_iter().map(overview).collect())
    }

    pub async fn tenant_count(&self) -> Result<u64> {
        Ok(tenant::Entity::find().count(self.conn()).await?)
    }

    /// The addresses of the owners of `tenants`, those who joined first at the top.
    async fn owner_emails(&self, tenants: Vec<TenantId>) -> Result<Vec<(TenantId, String)>> {
        let rows = member::Entity::find()
            .select_only()
            .column(member::Column::TenantId)
            .column(user::Column::Email)
            .join(JoinType::InnerJoin, member::Relation::User.def())
            .filter(member::Column::TenantId.is_in(tenants))
            .filter(member::Column::Role.eq(Role::Owner))
            .filter(member::Column::RemovedAt.is_null())
            .order_by_asc(member::Column::Id)
            .into_tuple();
        Ok(rows.all(self.conn()).await?)
    }
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// This tenant as staff see it.
    pub async fn overview(&self, tenant: Tenant) -> Result<TenantOverview> {
        let owner = self
            .find::<member::Entity>()
            .select_only()
            .column(user::Column::Email)
            .join(JoinType::InnerJoin, member::Relation::User.def())
            .filter(member::Column::Role.eq(Role::Owner))
            .filter(member::Column::RemovedAt.is_null())
            .order_by_asc(member::Column::Id)
            .into_tuple()
            .one(self.conn());
        Ok(TenantOverview { tenant, owner_email: owner.await? })
    }
}
