//! Order: a gate per key knows whose turn it is. It moves past heads that ended and opens the next.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use uuid::Uuid;

use super::sql::timed;
use crate::{domain::queue::Queue, env::Env, error::Result, id::TenantId, store::Tx};

/// A tenant's order key.
pub(super) type Gate = (TenantId, Uuid);

/// Moves by what is stored, not by what the caller believes: done, cancelled, or dead without halt. So a
/// job that was cancelled while it waited does not stop its followers.
const ENDED: &str = "exists (select 1 from job j where j.tenant_id = job_gate.tenant_id \
     and j.order_key = job_gate.order_key and j.order_seq = job_gate.head_seq \
     and ((j.state + 0) in (3, 5) or ((j.state + 0) = 4 and not j.halt)))";

const ADVANCE_POSTGRES: &str = "update job_gate set head_seq = head_seq + 1 \
     from unnest($1::uuid[], $2::uuid[]) d (t, k) \
     where job_gate.tenant_id = d.t and job_gate.order_key = d.k and ";
const ADVANCE_SQLITE: &str =
    "update job_gate set head_seq = head_seq + 1 where tenant_id = $1 and order_key = $2 and ";
const GATE: &str = " returning job_gate.tenant_id, job_gate.order_key";

const OPEN_POSTGRES: &str = "update job set state = 0 \
     from unnest($1::uuid[], $2::uuid[]) d (t, k), job_gate g \
     where g.tenant_id = d.t and g.order_key = d.k and job.tenant_id = g.tenant_id \
         and job.order_key = g.order_key and job.order_seq = g.head_seq and (job.state + 0) = 6 \
     returning job.tenant_id, job.order_key, job.queue";
const OPEN_SQLITE: &str = "update job set state = 0 \
     where tenant_id = $1 and order_key = $2 and (state + 0) = 6 and order_seq = \
         (select head_seq from job_gate g where g.tenant_id = $1 and g.order_key = $2) \
     returning tenant_id, order_key, queue";

/// Lets the followers of ended jobs go. Returns whose queues have new ready jobs.
pub(super) async fn advance(tx: &Tx, env: &Env, mut gates: Vec<Gate>) -> Result<Vec<(TenantId, Queue)>> {
    let (advance, open) = match tx.get_database_backend() {
        DbBackend::Postgres => ([ADVANCE_POSTGRES, ENDED, GATE].concat(), OPEN_POSTGRES),
        _ => ([ADVANCE_SQLITE, ENDED, &GATE.replace("job_gate.", "")].concat(), OPEN_SQLITE),
    };
    let mut opened = Vec::new();
    // In one order everywhere, so that two completers seldom wait for each other.
    gates.sort_unstable();
    gates.dedup();
    while !gates.is_empty() {
        let moved = by_gate(tx, env, &advance, &gates).await?;
        gates = moved.iter().map(gate).collect::<Result<_>>()?;
        if gates.is_empty() {
            break;
        }
        for row in by_gate(tx, env, open, &gates).await? {
            let open = gate(&row)?;
            if let Some(queue) = Queue::of(row.try_get("", "queue")?) {
                opened.push((open.0, queue));
            }
            gates.retain(|gate| *gate != open);
        }
        // Those left have no follower yet, or one that ended before its turn: look again.
    }
    Ok(opened)
}

async fn by_gate(tx: &Tx, env: &Env, sql: &str, gates: &[Gate]) -> Result<Vec<QueryResult>> {
    let backend = tx.get_database_backend();
    if backend == DbBackend::Postgres {
        let tenants: Vec<Uuid> = gates.iter().map(|(tenant, _)| tenant.0).collect();
        let keys: Vec<Uuid> = gates.iter().map(|(_, key)| *key).collect();
        let values: [Value; 2] = [tenants.into(), keys.into()];
        return Ok(tx.query_all_raw(timed(backend, env, sql, values)).await?);
    }
    let mut rows = Vec::new();
    for (tenant, key) in gates {
        let values: [Value; 2] = [(*tenant).into(), (*key).into()];
        rows.extend(tx.query_all_raw(timed(backend, env, sql, values)).await?);
    }
    Ok(rows)
}

fn gate(row: &QueryResult) -> Result<Gate> {
    Ok((row.try_get("", "tenant_id")?, row.try_get("", "order_key")?))
}
