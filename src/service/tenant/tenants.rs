//! TenantService: the caller's tenant.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::event::Event,
    store::Store,
    wire::{
        self,
        tenant::v1::{self, GetTenantRequest, UpdateTenantRequest, tenant_service_server::TenantService},
    },
};

/// Serves the caller's tenant.
pub struct Tenants {
    store: Store,
}

impl Tenants {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn get_tenant(&self, request: Request<GetTenantRequest>) -> Result<Response<v1::Tenant>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let tenant = self.store.of(scope).tenants().get().await?;
        Ok(Response::new((&tenant).into()))
    }

    async fn update_tenant(
        &self,
        request: Request<UpdateTenantRequest>,
    ) -> Result<Response<v1::Tenant>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let UpdateTenantRequest { tenant, update_mask, expected_version, validate_only } =
            request.into_inner();
        let change = wire::tenant::tenant_change(&tenant.unwrap_or_default(), update_mask)?;
        let db = self.store.of(scope);

        if validate_only {
            let seen = db.tenants().get().await?;
            wire::tenant::check_tenant(expected_version, &seen)?;
            return Ok(Response::new((&change.of(seen)).into()));
        }
        let answer = db
            .command(
                async |db| {
                    let seen = db.tenants().lock().await?;
                    wire::tenant::check_tenant(expected_version, &seen)?;
                    let tenant = db.tenants().change(seen, &change).await?;
                    let subject = tenant.id.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "tenant.updated".to_owned() });
                    Ok(tenant)
                },
                |tenant| Ok((&tenant).into()),
            )
            .await?;
        Ok(Response::new(answer))
    }
}
