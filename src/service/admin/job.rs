//! JobService: background work as staff see it.

use serde_json::json;
use tonic::{Request, Response, Status};

use super::scope;
use crate::{
    auth::{Actor, Caller},
    domain::{event::Event, job::JobState, queue::Queue},
    error::{Error, Result},
    id::{JobId, TenantId},
    store::{
        Store,
        admin::{NewAction, Outcome},
        jobs::{JobFilter, JobRow, LogFilter, LogPlace, Logged, Place},
    },
    wire::{
        self,
        admin::{
            job::{queue, state},
            reason,
            v1::{
                CancelJobRequest, CancelJobResponse, GetJobRequest, GetJobResponse, GetQueueStatsRequest,
                GetQueueStatsResponse, ListJobLogRequest, ListJobLogResponse, ListJobsRequest,
                ListJobsResponse, PauseQueueRequest, PauseQueueResponse, RedriveJobsRequest,
                RedriveJobsResponse, ResumeQueueRequest, ResumeQueueResponse, get_job_response::Found,
                job_service_server::JobService,
            },
        },
        page::Page,
        tenant::instant,
    },
};

/// Jobs that are redriven when nobody says how many.
const REDRIVEN: u32 = 100;

/// Serves jobs to staff.
pub struct Jobs {
    store: Store,
}

impl Jobs {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl JobService for Jobs {
    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        Caller::of(&request)?.staff()?;
        let ListJobsRequest { tenant_id, queue: of, kind, state: at, page_size, page_token } =
            request.into_inner();
        let filter = JobFilter {
            tenant: wire::optional_id("tenant_id", &tenant_id)?,
            queue: queue("queue", of)?,
            kind: Some(kind.clone()).filter(|kind| !kind.is_empty()),
            state: state("state", at)?,
        };
        let (queue, state) = (of.to_string(), at.to_string());
        let bound = [&tenant_id, &queue, &kind, &state].map(String::as_str);
        let page = Page::<Place>::read("jobs", page_size, &page_token, &bound)?;

