//! Prints figures, each beside its ceiling: `name value unit ratio-to-ceiling`, and behind `#` how the ceiling came
//! about. Needs PostgreSQL and Redis on the machine; brings its own up, durable, and takes them away.
//!
//! Everything shares the machine's cores: the load, the server, PostgreSQL. A ceiling is measured the same way, in
//! the same run: pgbench with the statements that PostgreSQL received for one request of the same kind, and a bare
//! tonic echo with messages of the same size. A request that fails ends the run with an error.
//!
//! A read needs both, one after the other, on the same cores: that is the ceiling it is held against; the ratio to each
//! alone stands behind `#`. How near a program of these libraries can come is measured too: the bare handler is
//! the echo, asking the same statements through sqlx before it answers, and throwing the rows away.
//!
//! `cargo bench --bench load -- reads` measures one group: see [`GROUPS`].

mod echo;
mod embedded;
mod fanout;
#[path = "../common/figures.rs"]
mod figures;
mod generator;
mod ingestion;
#[path = "../common/services.rs"]
mod machine;
mod reads;
mod recording;
mod report;
mod sending;
mod services;
mod shop;

use std::{process::ExitCode, time::Duration};

use report::Report;
use services::{Server, Services, keys, migrate};
use shop::Shop;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, size, rest @ ..] = &arguments[..]
        && mode == echo::MODE
    {
        return echo::serve(size, rest);
    }
    // One thread, as pgbench has: the load leaves the rest to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // cargo says `--bench`; everything else names groups.
    let asked: Vec<_> = arguments[1..].iter().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = asked.iter().find(|group| !GROUPS.contains(&group.as_str())) {
        eprintln!("{unknown} is none of {}", GROUPS.join(", "));
        return ExitCode::FAILURE;
    }
    runtime.block_on(measure(|group| asked.is_empty() || asked.iter().any(|asked| *asked == group)))
}

/// What is measured, in this order.
const GROUPS: [&str; 6] = ["embedded", "ingestion", "reads", "sending", "everything", "fanout"];

async fn measure(wanted: impl Fn(&str) -> bool) -> ExitCode {
    conditions();
    let services = Services::start();
    let mut report = Report::default();
    if wanted("embedded") {
        embedded::measure(&mut report, &services).await;
    }

    let settings = |url: &str| {
        let mut settings = keys();
        settings.push(("DATABASE_URL", url.to_owned()));
        settings.push(("REDIS_URL", services.redis_url.clone()));
        settings.extend(LIFTED.map(|name| (name, "60000000/1m".to_owned())));
        settings
    };
    if ["ingestion", "reads", "sending"].into_iter().any(&wanted) {
        migrate(&services.database_url);
        let server = Server::start(&settings(&services.database_url), &["--only", "api"]);
        let shop = Shop::open(&server.address).await;
        // More than a page of messages each.
        shop.fill(&server.address, 110).await;
        if wanted("ingestion") {
            ingestion::measure(&mut report, &services, &server, &shop).await;
        }
        if wanted("reads") {
            reads::measure(&mut report, &services, &server, &shop).await;
        }
        if wanted("sending") {
            sending::measure(&mut report, &services, &server, &shop).await;
        }
    }
    if wanted("everything") {
        let url = services.another("everything");
        migrate(&url);
        let server = Server::start(&settings(&url), &[]);
        let shop = Shop::open(&server.address).await;
        shop.fill(&server.address, 1).await;
        // Until these are drafted.
        tokio::time::sleep(Duration::from_secs(5)).await;
        ingestion::measure_all(&mut report, &server, &shop).await;
    }
    if wanted("fanout") {
        let url = services.another("fanout");
        migrate(&url);
        let mut settings = settings(&url);
        // Each stream is a request that lasts.
        settings.push(("SWITCHBOARD_MAX_IN_FLIGHT", "4096".to_owned()));
        let server = Server::start(&settings, &[]);
        let shop = Shop::open(&server.address).await;
        fanout::measure(&mut report, &server, &shop).await;
    }
    report.end()
}

/// Limits that a measurement would run into. They count as ever, in Redis.
const LIFTED: [&str; 4] = [
    "SWITCHBOARD_RATE_READ",
    "SWITCHBOARD_RATE_WRITE",
    "SWITCHBOARD_RATE_WEBHOOK",
    "SWITCHBOARD_RATE_STREAM",
];

fn conditions() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("# {cores} cores, load average before {}", load.join(" "));
    println!("# {} callers; PostgreSQL with fsync, Redis with its append-only file", ingestion::CALLERS);
    println!("# rate limits lifted to 60000000/1m, still counted: {}", LIFTED.join(", "));
    println!(
        "# server: --only api, log level error; ingestion.all_roles also drafts, relays and numbers events"
    );
}
