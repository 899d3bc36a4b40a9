//! Every measurement of the program: what it means, and which labels it can have. Those whose labels are known
//! beforehand are there from the start, so that an alert has a zero to compare with.

use metrics::Unit;

use crate::{domain::queue::Queue, jobs::measures::STATES, store::events::SHARDS};

/// One measurement.
pub struct Known {
    pub name: &'static str,
    pub kind: Kind,
    help: &'static str,
    labels: Labels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The labels of a measurement.
enum Labels {
    None,
    /// Bounded, and known only when it happens: methods, kinds of jobs.
    Open,
    Queue,
    QueueAndState,
    Bucket,
    Values(&'static str, &'static [&'static str]),
}

const fn counter(name: &'static str, labels: Labels, help: &'static str) -> Known {
    Known { name, kind: Kind::Counter, help, labels }
}
const fn gauge(name: &'static str, labels: Labels, help: &'static str) -> Known {
    Known { name, kind: Kind::Gauge, help, labels }
}
const fn histogram(name: &'static str, help: &'static str) -> Known {
    Known { name, kind: Kind::Histogram, help, labels: Labels::Open }
}

use Labels::{Bucket, None, Open, Queue as OfQueue, QueueAndState, Values};

/// All of them.
pub const KNOWN: &[Known] = &[
    counter("switchboard_requests_total", Open, "Requests by wire, method and status"),
    histogram("switchboard_request_seconds", "Time from a request's head to the end of its answer"),
    gauge("switchboard_requests_in_flight", None, "Requests and streams at work"),
    counter("switchboard_requests_shed_total", None, "Requests refused because too many were at work"),
    counter("switchboard_webhook_items_total", Open, "What messengers delivered, by what became of it"),
    counter("switchboard_events_numbered_total", None, "Events that got their place in a tenant's log"),
    counter(
        "switchboard_cancelled_begin_total",
        None,
        "Transactions whose caller left while they began or ended",
    ),
    counter("switchboard_jobs_total", Open, "Runs of jobs by kind and result"),
    histogram("switchboard_job_seconds", "Time that runs of jobs took"),
    counter("switchboard_jobs_admitted_total", OfQueue, "Jobs handed to workers"),
    counter("switchboard_jobs_unadmitted_total", None, "Jobs taken back because their tickets found no room"),
    counter(
        "switchboard_jobs_dead_total",
        Values("why", &["failed", "crashes"]),
        "Jobs that failed for good",
    ),
    counter(
        "switchboard_jobs_cancel_too_late_total",
        None,
        "Runs told to end that had nothing left to prevent",
    ),
    counter("switchboard_jobs_archived_total", None, "Ended jobs moved into the log"),
    counter("switchboard_jobs_stale_dropped_total", None, "Tickets whose job was started or dispatched anew"),
    counter(
        "switchboard_jobs_fenced_completion_total",
        None,
        "Results of jobs that another worker holds by now",
    ),
    counter("switchboard_jobs_reaped_total", None, "Tickets that nobody started in time"),
    counter("switchboard_jobs_lease_expired_total", None, "Running jobs whose worker fell silent"),
    counter("switchboard_jobs_crash_quarantined_total", None, "Jobs that took their workers down too often"),
    counter("switchboard_jobs_gen_republish_total", None, "Jobs dispatched anew after Redis was emptied"),
    counter("switchboard_jobs_takeover_total", None, "Shards that a relay took over"),
    counter("switchboard_jobs_poison_total", OfQueue, "Tickets that nobody can read"),
    counter("switchboard_jobs_snoozed_total", Values("why", &["unknown_kind"]), "Tickets put off"),
    counter(
        "switchboard_jobs_ambiguous_intent_total",
        Values("policy", &["key", "lookup", "resend", "hold"]),
        "Effects that an earlier run may have had",
    ),
    counter("switchboard_jobs_lookup_found_total", None, "Effects in doubt that turned out to have happened"),
    counter(
        "switchboard_jobs_effect_unknown_total",
        None,
        "Effects that nobody can tell whether they happened",
    ),
    counter("switchboard_cron_fired_total", None, "Jobs that schedules promised"),
    counter("switchboard_cron_unreadable_total", None, "Schedules that this version cannot read"),
    counter("switchboard_event_subscribers_dropped_total", None, "Streams let go because they took nothing"),
    gauge("switchboard_jobs_pg_only_seconds", None, "Time spent dispatching without Redis"),
    gauge("switchboard_jobs_completer_backlog", None, "Results that wait to be recorded"),
    gauge(
        "switchboard_jobs_relay_lag_seconds",
        None,
        "Time since a relay went through its queues, when it does again",
    ),
    gauge(
        "switchboard_jobs_oldest_ready_bucket_seconds",
        Bucket,
        "Wait of the oldest ready job of an eighth of the tenants, told by the relay that serves it",
    ),
    gauge(
        "switchboard_jobs_oldest_ready_seconds",
        OfQueue,
        "Wait of the oldest ready job, told by one process",
    ),
    gauge(
        "switchboard_jobs_depth",
        QueueAndState,
        "Jobs by queue and state, counted up to 10,000, told by one process",
    ),
    gauge("switchboard_jobs_paused", OfQueue, "Whether a queue holds its jobs back, told by one process"),
];

/// Says what each means, and starts those whose labels are known at zero.
pub(super) fn announce() {
    for known in KNOWN {
        match known.kind {
            Kind::Counter => metrics::describe_counter!(known.name, known.help),
            Kind::Gauge => metrics::describe_gauge!(known.name, known.help),
            Kind::Histogram => metrics::describe_histogram!(known.name, Unit::Seconds, known.help),
        }
        for labels in known.labels.all() {
            match known.kind {
                Kind::Counter => metrics::counter!(known.name, &labels).increment(0),
                Kind::Gauge => metrics::gauge!(known.name, &labels).increment(0.0),
                Kind::Histogram => {}
            }
        }
    }
}

impl Labels {
    /// Every set of labels that can be; none where that is not known.
    fn all(&self) -> Vec<Vec<(&'static str, String)>> {
        let queues = || Queue::ALL.into_iter().map(Queue::name);
        let one = |name: &'static str, value: &str| vec![(name, value.to_owned())];
        match self {
            Self::None => vec![Vec::new()],
            Self::Open => Vec::new(),
            Self::Queue => queues().map(|queue| one("queue", queue)).collect(),
            Self::QueueAndState => queues()
                .flat_map(|queue| {
                    STATES.map(|state| [one("queue", queue), one("state", state.name())].concat())
                })
                .collect(),
            Self::Bucket => (0..SHARDS).map(|shard| one("bucket", &shard.to_string())).collect(),
            Self::Values(name, values) => values.iter().map(|value| one(name, value)).collect(),
        }
    }
}
