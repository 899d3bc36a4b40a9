//! Prints figures of background jobs, BullMQ beside ours: `name value unit ratio`, and behind `#` the target and the
//! range over the rounds. Needs PostgreSQL, Redis and Node.js on the machine; brings servers of its own up, durable, and
//! takes them away.
//!
//! Everything shares the machine's cores: the callers, the engine, PostgreSQL, Redis, Node. Ours and BullMQ take turns in one
//! run, on one Redis, and a ratio is formed within a round: what disturbs the machine disturbs both. The handlers
//! do nothing. `docs/performance.md` says what is comparable.
//!
//! `cargo bench --bench jobs -- latency` measures one group: see [`GROUPS`].

mod board;
mod bullmq;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/services.rs"]
mod machine;
mod place;
mod throughput;
mod waiting;

use std::process::ExitCode;

use bullmq::BullMq;
use figures::Report;
use machine::Services;
use place::Place;

/// As the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is measured, in this order.
const GROUPS: [&str; 4] = ["add", "process", "latency", "fairness"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // cargo says `--bench`; everything else names groups.
    let asked: Vec<_> = arguments[1..].iter().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = asked.iter().find(|group| !GROUPS.contains(&group.as_str())) {
        eprintln!("{unknown} is none of {}", GROUPS.join(", "));
        return ExitCode::FAILURE;
    }
    // As many threads as cores, as the server has.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(|group| asked.is_empty() || asked.iter().any(|asked| *asked == group)))
}

async fn measure(wanted: impl Fn(&str) -> bool) -> ExitCode {
    conditions();
    let services = Services::start();
    let mut bullmq = BullMq::start(&services.redis_url);
    let (postgres, redis) = (&services.database_url, &services.redis_url);
    let sqlite = format!("sqlite:{}?mode=rwc", services.scratch.join("jobs.db").display());
    let places = [
        Place::open("redis", "postgres", postgres, Some(redis)).await,
        Place::open("postgres", "postgres", postgres, None).await,
        Place::open("sqlite", "sqlite", &sqlite, None).await,
    ];
    let mut report = Report::default();
    if wanted("add") {
        throughput::add(&mut report, &mut bullmq, &places).await;
    }
    if wanted("process") {
        throughput::process(&mut report, &services, &mut bullmq, &places).await;
    }
    if wanted("latency") {
        waiting::latency(&mut report, &mut bullmq, &places).await;
    }
    if wanted("fairness") {
        waiting::fairness(&mut report, &places[0]).await;
    }
    report.end()
}

fn conditions() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("# {cores} cores, load average before {}", load.join(" "));
    println!("# PostgreSQL and SQLite sync each commit; Redis appends to its file and syncs once a second");
    println!("# ours: one process, {} connections, jobs of {} tenants", place::POOL, place::TENANTS);
    println!("# redis: rows in PostgreSQL, tickets in Redis; postgres: tickets in memory; sqlite: embedded");
    println!(
        "# BullMQ: one Node process, the options it has when none are given; it keeps jobs in Redis alone"
    );
}
