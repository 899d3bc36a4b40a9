//! Chaos: real processes in their roles, real PostgreSQL and Redis, real HTTP, and one fault after another, while
//! customers write and operators answer. Then everything is mended, comes to rest and is counted.
//!
//! `CHAOS_SEED` chooses the order of the faults and what they hit; `CHAOS_SECONDS` is the least time they go on: a
//! round of all of them is always finished. The last line is
//! `chaos: seed=… acked=… lost=… doubled=… disordered=… unknown=… faults=…`, and the exit code tells whether all is
//! well. `CHAOS_MUTANT` names a mechanism to leave out: then all must not be well, see `mutants.rs`.
//!
//! Held are I1–I8, I10, I11, I13 and I15 of the catalogue. Not held, and why: I9, there is no ledger of money
//! that jobs write to; I12, the audit log has no chain; I14, under faults no wait is bounded: the fairness
//! tests and the benchmarks of jobs hold it in calm.

// Clippy holds helpers of tests to the rules of production code without this.
#![cfg(test)]

mod audit;
mod breaking;
#[path = "../it/support/cluster.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use the rest of it")]
mod cluster;
#[allow(dead_code, reason = "shared with the integration tests, which use the rest of it")]
mod conversation;
mod counters;
#[allow(dead_code, reason = "shared with the integration tests, which use the rest of it")]
mod faults;
mod mutants;
mod poison;
mod processes;
mod proxy;
mod trade;
mod watch;
mod world;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};

use self::{audit::Account, breaking::Fault, counters::MOVED, mutants::Mutant, trade::Trade, world::World};

fn main() -> ExitCode {
    // `cargo test NAME` runs what is called so; this has one name.
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if !asked.is_empty() && !asked.iter().any(|word| "chaos".contains(word.as_str())) {
        return ExitCode::SUCCESS;
    }
    let set = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let number = |name: &str, usual| match set(name).filter(|value| !value.is_empty()) {
        Some(value) => value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")),
        None => usual,
    };
    let (seed, seconds) = (number("CHAOS_SEED", 9), number("CHAOS_SECONDS", 60));
    let mutant = set("CHAOS_MUTANT").map(|name| Mutant::named(&name));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build();
    // On this thread the processes are started: they end with it.
    runtime.expect("threads").block_on(run(seed, Duration::from_secs(seconds), mutant))
}

async fn run(seed: u64, least: Duration, mutant: Option<Mutant>) -> ExitCode {
    let mut world = World::create(StdRng::seed_from_u64(seed), mutant.and_then(Mutant::without)).await;
    world.behave();
    let trade = Trade::open(&world);
    let faults = match mutant {
        None => everything(&mut world, least).await,
        Some(mutant) => mutant.provoke(&mut world).await,
    };
    let broken = mutant.and_then(Mutant::without).is_some();
    // Longer than tickets of an unknown kind are put off, on a machine with too much to do.
    let patience = Duration::from_secs(if broken { 40 } else { 150 });
    world.behave();
    world.mend().await;
    let mut account = Account::default();
    trade.close(&mut world, patience, &mut account).await;
    account.wrong.extend(world.watch.findings().await);
    let totals = world.counters.totals();
    if mutant.is_none() {
        println!("{totals:#?}");
        let still = MOVED.iter().filter(|name| totals.get(**name).is_none_or(|value| *value <= 0.0));
        account.wrong.extend(still.map(|name| format!("{name} is 0: that was not tested")));
    }
    let Account { acked, unknown, failed, lost, doubled, disordered, wrong } = &account;
    println!("{failed} messages failed, as their senders were told; {} lives of processes", world.lives());
    let whole = [lost, doubled, disordered, wrong].into_iter().all(Vec::is_empty) && *acked > 0;
    for (what, cases) in [("lost", lost), ("doubled", doubled), ("disordered", disordered), ("wrong", wrong)]
    {
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for case in cases {
            *counted.entry(case.as_str()).or_default() += 1;
        }
        for (case, count) in counted.iter().take(20) {
            println!("{what}: {case} ({count} times)");
        }
    }
    if !whole && mutant.is_none() {
        let kept = world.keep_logs();
        println!("seed {seed}: something is wrong; the logs are in {}", kept.display());
    }
    drop(world);
    println!(
        "chaos: seed={seed} acked={acked} lost={} doubled={} disordered={} unknown={unknown} faults={faults}",
        lost.len(),
        doubled.len(),
        disordered.len()
    );
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A round of everything, then whatever chance brings, until the time is over. Returns how much it was.
async fn everything(world: &mut World, least: Duration) -> usize {
    let begin = std::time::Instant::now();
    // Something to lose.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let round = breaking::round(world);
    let mut count = 0;
    for fault in &round {
        suffer(world, *fault, begin).await;
        count += 1;
    }
    while begin.elapsed() < least {
        // One worker that is out of date near the end would have everybody wait for it.
        let late = least.saturating_sub(begin.elapsed()) < Duration::from_secs(20);
        let fault = *round.choose(&mut world.chance).expect("a round is not empty");
        if !(late && fault == Fault::OldVersion) {
            suffer(world, fault, begin).await;
            count += 1;
        }
    }
    count
}

async fn suffer(world: &mut World, fault: Fault, begin: std::time::Instant) {
    println!("{:6.1} s {fault:?}", begin.elapsed().as_secs_f32());
    world.suffer(fault).await;
    world.rest(50..250).await;
}
