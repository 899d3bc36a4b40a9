//! What is printed: `name value unit ratio-to-ceiling`, and behind `#` what the ceiling was.

use std::{process::ExitCode, time::Duration};

use super::generator::Outcome;

/// Figures so far, and what went wrong with them.
#[derive(Default)]
pub struct Report {
    failed: u64,
    missed: Vec<String>,
}

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

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    /// One figure. The ratio is held against the target if there is one, else the value is.
    pub fn line(
        &mut self,
        name: &str,
        value: f64,
        unit: &str,
        ratio: Option<f64>,
        target: Option<Target>,
        note: &str,
    ) {
        let judged = ratio.unwrap_or(value);
        let verdict = target.map(|target| {
            let (met, text) = match target {
                Target::AtLeast(least) => (judged >= least, format!("at least {least}")),
                Target::AtMost(most) => (judged <= most, format!("at most {most}")),
            };
            if !met {
                self.missed.push(name.to_owned());
            }
            format!("target {text}: {}", if met { "met" } else { "MISSED" })
        });
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let notes: Vec<_> = verdict.into_iter().chain((!note.is_empty()).then(|| note.to_owned())).collect();
        let note = if notes.is_empty() { String::new() } else { format!("  # {}", notes.join("; ")) };
        println!("{name:<34} {value:>9.digits$} {unit:<7} {ratio:>5}{note}", digits = digits(value));
    }

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

    /// The last lines. A missed target is a figure, a failed request is a defect.
    pub fn end(self) -> ExitCode {
        let missed = if self.missed.is_empty() { "none".to_owned() } else { self.missed.join(", ") };
        println!("# targets missed: {missed}");
        println!("# requests failed: {}", self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn digits(value: f64) -> usize {
    if value < 100.0 { 2 } else { 0 }
}
