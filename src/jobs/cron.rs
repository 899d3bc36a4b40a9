//! Fires schedules, in every process that admits jobs: the database sees to it that each fire is one's. The
//! rules of times are in `domain::cron`, the rows in `store::jobs`.

use std::{borrow::Cow, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Job, drop_outdated::DropOutdated};
use crate::{
    auth::TenantScope,
    domain::cron::CatchUp,
    error::{Error, Result},
    id::TenantId,
    store::{Store, TenantDb, Tx, jobs::NewCron},
};

/// Schedules fired in one transaction.
const PIECE: u32 = 100;
/// How long a new time can stay unseen when its hint was lost; and the pause after an error.
const LONGEST: Duration = Duration::from_secs(5);
/// Somebody else is at work on what is due: it is looked at again after this.
const SHORTEST: Duration = Duration::from_millis(100);

/// The platform's own schedules.
fn built_in() -> Result<Vec<NewCron>> {
    // Five minutes are nothing to rows that were of use for days.
    Ok(vec![of("drop-outdated", "*/5 * * * *", "UTC", CatchUp::One, &DropOutdated {})?])
}

/// Makes the platform's own schedules known, or be like this version wants them; those that staff switched off
/// stay off. Does nothing where all is as it should be.
pub async fn register(store: &Store) -> Result<()> {
    let schedules = built_in()?;
    let db = store.of(TenantScope::of_platform(TenantId::PLATFORM));
    db.transaction(async |db| {
        for schedule in &schedules {
            db.crons().put(schedule.clone()).await?;
        }
        Ok(())
    })
    .await
}

/// Has a job like `job` made whenever `expression` fires in `time_zone`, from the commit of the transaction
/// behind `db` on. The schedule of that name, if there is one, becomes this one.
///
/// # Errors
/// INVALID_ARGUMENT naming `name`, `expression` or `time_zone`, also for an expression that never fires.
pub async fn schedule<J: Job>(
    db: &TenantDb<Tx>,
    name: &str,
    expression: &str,
    time_zone: &str,
    catch_up: CatchUp,
    job: &J,
) -> Result<()> {
    let (name, expression) = (name.to_owned(), expression.to_owned());
    db.crons().put(of(name, expression, time_zone.to_owned(), catch_up, job)?).await
}

fn of<J: Job>(
    name: impl Into<Cow<'static, str>>,
    expression: impl Into<Cow<'static, str>>,
    time_zone: impl Into<Cow<'static, str>>,
    catch_up: CatchUp,
    job: &J,
) -> Result<NewCron> {
    Ok(NewCron {
        name: name.into(),
        expression: expression.into(),
        time_zone: time_zone.into(),
        catch_up,
        queue: J::QUEUE,
        kind: J::NAME,
        payload: serde_json::to_vec(job).map_err(Error::internal)?,
        max_tries: J::MAX_TRIES,
    })
}

/// Fires what is due until `shutdown`.
pub(super) async fn run(store: Store, shutdown: CancellationToken) {
    loop {
        let pause = pass(&store).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot fire schedules");
            LONGEST
        });
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = store.hints().rescheduled() => {}
        }
    }
}

/// Fires a piece of what is due; answers how long to wait before the next look.
async fn pass(store: &Store) -> Result<Duration> {
    let fired = store.system().fire_due(PIECE).await?;
    metrics::counter!("switchboard_cron_fired_total").increment(fired.jobs.len() as u64);
    metrics::counter!("switchboard_cron_unreadable_total").increment(fired.unreadable.len() as u64);
    for (tenant, name) in &fired.unreadable {
        tracing::error!(%tenant, name, "a schedule cannot be read: another version wrote it");
    }
    if fired.more {
        return Ok(Duration::ZERO);
    }
    let Some(next) = store.system().next_fire().await? else { return Ok(LONGEST) };
    let wait = (next - store.env().now()).to_std().unwrap_or(Duration::ZERO);
    Ok(wait.clamp(SHORTEST, LONGEST))
}
