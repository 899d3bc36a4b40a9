//! Figures beside the ceilings they are held against.

pub use super::figures::{Report, Target, ms};
use super::generator::Outcome;

/// What a figure is held against.
#[derive(Clone, Debug)]
pub struct Ceiling {
    pub name: &'static str,
    pub outcome: Outcome,
}

impl Ceiling {
    pub fn new(name: &'static str, outcome: Outcome) -> Self {
        Self { name, outcome }
    }
}

impl Report {
    /// Rate and latencies beside the lowest of `ceilings`.
    pub fn outcome(&mut self, name: &str, outcome: &Outcome, ceilings: &[Ceiling], target: Option<Target>) {
        self.failures(name, outcome);
        let lowest = ceilings.iter().min_by(|a, b| a.outcome.per_second.total_cmp(&b.outcome.per_second));
        let Some(lowest) = lowest else {
            self.line(name, outcome.per_second, "req/s", None, None, "");
            return self.latencies(name, outcome, None);
        };
        let ratio = |ceiling: &Ceiling| outcome.per_second / ceiling.outcome.per_second;
        let note: Vec<_> = std::iter::once(lowest)
            .chain(ceilings.iter().filter(|other| other.name != lowest.name))
            .map(|each| format!("{:.2} of {} {:.0}", ratio(each), each.name, each.outcome.per_second))
            .collect();
        self.line(name, outcome.per_second, "req/s", Some(ratio(lowest)), target, &note.join(", "));
        self.latencies(name, outcome, Some(lowest));
    }

    fn latencies(&mut self, name: &str, outcome: &Outcome, ceiling: Option<&Ceiling>) {
        for (label, took, least) in [
            ("p50", outcome.p50, ceiling.map(|ceiling| ceiling.outcome.p50)),
            ("p99", outcome.p99, ceiling.map(|ceiling| ceiling.outcome.p99)),
        ] {
            let note = match (ceiling, least) {
                (Some(ceiling), Some(least)) => format!("of {} {:.2}", ceiling.name, ms(least)),
                _ => String::new(),
            };
            let ratio = least.map(|least| took.as_secs_f64() / least.as_secs_f64().max(1e-9));
            self.line(&format!("{name}.{label}"), ms(took), "ms", ratio, None, &note);
        }
    }

    /// Counts the requests that failed.
    pub fn failures(&mut self, name: &str, outcome: &Outcome) {
        if outcome.failed > 0 {
            println!("# {name}: {} requests FAILED", outcome.failed);
            self.failed += outcome.failed;
        }
    }
}
