//! The event log: appended by commands, numbered by the sequencer, read from any cursor.

use sea_orm::{ConnectionTrait, EntityTrait, Set};
use xxhash_rust::xxh3::xxh3_64;

use super::entity::event;
use crate::{
    auth::Actor,
    domain::event::Event,
    env::Env,
    error::{Error, Result},
    id::{EventId, TenantId},
};

pub use super::entity::event::Model as LoggedEvent;

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
