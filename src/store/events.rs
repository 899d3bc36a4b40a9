//! The event log: appended by commands, numbered by the sequencer, read from any cursor, dropped when old.

mod touched;
mod trim;

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, Value,
};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    SystemDb, TenantDb, Tx,
    entity::{event, event_head},
    scope::TenantOwned,
    sql::statement,
};
use crate::{
    auth::Actor,
    domain::event::Event,
    env::Env,
    error::{Error, Result},
    id::{ConversationId, EventId, TenantId},
};

pub use super::entity::event::Model as LoggedEvent;
pub use touched::Touched;
pub use trim::KEPT_DAYS;

impl TenantOwned for event::Entity {
    const TENANT: event::Column = event::Column::TenantId;
}

impl TenantOwned for event_head::Entity {
    const TENANT: event_head::Column = event_head::Column::TenantId;
}

/// Into how many shards tenants fall; each has one sequencer and one relay.
pub const SHARDS: i16 = 8;

/// The shard of a tenant: `xxh3(tenant) % 8`, the same in every process and version.
pub fn shard(tenant: TenantId) -> i16 {
    let shard = xxh3_64(tenant.0.as_bytes()) % u64::from(SHARDS.unsigned_abs());
    i16::try_from(shard).expect("below 8")
}

/// Appends the events of a transaction in one statement.
pub(super) async fn append(
    conn: &impl ConnectionTrait,
    env: &Env,
    events: &[(TenantId, Actor, Event)],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = events.iter().map(|(tenant, actor, event)| {
        Ok(event::ActiveModel {
            tenant_id: Set(*tenant),
            id: Set(env.id::<EventId>()),
            shard: Set(shard(*tenant)),
            seq: Set(None),
            kind: Set(event.kind().to_owned()),
            subject: Set(event.subject()),
            conversation_id: Set(event.conversation()),
            actor: Set(actor.label()),
            payload: Set(serde_json::to_value(event).map_err(Error::internal)?),
            at: Set(env.now()),
        })
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    event::Entity::insert_many(rows).exec_without_returning(conn).await?;
    Ok(())
}

/// Which entries a reader wants.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Kinds such as `message.created`; empty for all.
    pub kinds: Vec<String>,
    pub conversation: Option<ConversationId>,
}

impl EventFilter {
    pub fn admits(&self, event: &LoggedEvent) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.conversation.is_none() || self.conversation == event.conversation_id)
    }
}

impl LoggedEvent {
    /// What happened.
    pub fn event(&self) -> Result<Event> {
        serde_json::from_value(self.payload.clone()).map_err(Error::internal)
    }
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The tenant's log.
    pub fn events(&self) -> Events<'_, C> {
        Events(self)
    }
}

/// From where to where a tenant's log is there. Numbers begin at 1; an empty log is `oldest` 1, `newest` 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub oldest: i64,
    pub newest: i64,
}

impl Head {
    /// Whether the log can be read on from behind `seq`.
    ///
    /// # Errors
    /// [`Error::OffLog`] when what follows was dropped, or the log has not come so far.
    pub fn admit(self, seq: i64) -> Result<()> {
        let Self { oldest, newest } = self;
        if seq > newest {
            return Err(Error::OffLog { message: "the cursor is not of this log", oldest, newest });
        }
        if seq + 1 < oldest {
            return Err(Error::OffLog { message: "what follows the cursor is gone", oldest, newest });
        }
        Ok(())
    }
}

/// Reads a tenant's log.
pub struct Events<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> Events<'_, C> {
    /// Numbered entries after `seq`, oldest first.
    pub async fn after(&self, seq: i64, filter: &EventFilter, limit: u64) -> Result<Vec<LoggedEvent>> {
        let mut query = self.0.find::<event::Entity>().filter(event::Column::Seq.gt(seq));
        if !filter.kinds.is_empty() {
            query = query.filter(event::Column::Kind.is_in(&filter.kinds));
        }
        if let Some(conversation) = filter.conversation {
            query = query.filter(event::Column::ConversationId.eq(conversation));
        }
        Ok(query.order_by_asc(event::Column::Seq).limit(limit).all(self.0.conn()).await?)
    }

    /// From where to where the log is there.
    pub async fn head(&self) -> Result<Head> {
        let head = self.0.find::<event_head::Entity>().one(self.0.conn()).await?;
        let (oldest, newest) = head.map_or((1, 0), |head| (head.oldest, head.seq));
        Ok(Head { oldest, newest })
    }

    /// As [`after`](Self::after), with the head as it was before: up to its newest entry, what is not found
    /// is not wanted by the filter.
    ///
    /// # Errors
    /// [`Error::OffLog`] when `seq` is off the log, or what follows it was dropped meanwhile.
    pub async fn page(&self, seq: i64, filter: &EventFilter, limit: u64) -> Result<(Head, Vec<LoggedEvent>)> {
        let head = self.head().await?;
        head.admit(seq)?;
        if head.newest == seq {
            return Ok((head, Vec::new()));
        }
        let found = self.after(seq, filter, limit).await?;
        let whole = found.iter().zip(seq + 1..).all(|(event, next)| event.seq == Some(next));
        // Between the two statements old entries may have been dropped.
        if !whole || found.is_empty() {
            self.head().await?.admit(seq)?;
        }
        Ok((head, found))
    }
}

