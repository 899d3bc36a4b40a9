//! What is of no use any more goes, a bounded piece at a time. Messages and the audit log are not touched:
//! they are the record. Events go by [`SystemDb::trim_events`].

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;

use super::{SystemDb, sql::statement};
use crate::error::Result;

/// Rows of one kind, and for how long they are of use.
struct Kept {
    table: &'static str,
    /// The columns that name a row.
    key: &'static str,
    /// Which rows, with their age last: `$1` is the moment before which they go.
    old: &'static str,
    days: i64,
}

const KEPT: [Kept; 7] = [
    // The answer to a command under an idempotency key knows its own end.
    Kept { table: "idempotency_key", key: "tenant_id, key_hash", old: "expire_time < $1", days: 0 },
    Kept { table: "platform_key", key: "staff_id, key_hash", old: "expire_time < $1", days: 0 },
    // A sign-in that ended long ago explains nothing; the audit log has it.
    Kept { table: "session", key: "id", old: "expires_at < $1", days: 30 },
    // A lockout lasts minutes.
    Kept { table: "sign_in_attempt", key: "account, network", old: "last_at < $1", days: 1 },
    // Messengers repeat a delivery for a week at most. What was kept as it came, because it could not be
    // put where it belongs, stays: somebody may have to look at it.
    Kept {
        table: "inbox",
        key: "tenant_id, id",
        old: "(body is null or kind = 'delivery' or outcome = 'expected') and received_at < $1",
        days: 30,
    },
    // A job that died may be redriven, but not when it is as old as that (see `jobs::REDRIVEN_WITHIN`): its
    // effects ask nobody. An intent stays: as long as its job can come back, it is what keeps it from having
    // the effect twice.
    Kept { table: "effect", key: "tenant_id, key", old: "state in (2, 3) and created_at < $1", days: 30 },
    // A customer may read a message weeks later; the report finds its message here.
    Kept { table: "delivery", key: "tenant_id, channel_id, external_id", old: "update_time < $1", days: 90 },
];

impl SystemDb {
    /// Drops up to `limit` rows of each kind whose time is over: sessions 30 days after they expired, counted
    /// sign-ins after one, inbox entries and effects after 30, reports of deliveries after 90. Says whether
    /// there are more.
    pub async fn drop_outdated(&self, limit: u32) -> Result<bool> {
        let mut more = false;
        for Kept { table, key, old, days } in &KEPT {
            let before = self.env().now() - TimeDelta::days(*days);
            let sql = format!(
                "delete from {table} where ({key}) in (select {key} from {table} where {old} limit $2)"
            );
            let dropped = self
                .transaction(async |db| {
                    let values = [before.into(), i64::from(limit).into()];
                    Ok(db.conn().execute_raw(statement(db.backend(), &sql, values)).await?.rows_affected())
                })
                .await?;
            more |= dropped >= u64::from(limit);
        }
        Ok(more)
    }
}
