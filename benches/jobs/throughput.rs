//! How many jobs a second are added and processed: ours and BullMQ in turn, round by round.

use std::time::Duration;

use super::{
    bullmq::BullMq,
    figures::{Report, Target},
    machine::Services,
    place::Place,
};

/// Each figure is the middle one of so many.
const ROUNDS: usize = 3;
/// Jobs of a backlog.
const BACKLOG: usize = 20_000;
/// Jobs of a backlog that one slot takes.
const SMALL: usize = 1_000;
/// Jobs at once, on both sides.
const SLOTS: usize = 100;
const CALLERS: usize = 16;
const BULK: usize = 100;

/// Jobs a second, round by round.
#[derive(Default)]
struct Rates(Vec<f64>);

impl Rates {
    fn middle(&self) -> f64 {
        middle(self.0.clone())
    }

    /// The middle one of the ratios of each round.
    fn over(&self, other: &Self) -> f64 {
        middle(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).collect())
    }

    fn range(&self) -> String {
        let (least, most) =
            self.0.iter().fold((f64::MAX, 0_f64), |(a, b), rate| (a.min(*rate), b.max(*rate)));
        format!("{least:.0} to {most:.0}")
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What BullMQ came to.
#[derive(Default)]
struct Theirs {
    one: Rates,
    callers: Rates,
    bulk: Rates,
    single: Rates,
    many: Rates,
}

/// What a place came to.
#[derive(Default)]
struct Ours {
    one: Rates,
    bulk: Rates,
    single: Rates,
    many: Rates,
}

pub async fn measure(report: &mut Report, services: &Services, bullmq: &mut BullMq, places: &[Place]) {
    let (mut theirs, mut ours) = (Theirs::default(), Vec::new());
    ours.resize_with(places.len(), Ours::default);
    for _ in 0..ROUNDS {
        theirs.one.0.push(bullmq.add(3_000, 1, 1));
        theirs.callers.0.push(bullmq.add(20_000, CALLERS, 1));
        theirs.bulk.0.push(bullmq.add(40_000, 4, BULK));
        for (place, ours) in places.iter().zip(&mut ours) {
            if place.enqueues() {
                let period = Duration::from_secs(2);
                ours.one.0.push(enqueue(report, place, CALLERS, 1, period).await);
                ours.bulk.0.push(enqueue(report, place, 4, BULK, period).await);
            }
        }
        theirs.many.0.push(bullmq.process(BACKLOG, SLOTS));
        for (place, ours) in places.iter().zip(&mut ours) {
            ours.many.0.push(process(services, place, BACKLOG, SLOTS).await);
        }
        theirs.single.0.push(bullmq.process(4 * SMALL, 1));
        for (place, ours) in places.iter().zip(&mut ours) {
            ours.single.0.push(process(services, place, SMALL, 1).await);
        }
    }

    let mut line = |name: &str, rates: &Rates, beside: Option<&Rates>, target| {
        let ratio = beside.map(|other| rates.over(other));
        report.line(name, rates.middle(), "jobs/s", ratio, target, &rates.range());
    };
    line("bullmq.add.1caller", &theirs.one, None, None);
    line("bullmq.add.16callers", &theirs.callers, None, None);
    line("bullmq.add.bulk100", &theirs.bulk, None, None);
    for (place, ours) in places.iter().zip(&ours).filter(|(place, _)| place.enqueues()) {
        let name = place.database;
        line(&format!("enqueue.{name}.16callers"), &ours.one, Some(&theirs.callers), None);
        line(&format!("enqueue.{name}.tx100"), &ours.bulk, Some(&theirs.bulk), None);
    }
    line("bullmq.process.100", &theirs.many, None, None);
    for (place, ours) in places.iter().zip(&ours) {
        // SQLite is for one small process: it is shown, not held against a target.
        let target = (place.database == "postgres").then_some(Target::AtLeast(3.0));
        line(&format!("process.{}.100", place.name), &ours.many, Some(&theirs.many), target);
    }
    line("bullmq.process.1", &theirs.single, None, None);
    for (place, ours) in places.iter().zip(&ours) {
        line(&format!("process.{}.1", place.name), &ours.single, Some(&theirs.single), None);
    }
}

async fn enqueue(report: &mut Report, place: &Place, callers: usize, each: usize, period: Duration) -> f64 {
    let (rate, failed) = place.enqueue(callers, each, period).await;
    if failed > 0 {
        println!("# {}: {failed} transactions FAILED", place.name);
        report.failed += failed;
    }
    place.clear().await;
    rate
}

async fn process(services: &Services, place: &Place, count: usize, slots: usize) -> f64 {
    place.fill(&place.tenants, count, 0).await;
    services.settle();
    let rate = place.process(count, slots).await;
    place.clear().await;
    rate
}
