//! Jobs as lines for people, and as the contract's JSON for programs.

use anyhow::{Context, anyhow};
use chrono::{DateTime, SecondsFormat, Utc};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;

use crate::{
    domain::{job::JobState, queue::Queue},
    store::jobs::{JobRow, Logged, QueueStats},
    wire::DESCRIPTORS,
};

/// A message of `admin.v1` by its name, as the REST edge writes it.
pub(super) fn json(name: &str, message: &impl Message) -> anyhow::Result<Value> {
    let pool = DescriptorPool::decode(DESCRIPTORS).context("the contract does not decode")?;
    let kind = pool.get_message_by_name(&format!("switchboard.admin.v1.{name}"));
    let kind = kind.ok_or_else(|| anyhow!("the contract has no {name}"))?;
    let message = DynamicMessage::decode(kind, message.encode_to_vec().as_slice())?;
    Ok(serde_json::to_value(message)?)
}

/// A table, one job a line.
pub(super) fn jobs(rows: &[JobRow]) -> Vec<String> {
    let head = ["JOB", "TENANT", "QUEUE", "KIND", "STATE", "TRIES", "RUN AT", "ERROR"].map(str::to_owned);
    let lines = rows.iter().map(|row| {
        [
            row.id.to_string(),
            row.tenant.to_string(),
            queue(row.queue).to_owned(),
            row.kind.clone(),
            state(row.state).to_owned(),
            format!("{}/{}", row.tries, row.max_tries),
            time(row.run_at),
            first_line(row.last_error.as_deref()),
        ]
    });
    table(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}

/// Everything about one job.
pub(super) fn job(row: &JobRow) -> Vec<String> {
    let mut lines = vec![
        pair("job", &row.id),
        pair("tenant", &row.tenant),
        pair("queue", &queue(row.queue)),
        pair("kind", &row.kind),
        pair("state", &state(row.state)),
        pair("epoch", &row.epoch),
        pair("tries", &format!("{}/{}", row.tries, row.max_tries)),
        pair("crashes", &row.crashes),
        pair("promised", &time(row.created_at)),
        pair("run at", &time(row.run_at)),
    ];
    for (name, at) in [("lease", row.lease_until), ("expires", row.expires_at), ("ended", row.finished_at)] {
        lines.extend(at.map(|at| pair(name, &time(at))));
    }
    if let (Some(key), Some(number)) = (row.order_key, row.order_seq) {
        lines.push(pair("order", &format!("{key} number {number}")));
    }
    if row.cancel {
        let late = if row.state == Some(JobState::Done) { "came too late" } else { "asked for" };
        lines.push(pair("cancel", &late));
    }
    lines.extend(row.last_error.as_ref().map(|error| pair("error", error)));
    lines
}

/// What became of one job.
pub(super) fn logged(row: &Logged) -> Vec<String> {
    let mut lines = vec![
        pair("job", &row.id),
        pair("tenant", &row.tenant),
        pair("queue", &queue(row.queue)),
        pair("kind", &row.kind),
        pair("outcome", &state(row.outcome)),
        pair("epoch", &row.epoch),
        pair("tries", &row.tries),
        pair("crashes", &row.crashes),
        pair("promised", &time(row.created_at)),
        pair("ended", &time(row.finished_at)),
    ];
    lines.extend(row.last_error.as_ref().map(|error| pair("error", error)));
    lines
}

/// A table, one queue a line.
pub(super) fn queues(rows: &[QueueStats]) -> Vec<String> {
    let head =
        ["QUEUE", "READY", "SCHEDULED", "BLOCKED", "DISPATCHED", "RUNNING", "DEAD", "OLDEST", "PAUSED"];
    let lines = rows.iter().map(|row| {
        [
            row.queue.name().to_owned(),
            row.ready.to_string(),
            row.scheduled.to_string(),
            row.blocked.to_string(),
            row.dispatched.to_string(),
            row.running.to_string(),
            row.dead.to_string(),
            format!("{}s", row.oldest_ready.as_secs()),
            row.pause.as_ref().map(|pause| first_line(Some(&pause.reason))).unwrap_or_default(),
        ]
    });
    table(&std::iter::once(head.map(str::to_owned)).chain(lines).collect::<Vec<_>>())
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn pair(name: &str, value: &dyn std::fmt::Display) -> String {
    format!("{name:<9} {value}")
}

fn queue(queue: Option<Queue>) -> &'static str {
    queue.map_or("?", Queue::name)
}

fn state(state: Option<JobState>) -> &'static str {
    state.map_or("?", JobState::name)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What fits in a table: no control characters, and not too much.
fn first_line(text: Option<&str>) -> String {
    let line = text.unwrap_or_default().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bb", "c"], ["aaa", "b", "…"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["a    bb  c", "aaa  b   …"]);
    }

    #[test]
    fn a_cell_holds_one_short_line() {
        assert_eq!(first_line(Some("it\u{1b}[31m said\nmore")), "it[31m said");
        assert_eq!(first_line(Some(&"x".repeat(300))).len(), 80);
        assert_eq!(first_line(None), "");
    }
}
