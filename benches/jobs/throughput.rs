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
/// How long callers enqueue.
const PERIOD: Duration = Duration::from_secs(2);

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

pub async fn add(report: &mut Report, bullmq: &mut BullMq, places: &[Place]) {
    // One caller, many callers, many jobs a call.
    let mut theirs: [Rates; 3] = Default::default();
    // Many callers, many jobs a transaction; enqueuing asks the database alone, so each is measured once.
    let places = [&places[0], &places[2]];
    let mut ours: [[Rates; 2]; 2] = Default::default();
    for _ in 0..ROUNDS {
        theirs[0].0.push(bullmq.add(5_000, 1, 1));
        theirs[1].0.push(bullmq.add(20_000, CALLERS, 1));
        theirs[2].0.push(bullmq.add(40_000, 4, BULK));
        for (place, ours) in places.iter().zip(&mut ours) {
            ours[0].0.push(enqueue(report, place, CALLERS, 1).await);
            ours[1].0.push(enqueue(report, place, 4, BULK).await);
        }
    }
    let [one, callers, bulk] = &theirs;
    line(report, "bullmq.add.1caller", one, None, None);
    line(report, "bullmq.add.16callers", callers, None, None);
    line(report, "bullmq.add.bulk100", bulk, None, None);
    for (place, ours) in places.iter().zip(&ours) {
        let name = place.database;
        line(report, &format!("enqueue.{name}.16callers"), &ours[0], Some(callers), None);
        line(report, &format!("enqueue.{name}.tx100"), &ours[1], Some(bulk), None);
    }
}

pub async fn process(report: &mut Report, services: &Services, bullmq: &mut BullMq, places: &[Place]) {
    // Many slots, one slot.
    let mut theirs: [Rates; 2] = Default::default();
    let mut ours: Vec<[Rates; 2]> = places.iter().map(|_| Default::default()).collect();
    for _ in 0..ROUNDS {
        for (nth, (jobs, slots)) in [(BACKLOG, SLOTS), (SMALL, 1)].into_iter().enumerate() {
            theirs[nth].0.push(bullmq.process(if nth == 0 { jobs } else { 4 * jobs }, slots));
            for (place, ours) in places.iter().zip(&mut ours) {
                ours[nth].0.push(backlog(services, place, jobs, slots).await);
            }
        }
    }
    for (nth, slots) in [SLOTS, 1].into_iter().enumerate() {
        line(report, &format!("bullmq.process.{slots}"), &theirs[nth], None, None);
        for (place, ours) in places.iter().zip(&ours) {
            // SQLite is for one small process: it is shown, not held against a target.
            let held = nth == 0 && place.database == "postgres";
            let target = held.then_some(Target::AtLeast(3.0));
            let name = format!("process.{}.{slots}", place.name);
            line(report, &name, &ours[nth], Some(&theirs[nth]), target);
        }
    }
}

fn line(report: &mut Report, name: &str, rates: &Rates, beside: Option<&Rates>, target: Option<Target>) {
    let ratio = beside.map(|other| rates.over(other));
    report.line(name, rates.middle(), "jobs/s", ratio, target, &rates.range());
}

async fn enqueue(report: &mut Report, place: &Place, callers: usize, each: usize) -> f64 {
    let (rate, failed) = place.enqueue(callers, each, PERIOD).await;
    if failed > 0 {
        println!("# {}: {failed} transactions FAILED", place.name);
        report.failed += failed;
    }
    place.clear().await;
    rate
}

async fn backlog(services: &Services, place: &Place, count: usize, slots: usize) -> f64 {
    place.fill(&place.tenants, count, 0).await;
    services.settle();
    let rate = place.process(count, slots).await;
    place.clear().await;
    rate
}
