//! Old entries go: by the month on PostgreSQL, where a month is a partition and goes whole; in batches on
//! SQLite. What goes is first declared gone in the heads, so that no reader takes a hole for the log.

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Value};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    id::{EventId, TenantId},
    store::{SystemDb, Tx, sql::statement},
};

/// Entries are kept for at least so many days; on PostgreSQL until their month is so old.
pub const KEPT_DAYS: i64 = 90;
/// Months there is a partition for before they begin: that long the program may stand still.
const AHEAD: u32 = 3;

/// Whoever reads keeps the table; the next look is soon, and nobody shall queue behind this one for long.
const PATIENCE: &str = "set local lock_timeout = '1s'";

/// One month of the log.
struct Partition {
    name: String,
    /// Ids below it: what is in here is older.
    below: Uuid,
}

impl SystemDb {
    /// Drops entries that are older than [`KEPT_DAYS`], and prepares the months to come. Entries without a
    /// number stay: nobody has read them. `limit` bounds what one call deletes where deleting is row by row.
    /// Says whether there is more to drop.
    pub async fn trim_events(&self, limit: u32) -> Result<bool> {
        let before = first_id(self.env().now() - TimeDelta::days(KEPT_DAYS));
        if self.backend() != DbBackend::Postgres {
            return self.trim_batch(before, limit).await;
        }
        let partitions = self.partitions().await?;
        self.prepare(partitions.last().map(|last| last.below)).await?;
        for Partition { name, below } in partitions {
            if below <= before {
                self.drop_partition(&name).await?;
            }
        }
        Ok(false)
    }

    /// The months, oldest first.
    async fn partitions(&self) -> Result<Vec<Partition>> {
        let sql = "select c.relname as name, \
                 substring(pg_get_expr(c.relpartbound, c.oid) from ' TO \\(''([-0-9a-f]{36})''\\)') as below \
             from pg_inherits i join pg_class c on c.oid = i.inhrelid \
             where i.inhparent = 'event'::regclass order by 2";
        let rows = self.conn().query_all_raw(statement(self.backend(), sql, [])).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            // What belongs to no month has no bounds.
            let Some(below) = row.try_get::<Option<String>>("", "below")? else { continue };
            let below = below.parse().map_err(Error::internal)?;
            found.push(Partition { name: row.try_get("", "name")?, below });
        }
        Ok(found)
    }

    /// Makes the months that are missing, from where the last one ends.
    async fn prepare(&self, last: Option<Uuid>) -> Result<()> {
        let Some(last) = last else { return Ok(()) };
        let mut begin = time_of(last);
        let horizon = self.env().now() + Months::new(AHEAD);
        while begin < horizon {
            let end = next_month(begin);
            let (from, to) = (first_id(begin), first_id(end));
            let name = format!("event_{}", begin.format("%Y_%m"));
            self.transaction(async |db| {
                db.run(PATIENCE).await?;
                // What came while there was no place for it waits in the rest.
                db.run(&format!("create table {name} (like event including all)")).await?;
                db.run(&format!(
                    "with waiting as (delete from event_rest where id >= '{from}' and id < '{to}' returning *) \
                     insert into {name} select * from waiting"
                ))
                .await?;
                db.run(&format!(
                    "alter table event attach partition {name} for values from ('{from}') to ('{to}')"
                ))
                .await
            })
            .await?;
            begin = end;
        }
        Ok(())
    }

    async fn drop_partition(&self, name: &str) -> Result<()> {
        let waiting = format!("select 1 from {name} where seq is null limit 1");
        if self.conn().query_one_raw(statement(self.backend(), &waiting, [])).await?.is_some() {
            tracing::warn!(partition = name, "old events have no number yet; they stay");
            return Ok(());
        }
        // One look into the index a tenant, however many entries there are.
        let declare = format!(
            "update event_head h set oldest = d.last + 1 from ( \
                 select t.tenant_id, (select max(e.seq) from {name} e \
                     where e.tenant_id = t.tenant_id and e.seq is not null) as last from event_head t) d \
             where h.tenant_id = d.tenant_id and h.oldest <= d.last"
        );
        self.transaction(async |db| db.run(&declare).await).await?;
        self.transaction(async |db| {
            db.run(PATIENCE).await?;
            db.run(&format!("drop table {name}")).await
        })
        .await?;
        tracing::info!(partition = name, "events are too old to keep");
        Ok(())
    }

    /// One tenant's oldest entries, up to `limit`.
    async fn trim_batch(&self, before: Uuid, limit: u32) -> Result<bool> {
        let find = "select h.tenant_id from event_head h where exists (select 1 from event e \
             where e.tenant_id = h.tenant_id and e.id < $1 and e.seq is not null) limit 1";
        let found = self.conn().query_one_raw(statement(self.backend(), find, [before.into()])).await?;
        let Some(found) = found else { return Ok(false) };
        let tenant: TenantId = found.try_get("", "tenant_id")?;
        self.transaction(async |db| {
            let oldest = "select id, seq from event where tenant_id = $1 and id < $2 and seq is not null \
                 order by id limit $3";
            let values: [Value; 3] = [tenant.into(), before.into(), i64::from(limit).into()];
            let rows = db.conn().query_all_raw(statement(db.backend(), oldest, values)).await?;
            let mut ids: Vec<EventId> = Vec::with_capacity(rows.len());
            let mut last = 0;
            for row in rows {
                ids.push(row.try_get("", "id")?);
                last = last.max(row.try_get::<i64>("", "seq")?);
            }
            let declare = "update event_head set oldest = $2 where tenant_id = $1 and oldest < $2";
            let values: [Value; 2] = [tenant.into(), (last + 1).into()];
            db.conn().execute_raw(statement(db.backend(), declare, values)).await?;
            let Some(end) = ids.last() else { return Ok(()) };
            let drop = "delete from event where tenant_id = $1 and id <= $2 and seq <= $3";
            let values: [Value; 3] = [tenant.into(), (*end).into(), last.into()];
            db.conn().execute_raw(statement(db.backend(), drop, values)).await?;
            Ok(())
        })
        .await?;
        Ok(true)
    }
}

impl SystemDb<Tx> {
    async fn run(&self, sql: &str) -> Result<()> {
        self.conn().execute_unprepared(sql).await?;
        Ok(())
    }
}

/// The least id of a moment.
fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

/// The moment of an id.
fn time_of(id: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// When the month after `at` begins.
fn next_month(at: DateTime<Utc>) -> DateTime<Utc> {
    let first = NaiveDate::from_ymd_opt(at.year(), at.month(), 1).unwrap_or(at.date_naive());
    (first + Months::new(1)).and_time(chrono::NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        let check = |at: &str, next: &str| {
            let at: DateTime<Utc> = at.parse().unwrap();
            assert_eq!(next_month(at), next.parse::<DateTime<Utc>>().unwrap(), "{at}");
        };
        check("2026-11-21T20:44:38Z", "2026-12-01T00:00:00Z");
        check("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check("2027-01-31T23:59:59Z", "2027-02-01T00:00:00Z");
    }

    #[test]
    fn an_id_is_older_than_the_first_one_of_a_later_moment() {
        let at: DateTime<Utc> = "2026-12-01T00:00:00Z".parse().unwrap();
        let before = crate::env::Env::manual(at - TimeDelta::microseconds(1), 1).uuid();
        let then = crate::env::Env::manual(at, 1).uuid();
        assert!(before < first_id(at) && first_id(at) < then);
        assert_eq!(time_of(first_id(at)), at);
    }
}
