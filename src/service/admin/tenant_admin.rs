//! TenantAdminService: tenants as staff see them.

use serde_json::json;
use tonic::{Request, Response, Status};

use super::scope;
use crate::{
    auth::Caller,
    domain::event::Event,
    error::Result,
    id::TenantId,
    store::{
        Store,
        admin::{NewAction, Outcome, TenantOverview},
    },
    wire::{
        self,
        admin::v1::{
            ListTenantsRequest, ListTenantsResponse, RestrictTenantRequest, RestrictTenantResponse,
            TenantSummary, UnrestrictTenantRequest, UnrestrictTenantResponse,
            tenant_admin_service_server::TenantAdminService,
        },
        changed,
        page::Page,
    },
};

/// Serves tenants to staff.
pub struct TenantAdmin {
    store: Store,
}

impl TenantAdmin {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl TenantAdminService for TenantAdmin {
    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        Caller::of(&request)?.staff()?;
        let ListTenantsRequest { page_size, page_token, restricted } = request.into_inner();
        let filter =
            restricted.map_or("", |restricted| if restricted { "restricted" } else { "unrestricted" });
        let page = Page::<TenantId>::read("tenants", page_size, &page_token, &[filter])?;

        let system = self.store.system();
        let rows = system.tenants(restricted, page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.tenant.id);
        let tenants = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListTenantsResponse { tenants, next_page_token }))
    }

    async fn restrict_tenant(
        &self,
        request: Request<RestrictTenantRequest>,
    ) -> Result<Response<RestrictTenantResponse>, Status> {
        let caller = Caller::of(&request)?;
        let RestrictTenantRequest { tenant_id, reason, expected_version } = request.into_inner();
        let tenant = wire::id("tenant_id", &tenant_id)?;
        let reason = wire::admin::reason(&reason)?;
        let answer = |(tenant, already_in_state): (TenantOverview, bool)| {
            Ok(RestrictTenantResponse { tenant: Some((&tenant).into()), already_in_state })
        };
        let set = self.set(&caller, tenant, true, &reason, expected_version, answer);
        Ok(Response::new(set.await?))
    }

    async fn unrestrict_tenant(
        &self,
        request: Request<UnrestrictTenantRequest>,
    ) -> Result<Response<UnrestrictTenantResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UnrestrictTenantRequest { tenant_id, reason, expected_version } = request.into_inner();
        let tenant = wire::id("tenant_id", &tenant_id)?;
        let reason = wire::admin::reason(&reason)?;
        let answer = |(tenant, already_in_state): (TenantOverview, bool)| {
            Ok(UnrestrictTenantResponse { tenant: Some((&tenant).into()), already_in_state })
        };
        let set = self.set(&caller, tenant, false, &reason, expected_version, answer);
        Ok(Response::new(set.await?))
    }
}

impl TenantAdmin {
    /// Restricts the tenant or lifts that; tells whether it was so before.
    async fn set<M: prost::Message + Default>(
        &self,
        caller: &Caller,
        tenant: TenantId,
        restrict: bool,
        reason: &str,
        expected: i64,
        answer: impl Fn((TenantOverview, bool)) -> Result<M>,
    ) -> Result<M> {
        let staff = caller.staff()?;
        let (action, told, state) = match restrict {
            true => ("tenant.restrict", "tenant.restricted", "restricted"),
            false => ("tenant.unrestrict", "tenant.unrestricted", "active"),
        };
        let db = self.store.of(scope(caller, staff, tenant));
        db.command(
            async |db| {
                let seen = db.tenants().lock().await?;
                let already = seen.restricted == restrict;
                if !already && expected != 0 && expected != seen.version {
                    let name = "switchboard.admin.v1.TenantSummary";
                    let now = db.overview(seen.clone()).await?;
                    changed::unless(expected, seen.version, name, || TenantSummary::from(&now))?;
                }
                let outcome = match already {
                    true => Outcome::Already(state),
                    false => Outcome::Changed(json!({
                        "status": if seen.restricted { "restricted" } else { "active" },
                        "reason": seen.restricted_reason,
                    })),
                };
                let target_id = tenant.to_string();
                let reason = reason.to_owned();
                let kept = restrict.then(|| reason.clone());
                let record = NewAction {
                    action,
                    target_kind: "tenant",
                    target_id,
                    staff: staff.user(),
                    reason,
                    outcome,
                };
                db.record_action(record).await?;
                if already {
                    return Ok((db.overview(seen).await?, true));
                }
                let tenant = db.tenants().restrict(seen, kept).await?;
                db.emit(Event::TenantUpdated { subject: tenant.id.to_string(), action: told.to_owned() });
                Ok((db.overview(tenant).await?, false))
            },
            answer,
        )
        .await
    }
}