impl SystemDb {
    /// Numbers committed entries of `shard` that have none yet: per tenant without gaps, in id order.
    /// Returns them, oldest first. Two sequencers at once are safe: the second one finds the tenant's
    /// head locked, then its entries numbered, and numbers nothing.
    pub async fn number_events(&self, shard: i16, limit: u64) -> Result<Vec<LoggedEvent>> {
        let waiting = self
            .find::<event::Entity>()
            .filter(event::Column::Shard.eq(shard))
            .filter(event::Column::Seq.is_null())
            .order_by_asc(event::Column::Id)
            .limit(limit);
        let mut waiting = waiting.all(self.conn()).await?;
        if waiting.is_empty() {
            return Ok(waiting);
        }
        let mut counts: BTreeMap<TenantId, i64> = BTreeMap::new();
        for event in &waiting {
            *counts.entry(event.tenant_id).or_default() += 1;
        }
        let ids: Vec<(TenantId, EventId)> = waiting.iter().map(|event| (event.tenant_id, event.id)).collect();
        let numbers = self
            .transaction(async |db| {
                // In tenant order, so that two sequencers cannot wait for each other.
                let mut next: BTreeMap<TenantId, i64> = BTreeMap::new();
                for (tenant, count) in &counts {
                    next.insert(*tenant, db.advance_head(*tenant, *count).await? - count + 1);
                }
                let mut numbers = Vec::with_capacity(ids.len());
                for (tenant, _) in &ids {
                    let seq = next.get_mut(tenant).expect("counted above");
                    numbers.push(*seq);
                    *seq += 1;
                }
                let written = db.write_numbers(&ids, &numbers).await?;
                // Someone else numbered some of them: the rollback takes the heads back too.
                let ours = written == u64::try_from(ids.len()).unwrap_or(u64::MAX);
                if ours { Ok(numbers) } else { Err(Error::stale()) }
            })
            .await;
        match numbers {
            Ok(numbers) => {
                for (event, seq) in waiting.iter_mut().zip(numbers) {
                    event.seq = Some(seq);
                }
                Ok(waiting)
            }
            Err(Error::Changed { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl SystemDb<Tx> {
    async fn advance_head(&self, tenant: TenantId, by: i64) -> Result<i64> {
        let advance = "insert into event_head (tenant_id, seq) values ($1, $2)
             on conflict (tenant_id) do update set seq = event_head.seq + excluded.seq returning seq";
        let row =
            self.conn().query_one_raw(statement(self.backend(), advance, [tenant.into(), by.into()])).await?;
        let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        Ok(row.try_get_by_index(0)?)
    }

    async fn write_numbers(&self, ids: &[(TenantId, EventId)], numbers: &[i64]) -> Result<u64> {
        if self.backend() == DbBackend::Postgres {
            let tenants: Vec<Uuid> = ids.iter().map(|(tenant, _)| tenant.0).collect();
            let events: Vec<Uuid> = ids.iter().map(|(_, id)| id.0).collect();
            let write = "update event set seq = d.seq from unnest($1::uuid[], $2::uuid[], $3::bigint[]) d (tenant, id, seq)
                 where event.tenant_id = d.tenant and event.id = d.id and event.seq is null";
            let values: [Value; 3] = [tenants.into(), events.into(), numbers.to_vec().into()];
            return Ok(self
                .conn()
                .execute_raw(statement(self.backend(), write, values))
                .await?
                .rows_affected());
        }
        let mut written = 0;
        for ((tenant, id), seq) in ids.iter().zip(numbers) {
            let write = "update event set seq = $3 where tenant_id = $1 and id = $2 and seq is null";
            let values: [Value; 3] = [(*tenant).into(), (*id).into(), (*seq).into()];
            written +=
                self.conn().execute_raw(statement(self.backend(), write, values)).await?.rows_affected();
        }
        Ok(written)
    }
}