        let (rows, on) = self.store.system().jobs(&filter, page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row: &JobRow| (row.tenant, row.id));
        let next_page_token = page.or_on(next_page_token, on.as_ref());
        let jobs = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListJobsResponse { jobs, next_page_token }))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let GetJobRequest { tenant_id, job_id } = request.into_inner();
        let tenant: TenantId = wire::id("tenant_id", &tenant_id)?;
        let id: JobId = wire::id("job_id", &job_id)?;

        let db = self.store.of(scope(&caller, staff, tenant));
        // In this order: a job moves into the log, and never back.
        let found = match db.job(id).await? {
            Some(job) => Found::Job((&job).into()),
            None => {
                let logged = db.logged_job(id).await?;
                Found::LogEntry((&logged.ok_or_else(|| Error::not_found("job", id))?).into())
            }
        };
        Ok(Response::new(GetJobResponse { found: Some(found) }))
    }

    async fn get_queue_stats(
        &self,
        request: Request<GetQueueStatsRequest>,
    ) -> Result<Response<GetQueueStatsResponse>, Status> {
        Caller::of(&request)?.staff()?;
        let stats = self.store.system().queue_stats().await?;
        Ok(Response::new(GetQueueStatsResponse { queues: stats.iter().map(Into::into).collect() }))
    }

    async fn cancel_job(
        &self,
        request: Request<CancelJobRequest>,
    ) -> Result<Response<CancelJobResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let CancelJobRequest { tenant_id, job_id, reason: why } = request.into_inner();
        let tenant: TenantId = wire::id("tenant_id", &tenant_id)?;
        let id: JobId = wire::id("job_id", &job_id)?;
        let why = reason(&why)?;

        let answer = self
            .store
            .of(scope(&caller, staff, tenant))
            .command(
                async |db| {
                    let (seen, already) = db.stop_job(id).await?;
                    let was = seen.state.map_or("unknown", JobState::name);
                    db.record_action(NewAction {
                        action: "job.cancel",
                        target_kind: "job",
                        target_id: id.to_string(),
                        staff: staff.user(),
                        reason: why.clone(),
                        outcome: match already {
                            true => Outcome::Already("cancelled"),
                            false => Outcome::Changed(json!({"state": was})),
                        },
                    })
                    .await?;
                    if !already {
                        db.emit(Event::TenantUpdated {
                            subject: id.to_string(),
                            action: "job.cancelled".to_owned(),
                        });
                    }
                    let now = db.job(id).await?.ok_or_else(|| Error::not_found("job", id))?;
                    Ok((now, already))
                },
                |(job, already_in_state)| {
                    Ok(CancelJobResponse { job: Some((&job).into()), already_in_state })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn redrive_jobs(
        &self,
        request: Request<RedriveJobsRequest>,
    ) -> Result<Response<RedriveJobsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let staff = caller.staff()?;
        let RedriveJobsRequest { tenant_id, job_id, queue: of, kind, max_jobs, reason: why } =
            request.into_inner();
        let filter = JobFilter {
            tenant: wire::optional_id("tenant_id", &tenant_id)?,
            queue: queue("queue", of)?,
            kind: Some(kind).filter(|kind| !kind.is_empty()),
            state: Some(JobState::Dead),
        };
        let job = wire::optional_id::<JobId>("job_id", &job_id)?;
        if job.is_some() && filter.tenant.is_none() {
            return Err(Error::invalid("tenant_id", "must be set with job_id").into());
        }
        let most = match u32::try_from(max_jobs) {
            Ok(0) => REDRIVEN,
            Ok(most) => most,
            Err(_) => return Err(Error::invalid("max_jobs", "must not be negative").into()),
        };
        let why = reason(&why)?;

        let answer = self
            .store
            .system()
            .command(
                staff,
                caller.idempotency.as_deref(),
                async |db| {
                    let done = db.redrive(&filter, job, most).await?;
                    if let Some(job) = job.filter(|_| done.jobs.is_empty() && done.superseded == 0) {
                        return Err(Error::not_found("dead job", job));
                    }
                    let (target_kind, target_id) = match (job, filter.tenant) {
                        (Some(job), _) => ("job", job.to_string()),
                        (None, Some(tenant)) => ("tenant", tenant.to_string()),
                        (None, None) => ("platform", "jobs".to_owned()),
                    };
                    let outcome = json!({
                        "queue": filter.queue.map(Queue::name), "kind": filter.kind,
                        "redriven": done.jobs.len(), "superseded": done.superseded,
                    });
                    db.record_action(NewAction {
                        action: "job.redrive",
                        target_kind,
                        target_id,
                        staff: staff.user(),
                        reason: why.clone(),
                        outcome: Outcome::Changed(outcome),
                    })
                    .await?;
                    Ok(done)
                },
                |done| {
                    Ok(RedriveJobsResponse {
                        redriven_count: i32::try_from(done.jobs.len()).unwrap_or(i32::MAX),
                        superseded_count: i32::try_from(done.superseded).unwrap_or(i32::MAX),
                        more: done.more,
                    })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn list_job_log(
        &self,
        request: Request<ListJobLogRequest>,
    ) -> Result<Response<ListJobLogResponse>, Status> {
        Caller::of(&request)?.staff()?;
        let ListJobLogRequest {
            tenant_id,
            queue: of,
            kind,
            outcome,
            start_time,
            end_time,
            page_size,
            page_token,
        } = request.into_inner();
        let filter = LogFilter {
            tenant: wire::optional_id("tenant_id", &tenant_id)?,
            queue: queue("queue", of)?,
            kind: Some(kind.clone()).filter(|kind| !kind.is_empty()),
            outcome: state("outcome", outcome)?,
            from: start_time.map(|at| instant("start_time", &at)).transpose()?,
            until: end_time.map(|at| instant("end_time", &at)).transpose()?,
        };
        if filter.outcome.is_some_and(|outcome| !outcome.is_over()) {
            return Err(Error::invalid("outcome", "must be done, dead or cancelled").into());
        }
        let rest = format!("{of} {outcome} {:?} {:?}", filter.from, filter.until);
        let bound = [&tenant_id, &kind, &rest].map(String::as_str);
        let page = Page::<LogPlace>::read("job log", page_size, &page_token, &bound)?;

        let (rows, on) = self.store.system().job_log(&filter, page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, Logged::place);
        let next_page_token = page.or_on(next_page_token, on.as_ref());
        let entries = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListJobLogResponse { entries, next_page_token }))
    }

    async fn pause_queue(
        &self,
        request: Request<PauseQueueRequest>,
    ) -> Result<Response<PauseQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let PauseQueueRequest { queue: of, reason: why } = request.into_inner();
        let already_in_state = !self.hold(&caller, of, &why, true).await?;
        Ok(Response::new(PauseQueueResponse { already_in_state }))
    }

    async fn resume_queue(
        &self,
        request: Request<ResumeQueueRequest>,
    ) -> Result<Response<ResumeQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ResumeQueueRequest { queue: of, reason: why } = request.into_inner();
        let already_in_state = !self.hold(&caller, of, &why, false).await?;
        Ok(Response::new(ResumeQueueResponse { already_in_state }))
    }
}

impl Jobs {
    /// Pauses a queue or lets it go on; tells whether that changed anything.
    async fn hold(&self, caller: &Caller, of: i32, why: &str, pause: bool) -> Result<bool> {
        let staff = caller.staff()?;
        let queue = queue("queue", of)?.ok_or_else(|| Error::invalid("queue", "must be set"))?;
        let why = reason(why)?;
        let (action, now, before) = match pause {
            true => ("queue.pause", "paused", "running"),
            false => ("queue.resume", "running", "paused"),
        };
        // The answers of both methods have the same shape.
        let answer: PauseQueueResponse = self
            .store
            .system()
            .command(
                staff,
                caller.idempotency.as_deref(),
                async |db| {
                    let changed = match pause {
                        true => db.pause_queue(queue, &why, &Actor::User(staff.user()).label()).await?,
                        false => db.resume_queue(queue).await?,
                    };
                    db.record_action(NewAction {
                        action,
                        target_kind: "queue",
                        target_id: queue.name().to_owned(),
                        staff: staff.user(),
                        reason: why.clone(),
                        outcome: match changed {
                            true => Outcome::Changed(json!({"status": before})),
                            false => Outcome::Already(now),
                        },
                    })
                    .await?;
                    Ok(changed)
                },
                |changed| Ok(PauseQueueResponse { already_in_state: !changed }),
            )
            .await?;
        Ok(!answer.already_in_state)
    }
}
