//! CronService: the schedules of the platform and of its tenants.

use serde_json::json;
use tonic::{Request, Response, Status};

use super::scope;
use crate::{
    auth::{Caller, Staff, TenantScope},
    domain::event::Event,
    error::Result,
    id::TenantId,
    store::{
        Store, TenantDb, Tx,
        admin::{NewAction, Outcome},
        jobs::Cron,
    },
    wire::{
        self,
        admin::v1::{
            ListSchedulesRequest, ListSchedulesResponse, RunNowRequest, RunNowResponse, Schedule,
            SetEnabledRequest, SetEnabledResponse, cron_service_server::CronService,
        },
        changed,
        page::Page,
    },
};

/// Serves schedules.
pub struct Schedules {
    store: Store,
}

impl Schedules {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl CronService for Schedules {
    async fn list_schedules(
        &self,
        request: Request<ListSchedulesRequest>,
    ) -> Result<Response<ListSchedulesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let ListSchedulesRequest { tenant_id, page_size, page_token } = request.into_inner();
        let tenant = wire::optional_id::<TenantId>("tenant_id", &tenant_id)?;
        let page = Page::<(TenantId, String)>::read("schedules", page_size, &page_token, &[&tenant_id])?;

        if let Some(tenant) = tenant {
            self.store.of(scope(&caller, staff, tenant)).tenants().get().await?;
        }
        let rows = self.store.system().crons(tenant, page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |cron| (cron.tenant_id, cron.name.clone()));
        let schedules = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListSchedulesResponse { schedules, next_page_token }))
    }

    async fn run_now(&self, request: Request<RunNowRequest>) -> Result<Response<RunNowResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let RunNowRequest { tenant_id, name, reason } = request.into_inner();
        let tenant = wire::optional_id("tenant_id", &tenant_id)?;
        let reason = wire::admin::reason(&reason)?;

        let answer = self
            .store
            .of(owner(&caller, staff, tenant))
            .command(
                async |db| {
                    let cron = db.crons().get(&name).await?;
                    let job = db.crons().run(&cron).await?;
                    let outcome = Outcome::Changed(json!({"job": job}));
                    record(db, staff, "schedule.run", &cron, reason.clone(), outcome).await?;
                    Ok(job)
                },
                |job| Ok(RunNowResponse { job_id: job.to_string() }),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn set_enabled(
        &self,
        request: Request<SetEnabledRequest>,
    ) -> Result<Response<SetEnabledResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let SetEnabledRequest { tenant_id, name, enabled, reason, expected_version } = request.into_inner();
        let tenant = wire::optional_id("tenant_id", &tenant_id)?;
        let reason = wire::admin::reason(&reason)?;

        let answer = self
            .store
            .of(owner(&caller, staff, tenant))
            .command(
                async |db| {
                    let seen = db.crons().lock(&name).await?;
                    let already = seen.enabled == enabled;
                    let state = if seen.enabled { "enabled" } else { "disabled" };
                    let outcome = match already {
                        true => Outcome::Already(state),
                        false => Outcome::Changed(json!({"status": state})),
                    };
                    if !already {
                        let name = "switchboard.admin.v1.Schedule";
                        changed::unless(expected_version, seen.version, name, || Schedule::from(&seen))?;
                    }
                    record(db, staff, "schedule.set_enabled", &seen, reason.clone(), outcome).await?;
                    if already {
                        return Ok((seen, true));
                    }
                    let cron = db.crons().set_enabled(seen, enabled).await?;
                    tell(db, if enabled { "schedule.enabled" } else { "schedule.disabled" });
                    Ok((cron, false))
                },
                |(cron, already_in_state)| {
                    Ok(SetEnabledResponse { schedule: Some((&cron).into()), already_in_state })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }
}

/// The right of staff to work on the schedules of a tenant, or of the platform. What is done to the platform
/// stands in the record of what staff did; the audit log is the tenants'.
fn owner(caller: &Caller, staff: Staff, tenant: Option<TenantId>) -> TenantScope {
    match tenant {
        Some(tenant) => scope(caller, staff, tenant),
        None => scope(caller, staff, TenantId::PLATFORM).audited(None),
    }
}

async fn record(
    db: &TenantDb<Tx>,
    staff: Staff,
    action: &'static str,
    cron: &Cron,
    reason: String,
    outcome: Outcome,
) -> Result<()> {
    let target_id = match cron.tenant_id {
        TenantId::PLATFORM => cron.name.clone(),
        tenant => format!("{tenant}/{}", cron.name),
    };
    let staff = staff.user();
    db.record_action(NewAction { action, target_kind: "schedule", target_id, staff, reason, outcome }).await
}

/// The platform has no event log.
fn tell(db: &TenantDb<Tx>, action: &str) {
    if db.tenant() != TenantId::PLATFORM {
        let subject = db.tenant().to_string();
        db.emit(Event::TenantUpdated { subject, action: action.to_owned() });
    }
}
