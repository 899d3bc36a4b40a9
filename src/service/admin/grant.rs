//! GrantService: access that staff give for a time.

use serde_json::json;
use tonic::{Request, Response, Status};

use super::scope;
use crate::{
    auth::Caller,
    domain::{event::Event, grant},
    error::{Error, Result},
    id::{GrantId, TenantId},
    store::{
        Store,
        admin::{NewAction, NewGrant, Outcome},
    },
    wire::{
        self,
        admin::v1::{
            CreateGrantRequest, Grant, ListGrantsRequest, ListGrantsResponse, RevokeGrantRequest,
            RevokeGrantResponse, grant_service_server::GrantService,
        },
        changed,
        page::Page,
        tenant::instant,
    },
};

/// Serves grants.
pub struct Grants {
    store: Store,
}

impl Grants {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl GrantService for Grants {
    async fn create_grant(&self, request: Request<CreateGrantRequest>) -> Result<Response<Grant>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let CreateGrantRequest { tenant_id, start_time, end_time, reason, grant_id } = request.into_inner();
        let tenant: TenantId = wire::id("tenant_id", &tenant_id)?;
        let id = wire::optional_id::<GrantId>("grant_id", &grant_id)?;
        let reason = wire::admin::reason(&reason)?;
        let now = self.store.env().now();
        let starts_at = start_time.map_or(Ok(now), |at| instant("start_time", &at))?;
        let ends_at = end_time.ok_or_else(|| Error::invalid("end_time", "must be set"))?;
        let ends_at = instant("end_time", &ends_at)?;
        grant::check(starts_at, ends_at, now).map_err(|problem| Error::invalid("end_time", problem))?;

        let id = id.unwrap_or_else(|| self.store.env().id());
        let new = NewGrant { id, starts_at, ends_at, reason, creator: staff.user() };
        let answer = self
            .store
            .of(scope(&caller, staff, tenant))
            .command(
                async |db| {
                    db.tenants().get().await?;
                    let grant = db.grants().add(new.clone()).await?;
                    let record = NewAction {
                        action: "grant.create",
                        target_kind: "grant",
                        target_id: grant.id.to_string(),
                        staff: staff.user(),
                        reason: grant.reason.clone(),
                        outcome: Outcome::Changed(json!({"status": "none"})),
                    };
                    db.record_action(record).await?;
                    let subject = grant.id.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "grant.created".to_owned() });
                    Ok(grant)
                },
                |grant| Ok((&grant).into()),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn list_grants(
        &self,
        request: Request<ListGrantsRequest>,
    ) -> Result<Response<ListGrantsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let ListGrantsRequest { tenant_id, page_size, page_token } = request.into_inner();
        let tenant: TenantId = wire::id("tenant_id", &tenant_id)?;
        let page = Page::<GrantId>::read("grants", page_size, &page_token, &[&tenant_id])?;

        let db = self.store.of(scope(&caller, staff, tenant));
        db.tenants().get().await?;
        let rows = db.grants().list(page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |grant| grant.id);
        let grants = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListGrantsResponse { grants, next_page_token }))
    }

    async fn revoke_grant(
        &self,
        request: Request<RevokeGrantRequest>,
    ) -> Result<Response<RevokeGrantResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let RevokeGrantRequest { tenant_id, grant_id, reason, expected_version } = request.into_inner();
        let tenant: TenantId = wire::id("tenant_id", &tenant_id)?;
        let id: GrantId = wire::id("grant_id", &grant_id)?;
        let reason = wire::admin::reason(&reason)?;

        let answer = self
            .store
            .of(scope(&caller, staff, tenant))
            .command(
                async |db| {
                    let seen = db.grants().lock(id).await?;
                    let already = seen.revoked_at.is_some();
                    if !already {
                        let name = "switchboard.admin.v1.Grant";
                        changed::unless(expected_version, seen.version, name, || Grant::from(&seen))?;
                    }
                    let outcome = match already {
                        true => Outcome::Already("revoked"),
                        false => Outcome::Changed(json!({"status": "granted", "ends_at": seen.ends_at})),
                    };
                    let record = NewAction {
                        action: "grant.revoke",
                        target_kind: "grant",
                        target_id: id.to_string(),
                        staff: staff.user(),
                        reason: reason.clone(),
                        outcome,
                    };
                    db.record_action(record).await?;
                    if already {
                        return Ok((seen, true));
                    }
                    let grant = db.grants().revoke(seen, staff.user(), reason.clone()).await?;
                    let subject = grant.id.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "grant.revoked".to_owned() });
                    Ok((grant, false))
                },
                |(grant, already_in_state)| {
                    Ok(RevokeGrantResponse { grant: Some((&grant).into()), already_in_state })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }
}
