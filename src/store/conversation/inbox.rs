use sea_orm::{ConnectionTrait, Value};
use serde_json::Value as Json;

use super::Change;
use crate::{
    domain::channel::Outcome,
    error::{Error, Result},
    id::{ChannelId, InboxId},
    store::{
        TenantDb, Tx,
        entity::inbox::{Column, Entity},
        scope::TenantOwned,
        sql::statement,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The gate that every item of every webhook passes once.
    pub fn inbox(&self) -> Inbox<'_, C> {
        Inbox(self)
    }
}

/// The gate that every item of every webhook passes once.
pub struct Inbox<'a, C>(&'a TenantDb<C>);

/// One item of a webhook.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    pub channel: ChannelId,
    /// The same for every repetition, different for every other item of the channel.
    pub key: &'a str,
    pub kind: &'a str,
    pub outcome: Outcome,
    /// The item as it came, where it must be kept.
    pub body: Option<Json>,
}

/// What is known of a whole delivery to which its sender gave a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The name was never used, or for the same body.
    Same,
    /// The name stands for another body.
    Other,
}

/// What the gate found.
#[derive(Debug, PartialEq)]
pub enum Entry {
    New,
    /// New, but changes of it came first.
    Awaited(Vec<Change>),
    Duplicate,
}

/// Waits for whoever brings the same item at this moment; then one of them finds nothing returned.
const ENTER: &str = "insert into inbox (tenant_id, id, channel_id, dedupe_key, outcome, kind, received_at, body) \
     values ($1, $2, $3, $4, $5, $6, $7, $8) \
     on conflict (tenant_id, channel_id, dedupe_key) \
     do update set outcome = excluded.outcome where inbox.outcome = 'expected' \
     returning body";

const EXPECT: &str = "insert into inbox (tenant_id, id, channel_id, dedupe_key, outcome, kind, received_at, body) \
     values ($1, $2, $3, $4, 'expected', $5, $6, $7) \
     on conflict (tenant_id, channel_id, dedupe_key) do update set received_at = inbox.received_at \
     returning id, outcome, body";

const RECOGNISE: &str = "insert into inbox (tenant_id, id, channel_id, dedupe_key, outcome, kind, received_at, body) \
     values ($1, $2, $3, $4, 'taken', 'delivery', $5, $6) \
     on conflict (tenant_id, channel_id, dedupe_key) do update set received_at = inbox.received_at \
     returning body";

const SET_ASIDE: &str = "update inbox set outcome = $4, body = $5 \
     where tenant_id = $1 and channel_id = $2 and dedupe_key = $3";

const AWAIT: &str = "update inbox set body = $3 where tenant_id = $1 and id = $2";

impl Inbox<'_, Tx> {
    /// Lets an item in, once.
    pub async fn enter(&self, item: Item<'_>) -> Result<Entry> {
        let Item { channel, key, kind, outcome, body } = item;
        let keeps = body.is_some();
        let values: [Value; 8] = [
            self.0.tenant().into(),
            self.0.env().id::<InboxId>().into(),
            channel.into(),
            key.into(),
            outcome.into(),
            kind.into(),
            self.0.env().now().into(),
            body.into(),
        ];
        let row = self.0.conn().query_one_raw(statement(self.0.backend(), ENTER, values)).await?;
        let Some(row) = row else { return Ok(Entry::Duplicate) };
        match row.try_get::<Option<Json>>("", "body")? {
            Some(changes) if !keeps => {
                Ok(Entry::Awaited(serde_json::from_value(changes).map_err(Error::internal)?))
            }
            _ => Ok(Entry::New),
        }
    }

    /// Remembers what `name` stands for: a body with this SHA-256. Waits for whoever uses the same name at
    /// this moment.
    pub async fn recognise(&self, channel: ChannelId, name: &str, sha256: [u8; 32]) -> Result<Known> {
        let mine = Json::String(hex::encode(sha256));
        let values: [Value; 6] = [
            self.0.tenant().into(),
            self.0.env().id::<InboxId>().into(),
            channel.into(),
            format!("delivery:{name}").into(),
            self.0.env().now().into(),
            mine.clone().into(),
        ];
        let row = self.0.conn().query_one_raw(statement(self.0.backend(), RECOGNISE, values)).await?;
        let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        let found: Json = row.try_get("", "body")?;
        Ok(if found == mine { Known::Same } else { Known::Other })
    }

    /// Keeps an item that was let in as it came, because it could not be put where it belongs.
    pub async fn set_aside(&self, channel: ChannelId, key: &str, outcome: Outcome, body: Json) -> Result<()> {
        let values: [Value; 5] =
            [self.0.tenant().into(), channel.into(), key.into(), outcome.into(), body.into()];
        self.0.conn().execute_raw(statement(self.0.backend(), SET_ASIDE, values)).await?;
        Ok(())
    }

    /// Has `change` wait for the message behind `key`. False when that message is there by now; then the
    /// change can be made at once.
    pub async fn expect(&self, channel: ChannelId, key: &str, change: &Change) -> Result<bool> {
        let mine = serde_json::to_value([change]).map_err(Error::internal)?;
        let id: InboxId = self.0.env().id();
        let values: [Value; 7] = [
            self.0.tenant().into(),
            id.into(),
            channel.into(),
            key.into(),
            "message".into(),
            self.0.env().now().into(),
            mine.into(),
        ];
        let row = self.0.conn().query_one_raw(statement(self.0.backend(), EXPECT, values)).await?;
        let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        let found: InboxId = row.try_get("", "id")?;
        if found == id {
            return Ok(true);
        }
        if row.try_get::<Outcome>("", "outcome")? != Outcome::Expected {
            return Ok(false);
        }
        // The row is ours until the commit: the upsert locked it.
        let waiting: Option<Json> = row.try_get("", "body")?;
        let mut waiting: Vec<Change> =
            waiting.map_or_else(|| Ok(Vec::new()), serde_json::from_value).map_err(Error::internal)?;
        waiting.push(change.clone());
        let body = serde_json::to_value(waiting).map_err(Error::internal)?;
        let values: [Value; 3] = [self.0.tenant().into(), found.into(), body.into()];
        self.0.conn().execute_raw(statement(self.0.backend(), AWAIT, values)).await?;
        Ok(true)
    }
}
