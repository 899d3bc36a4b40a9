//! What is printed: `name value unit ratio`, and behind `#` the target and what else is to be known.

use std::{process::ExitCode, time::Duration};

/// Figures so far, and what went wrong with them.
#[derive(Default)]
pub struct Report {
    pub failed: u64,
    missed: Vec<String>,
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

    /// The last lines. A missed target is a figure, a failed request is a defect.
    pub fn end(self) -> ExitCode {
        let missed = if self.missed.is_empty() { "none".to_owned() } else { self.missed.join(", ") };
        println!("# targets missed: {missed}");
        println!("# failed: {}", self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn digits(value: f64) -> usize {
    if value < 100.0 { 2 } else { 0 }
}
