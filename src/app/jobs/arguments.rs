//! What `switchboard jobs` can be asked.

use clap::{Args, Subcommand};

use crate::{
    domain::{job::JobState, queue::Queue},
    id::{JobId, TenantId},
    store::jobs::JobFilter,
};

/// Background work: look at it and step in.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List jobs that are not archived, the newest first.
    List {
        #[command(flatten)]
        which: Which,
        /// Only in this state: ready, scheduled, blocked, dispatched, running, done, dead, cancelled.
        #[arg(long, value_parser = state)]
        state: Option<JobState>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
    },
    /// Show one job, archived or not.
    Show {
        job: JobId,
        /// Whose it is; without, every tenant is asked.
        #[arg(long)]
        tenant: Option<TenantId>,
    },
    /// Tell how full each queue is.
    Queues,
    /// Have dead jobs run again: one, those that a filter names, or all of them.
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
        .args(["job", "tenant", "queue", "kind", "all"]))]
    Redrive {
        #[arg(conflicts_with_all = ["queue", "kind", "all"])]
        job: Option<JobId>,
        #[command(flatten)]
        which: Which,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// Whatever is dead.
        #[arg(long, conflicts_with_all = ["tenant", "queue", "kind"])]
        all: bool,
    },
    /// Cancel a job: at once while it waits, within seconds while it runs.
    Cancel {
        job: JobId,
        /// Whose it is; without, every tenant is asked.
        #[arg(long)]
        tenant: Option<TenantId>,
    },
    /// Have queues hold their jobs back. What was handed to workers runs to its end.
    Pause {
        #[command(flatten)]
        queues: Queues,
        /// Why, for others who look.
        #[arg(long, default_value = "paused on the command line")]
        reason: String,
    },
    /// Let queues go on.
    Resume {
        #[command(flatten)]
        queues: Queues,
    },
    /// Pause all queues and wait until nothing is dispatched or running; exit 75 when it still is after the
    /// time. The queues stay paused.
    Drain {
        /// Seconds to wait.
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
}

/// Which jobs; what is not named is any.
#[derive(Args, Debug)]
pub struct Which {
    /// Only this tenant's, `ten_…`.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only of this queue: send, ai, lookup, hook, mail, bill, sys.
    #[arg(long, value_parser = queue)]
    queue: Option<Queue>,
    /// Only of this kind, such as `send_message`.
    #[arg(long)]
    kind: Option<String>,
}

impl Which {
    pub(super) fn filter(&self) -> JobFilter {
        JobFilter { tenant: self.tenant, queue: self.queue, kind: self.kind.clone(), state: None }
    }
}

/// Queues by name, or all.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Queues {
    /// send, ai, lookup, hook, mail, bill, sys.
    #[arg(value_parser = queue)]
    queues: Vec<Queue>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

impl Queues {
    pub(super) fn named(&self) -> Vec<Queue> {
        if self.all { Queue::ALL.to_vec() } else { self.queues.clone() }
    }
}

fn queue(name: &str) -> Result<Queue, String> {
    let found = Queue::ALL.into_iter().find(|queue| queue.name() == name);
    found.ok_or_else(|| format!("a queue is one of {}", Queue::ALL.map(Queue::name).join(", ")))
}

fn state(name: &str) -> Result<JobState, String> {
    let found = JobState::ALL.into_iter().find(|state| state.name() == name);
    found.ok_or_else(|| format!("a state is one of {}", JobState::ALL.map(JobState::name).join(", ")))
}
