//! What the processes count, over all their lives: each is asked twice a second, and before it is killed.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

/// The counters that the faults of a whole round must have moved: what stands at zero was not tested.
pub const MOVED: &[&str] = &[
    "switchboard_jobs_stale_dropped_total",
    "switchboard_jobs_fenced_completion_total",
    "switchboard_jobs_lease_expired_total",
    "switchboard_jobs_gen_republish_total",
    "switchboard_jobs_ambiguous_intent_total",
    "switchboard_jobs_effect_unknown_total",
    "switchboard_jobs_snoozed_total",
    "switchboard_jobs_poison_total",
    "switchboard_jobs_unadmitted_total",
    "switchboard_jobs_takeover_total",
    "switchboard_jobs_pg_only_seconds",
];

/// The highest value of each series in each life of each process.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<HashMap<(u32, String), f64>>>);

impl Counters {
    /// Takes note of what the life `pid` answered to `GET /metrics`.
    pub fn note(&self, pid: u32, metrics: &str) {
        let mut known = self.0.lock().expect("no reader panicked");
        for line in metrics.lines().filter(|line| line.starts_with("switchboard_jobs_")) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let most = known.entry((pid, series.to_owned())).or_default();
            *most = most.max(value);
        }
    }

    /// By name, summed over labels and lives.
    pub fn totals(&self) -> BTreeMap<String, f64> {
        let mut totals = BTreeMap::new();
        for ((_, series), value) in self.0.lock().expect("no reader panicked").iter() {
            let name = series.split('{').next().unwrap_or_default();
            *totals.entry(name.to_owned()).or_default() += value;
        }
        totals
    }
}
