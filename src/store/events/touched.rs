//! Which rows an entry is about: what delta sync reads of the log.

use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::{Events, shard};
use crate::{error::Result, id::ConversationId, store::sql::statement};

/// What an entry says of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// `None` while the entry waits for its number.
    pub seq: Option<i64>,
    pub kind: String,
    /// The id of what it happened to.
    pub subject: String,
    pub conversation: Option<ConversationId>,
    /// The customer of a conversation that began.
    pub customer: Option<String>,
}

const COLUMNS: &str = "seq, kind, subject, conversation_id, \
     case kind when 'conversation.created' then payload ->> 'customer' end as customer";

impl<C: ConnectionTrait> Events<'_, C> {
    /// What numbered entries of `kinds` say, behind `after` and up to `until`, oldest first.
    pub async fn touched(&self, kinds: &[&str], after: i64, until: i64, limit: u64) -> Result<Vec<Touched>> {
        let mut values: Vec<Value> = vec![self.0.tenant().into(), after.into(), until.into(), cap(limit)];
        let sql = format!(
            "select {COLUMNS} from event where tenant_id = $1 and seq > $2 and seq <= $3 and kind in ({}) \
             order by seq limit $4",
            list(&mut values, kinds)
        );
        self.ask(&sql, values).await
    }

    /// What entries of `kinds` say that were numbered behind `after` or wait for a number, in no order: all
    /// that committed by now, if there are no more than `limit` of each.
    pub async fn touched_since(&self, kinds: &[&str], after: i64, limit: u64) -> Result<Vec<Touched>> {
        let shard = shard(self.0.tenant());
        let mut values: Vec<Value> = vec![self.0.tenant().into(), after.into(), shard.into(), cap(limit)];
        let kinds = list(&mut values, kinds);
        // One statement, hence one snapshot: an entry that gets its number meanwhile is in one half or the other.
        let sql = format!(
            "select * from (select {COLUMNS} from event \
                 where tenant_id = $1 and seq > $2 and kind in ({kinds}) order by seq limit $4) numbered \
             union all select * from (select {COLUMNS} from event \
                 where shard = $3 and tenant_id = $1 and seq is null and kind in ({kinds}) \
                 order by id limit $4) waiting"
        );
        self.ask(&sql, values).await
    }

    async fn ask(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Touched>> {
        let rows = self.0.conn().query_all_raw(statement(self.0.backend(), sql, values)).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &QueryResult) -> Result<Touched> {
    Ok(Touched {
        seq: row.try_get("", "seq")?,
        kind: row.try_get("", "kind")?,
        subject: row.try_get("", "subject")?,
        conversation: row.try_get("", "conversation_id")?,
        customer: row.try_get("", "customer")?,
    })
}

fn cap(limit: u64) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}

/// The places of `kinds` among the values of a statement.
fn list(values: &mut Vec<Value>, kinds: &[&str]) -> String {
    let first = values.len() + 1;
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    (first..=values.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}
