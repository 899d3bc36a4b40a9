//! Prints figures, each beside its ceiling: `name value unit ratio-to-ceiling`, and behind `#` how the ceiling came
//! about. Needs PostgreSQL and Redis on the machine; brings its own up, durable, and takes them away.
//!
//! Everything shares the machine's cores: the load, the server, PostgreSQL. A ceiling is measured the same way, in
//! the same run: pgbench with the statements that PostgreSQL received for one request of the same kind, and a bare
//! tonic echo with messages of the same size. Figures that fail a request end the run with an error.

mod echo;
mod embedded;
mod generator;
mod ingestion;
mod reads;
mod recording;
mod report;
mod sending;
mod services;
mod shop;

use std::process::ExitCode;

use report::Report;
use services::{Server, Services, keys, migrate};
use shop::Shop;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, size] = &arguments[..]
        && mode == echo::MODE
    {
        return echo::serve(size);
    }
    // One thread, as pgbench has: the load leaves the rest to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure())
}

async fn measure() -> ExitCode {
    conditions();
    let services = Services::start();
    let mut report = Report::default();
    embedded::measure(&mut report, &services).await;

    let settings = |url: &str| {
        let mut settings = keys();
        settings.push(("DATABASE_URL", url.to_owned()));
        settings.push(("REDIS_URL", services.redis_url.clone()));
        settings.extend(LIFTED.map(|name| (name, "60000000/1m".to_owned())));
        settings
    };
    migrate(&services.database_url);
    let server = Server::start(&settings(&services.database_url), &["--only", "api"]);
    let shop = Shop::open(&server.address).await;
    shop.fill(&server.address).await;
    ingestion::measure(&mut report, &services, &server, &shop, "ingestion").await;
    reads::measure(&mut report, &services, &server, &shop).await;
    sending::measure(&mut report, &services, &server, &shop).await;
    drop(server);

    let url = services.another("everything");
    migrate(&url);
    let server = Server::start(&settings(&url), &[]);
    let shop = Shop::open(&server.address).await;
    shop.fill(&server.address).await;
    ingestion::measure_all(&mut report, &server, &shop).await;
    report.end()
}

/// Limits that a measurement would run into. They count as ever, in Redis.
const LIFTED: [&str; 3] = ["SWITCHBOARD_RATE_READ", "SWITCHBOARD_RATE_WRITE", "SWITCHBOARD_RATE_WEBHOOK"];

fn conditions() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split(' ').take(3).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("# {cores} cores, load average before {}", load.join(" "));
    println!("# {} callers; PostgreSQL with fsync, Redis with its append-only file", ingestion::CALLERS);
    println!("# rate limits lifted to 60000000/1m, still counted: {}", LIFTED.join(", "));
    println!(
        "# server: --only api, except ingestion.all_roles, which also drafts, relays and numbers events"
    );
}
