//! How long jobs wait: at a steady rate, and beside somebody else's backlog.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use switchboard::auth::TenantScope;
use tokio_util::task::TaskTracker;

use super::{
    board::{self, Waits},
    bullmq::BullMq,
    figures::{Report, Target, ms},
    place::{Place, promise},
};

/// Jobs offered a second.
const RATE: usize = 1_000;
const SLOTS: usize = 100;
/// Until everything is warm.
const WARM_UP: usize = 2;
const SECONDS: usize = 8;

/// Enqueue → start, at [`RATE`].
pub async fn latency(report: &mut Report, bullmq: &mut BullMq, places: &[Place]) {
    let [p50, p99] = bullmq.pace(RATE, (WARM_UP + SECONDS) as u64);
    report.line("bullmq.start.due.p50", ms(p50), "ms", None, None, "from when it was due to be added");
    report.line("bullmq.start.due.p99", ms(p99), "ms", None, None, "");
    for place in places {
        board::wipe();
        let running = place.start(SLOTS).await;
        let numbers = 0..RATE * (WARM_UP + SECONDS);
        let failed = pace(place, &place.tenants, numbers.clone(), RATE, 0).await;
        let begin = Instant::now();
        while board::started() + failed < numbers.end && begin.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let waits = board::waits(RATE * WARM_UP..numbers.end);
        running.stop().await;
        place.clear().await;
        report.failed += (failed + waits.unstarted) as u64;
        let Waits { promised, due, unstarted } = waits;
        let name = format!("start.{}", place.name);
        let at_most = |most| (place.database == "postgres").then_some(Target::AtMost(most));
        let note = format!("from the commit; {failed} failed, {unstarted} never started");
        report.line(&format!("{name}.p50"), ms(promised[0]), "ms", None, at_most(5.0), &note);
        report.line(&format!("{name}.p99"), ms(promised[1]), "ms", None, at_most(50.0), "");
        report.line(&format!("{name}.due.p50"), ms(due[0]), "ms", None, None, "with the transaction");
        report.line(&format!("{name}.due.p99"), ms(due[1]), "ms", None, None, "");
    }
}

/// Jobs that the big tenant has waiting.
const BIG: usize = 60_000;
const SMALL_TENANTS: usize = 19;
/// Jobs that the small ones enqueue a second, together.
const SMALL_RATE: usize = 100;
/// Each job keeps its slot so long: a hundred slots do a thousand jobs a second.
const HOLD: u64 = 100;

/// What 19 small tenants wait for beside one with 60,000 jobs, when a thousand jobs a second are done.
pub async fn fairness(report: &mut Report, place: &Place) {
    let mut small = Vec::new();
    for _ in 0..SMALL_TENANTS {
        small.push(place.newcomer().await);
    }
    place.fill(&place.tenants[..1], BIG, HOLD).await;
    board::wipe();
    let running = place.start(SLOTS).await;
    tokio::time::sleep(Duration::from_secs(WARM_UP as u64)).await;
    let (begin, before) = (Instant::now(), board::started());
    let numbers = BIG..BIG + SMALL_RATE * 15;
    let failed = pace(place, &small, numbers.clone(), SMALL_RATE, HOLD).await;
    let all = (board::started() - before) as f64 / begin.elapsed().as_secs_f64();
    // The last of them get the time that is the target.
    tokio::time::sleep(Duration::from_millis(250)).await;
    let Waits { promised, unstarted, .. } = board::waits(numbers);
    running.stop().await;
    place.clear().await;
    report.failed += failed as u64;
    let name = format!("fair.{}", place.name);
    let note = format!("{failed} failed, {unstarted} had not started at the end");
    report.line(&format!("{name}.small.p50"), ms(promised[0]), "ms", None, None, &note);
    report.line(&format!("{name}.small.p99"), ms(promised[1]), "ms", None, Some(Target::AtMost(250.0)), "");
    report.line(&format!("{name}.all"), all, "jobs/s", None, None, "of 1000 that the slots could do");
}

/// Enqueues the jobs of `numbers` at a steady rate, each in a transaction of its own; returns how many failed.
async fn pace(
    place: &Place,
    of: &[TenantScope],
    numbers: std::ops::Range<usize>,
    rate: usize,
    hold: u64,
) -> usize {
    let (tasks, failed) = (TaskTracker::new(), Arc::new(AtomicU64::new(0)));
    let each = Duration::from_secs_f64(1.0 / rate as f64);
    let mut next = tokio::time::Instant::now();
    for n in numbers {
        next += each;
        tokio::time::sleep_until(next).await;
        board::due(n, next.into_std());
        let (store, scope, failed) = (place.store.clone(), of[n % of.len()].clone(), failed.clone());
        tasks.spawn(async move {
            if promise(&store, &scope, n..n + 1, hold).await {
                board::promised(n);
            } else {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    usize::try_from(failed.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
}
