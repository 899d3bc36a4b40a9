//! Jobs as staff see them: rows to the contract.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::v1::{self, JobLogEntry};
use crate::{
    domain::{job::JobState, queue::Queue},
    error::{Error, Result},
    id::PREFIXES,
    store::jobs::{JobRow, Logged, QueueStats},
    wire::time,
};

/// Reads a queue; `None` when it is not set.
pub fn queue(field: &str, number: i32) -> Result<Option<Queue>> {
    let queue = v1::JobQueue::try_from(number).map_err(|_| Error::invalid(field, "is not a queue"))?;
    Ok(Queue::ALL.into_iter().find(|known| v1::JobQueue::from(*known) == queue))
}

/// Reads a state; `None` when it is not set.
pub fn state(field: &str, number: i32) -> Result<Option<JobState>> {
    let state = v1::JobState::try_from(number).map_err(|_| Error::invalid(field, "is not a state"))?;
    Ok(JobState::ALL.into_iter().find(|known| v1::JobState::from(*known) == state))
}

impl From<Queue> for v1::JobQueue {
    fn from(queue: Queue) -> Self {
        match queue {
            Queue::Send => Self::Send,
            Queue::Ai => Self::Ai,
            Queue::Lookup => Self::Lookup,
            Queue::Hook => Self::Hook,
            Queue::Mail => Self::Mail,
            Queue::Bill => Self::Bill,
            Queue::Sys => Self::Sys,
        }
    }
}

impl From<JobState> for v1::JobState {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Ready => Self::Ready,
            JobState::Scheduled => Self::Scheduled,
            JobState::Blocked => Self::Blocked,
            JobState::Dispatched => Self::Dispatched,
            JobState::Running => Self::Running,
            JobState::Done => Self::Done,
            JobState::Dead => Self::Dead,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<&JobRow> for v1::Job {
    fn from(row: &JobRow) -> Self {
        let JobRow {
            tenant,
            id,
            queue,
            kind,
            state,
            epoch,
            tries,
            crashes,
            max_tries,
            run_at,
            lease_until,
            expires_at,
            order_key,
            order_seq,
            cancel,
            payload,
            last_error,
            created_at,
            finished_at,
        } = row;
        Self {
            id: id.to_string(),
            tenant_id: tenant.to_string(),
            queue: queue.map_or(v1::JobQueue::Unspecified, Into::into).into(),
            kind: kind.clone(),
            state: state.map_or(v1::JobState::Unspecified, Into::into).into(),
            subject_ids: subjects(payload),
            epoch: *epoch,
            tries: i32::from(*tries),
            crashes: i32::from(*crashes),
            max_tries: i32::from(*max_tries),
            last_error: last_error.clone().unwrap_or_default(),
            cancel_requested: *cancel,
            order_key: order_key.map(|key| key.to_string()).unwrap_or_default(),
            order_number: order_seq.unwrap_or_default(),
            enqueue_time: Some(time(*created_at)),
            run_time: Some(time(*run_at)),
            expire_time: expires_at.map(time),
            lease_time: lease_until.map(time),
            finish_time: finished_at.map(time),
        }
    }
}

impl From<&Logged> for JobLogEntry {
    fn from(row: &Logged) -> Self {
        let Logged {
            tenant,
            id,
            queue,
            kind,
            outcome,
            epoch,
            tries,
            crashes,
            last_error,
            cancel,
            created_at,
            finished_at,
        } = row;
        Self {
            job_id: id.to_string(),
            tenant_id: tenant.to_string(),
            queue: queue.map_or(v1::JobQueue::Unspecified, Into::into).into(),
            kind: kind.clone(),
            outcome: outcome.map_or(v1::JobState::Unspecified, Into::into).into(),
            epoch: *epoch,
            tries: i32::from(*tries),
            crashes: i32::from(*crashes),
            last_error: last_error.clone().unwrap_or_default(),
            cancel_too_late: *cancel && *outcome == Some(JobState::Done),
            enqueue_time: Some(time(*created_at)),
            finish_time: Some(time(*finished_at)),
        }
    }
}

impl From<&QueueStats> for v1::QueueStats {
    fn from(row: &QueueStats) -> Self {
        let QueueStats {
            queue,
            ready,
            scheduled,
            blocked,
            dispatched,
            running,
            dead,
            capped,
            oldest_ready,
            pause,
        } = row;
        Self {
            queue: v1::JobQueue::from(*queue).into(),
            ready_count: *ready,
            scheduled_count: *scheduled,
            blocked_count: *blocked,
            dispatched_count: *dispatched,
            running_count: *running,
            dead_count: *dead,
            capped: *capped,
            oldest_ready_age: Some(duration(*oldest_ready)),
            paused: pause.is_some(),
            pause_reason: pause.as_ref().map(|pause| pause.reason.clone()).unwrap_or_default(),
            pause_time: pause.as_ref().map(|pause| time(pause.since)),
        }
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// The ids in a payload, and nothing else of it.
fn subjects(payload: &[u8]) -> Vec<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if is_id(text) => {
                found.insert(text.clone());
            }
            Value::Array(all) => all.iter().for_each(|value| collect(value, found)),
            Value::Object(all) => all.values().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    if let Ok(value) = serde_json::from_slice(payload) {
        collect(&value, &mut found);
    }
    found.into_iter().collect()
}

fn is_id(text: &str) -> bool {
    let Some((prefix, digits)) = text.split_once('_') else { return false };
    let known = PREFIXES.iter().any(|(known, _)| *known == prefix);
    known
        && digits.len() == 26
        && digits.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_leave_a_payload() {
        let payload = br#"{"message":"msg_01h2xcejqtf2nbrexx3vqjhp41","attempt":2,"note":"Do you deliver?",
            "more":["cus_01h2xcejqtf2nbrexx3vqjhp41",{"key":"msg_short"},"abc_01h2xcejqtf2nbrexx3vqjhp41"]}"#;
        assert_eq!(subjects(payload), ["cus_01h2xcejqtf2nbrexx3vqjhp41", "msg_01h2xcejqtf2nbrexx3vqjhp41"]);
        assert_eq!(subjects(b"not JSON"), [""; 0]);
    }

    #[test]
    fn queues_and_states_read_back() {
        for known in Queue::ALL {
            assert_eq!(queue("queue", v1::JobQueue::from(known).into()).unwrap(), Some(known));
        }
        for known in JobState::ALL {
            assert_eq!(state("state", v1::JobState::from(known).into()).unwrap(), Some(known));
        }
        assert_eq!((queue("queue", 0).unwrap(), state("state", 0).unwrap()), (None, None));
        assert!(queue("queue", 99).is_err() && state("state", 99).is_err());
    }
}
