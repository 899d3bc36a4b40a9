use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, UpdateMany, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use crate::store::entity::{message::Model as Message, message_revision::Model as Revision};
use crate::{
    domain::delivery::DeliveryStatus,
    error::{Error, Result},
    id::{ChannelId, ConversationId, MessageId},
    store::{
        TenantDb, Tx,
        entity::{
            message::{Column, Entity},
            message_revision,
        },
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl TenantOwned for message_revision::Entity {
    const TENANT: message_revision::Column = message_revision::Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// What was said.
    pub fn messages(&self) -> Messages<'_, C> {
        Messages(self)
    }
}

/// What was said.
pub struct Messages<'a, C>(pub(super) &'a TenantDb<C>);

/// What the customer did to a message afterwards, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// `text` is absent where only something else changed.
    Edit {
        text: Option<String>,
        at: DateTime<Utc>,
    },
    Delete {
        at: DateTime<Utc>,
    },
    /// `emoji` is absent when the reaction was taken back.
    React {
        emoji: Option<String>,
        at: DateTime<Utc>,
    },
}

/// A reaction as stored: the last word of each author, and when it was said.
#[derive(Serialize, Deserialize)]
struct Reacted {
    emoji: Option<String>,
    at: DateTime<Utc>,
}

impl Message {
    /// Who reacted how at present.
    pub fn reactions(&self) -> Vec<(String, String)> {
        let all = reactions(&self.reactions);
        all.into_iter().filter_map(|(who, reacted)| Some((who, reacted.emoji?))).collect()
    }
}

fn reactions(stored: &Json) -> BTreeMap<String, Reacted> {
    // Written by `react` alone; what does not read back is no reaction.
    serde_json::from_value(stored.clone()).unwrap_or_default()
}

impl<C: ConnectionTrait> Messages<'_, C> {
    pub async fn get(&self, id: MessageId) -> Result<Message> {
        self.find(id).await?.ok_or_else(|| Error::not_found("message", id))
    }

    pub async fn find(&self, id: MessageId) -> Result<Option<Message>> {
        self.0.row(self.0.find::<Entity>().filter(Column::Id.eq(id))).await
    }

    /// The message that the provider calls so.
    pub async fn by_external_id(&self, channel: ChannelId, external_id: &str) -> Result<Option<Message>> {
        let found = self
            .0
            .find::<Entity>()
            .filter(Column::ChannelId.eq(channel))
            .filter(Column::ExternalId.eq(external_id));
        Ok(found.one(self.0.conn()).await?)
    }

    /// The messages of a conversation in the order of their own time, beyond `after` (time and arrival).
    pub async fn list(
        &self,
        conversation: ConversationId,
        oldest_first: bool,
        after: Option<&(DateTime<Utc>, i64)>,
        limit: u64,
    ) -> Result<Vec<Message>> {
        let mut query = self.0.find::<Entity>().filter(Column::ConversationId.eq(conversation));
        if let Some((at, seq)) = after {
            // The first condition is what the index can start from.
            query = if oldest_first {
                let beyond = Condition::any().add(Column::At.gt(*at)).add(Column::Seq.gt(*seq));
                query.filter(Column::At.gte(*at)).filter(beyond)
            } else {
                let beyond = Condition::any().add(Column::At.lt(*at)).add(Column::Seq.lt(*seq));
                query.filter(Column::At.lte(*at)).filter(beyond)
            };
        }
        query = if oldest_first {
            query.order_by_asc(Column::At).order_by_asc(Column::Seq)
        } else {
            query.order_by_desc(Column::At).order_by_desc(Column::Seq)
        };
        self.0.rows(query.limit(limit)).await
    }

    /// What the message said before, oldest first.
    pub async fn revisions(&self, message: MessageId) -> Result<Vec<Revision>> {
        use message_revision::Column;
        let found = self.0.find::<message_revision::Entity>().filter(Column::MessageId.eq(message));
        Ok(found.order_by_asc(Column::Id).limit(1000).all(self.0.conn()).await?)
    }
}

impl Messages<'_, Tx> {
    /// The message, held until this transaction ends.
    pub async fn locked(&self, id: MessageId) -> Result<Message> {
        let found =
            self.0.find::<Entity>().filter(Column::Id.eq(id)).lock_exclusive().one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("message", id))
    }

    /// Carries a change out, unless a later one was already: whatever the order of arrival, the last word
    /// stands and every earlier one is kept. `None` when the message stays as it is.
    pub async fn apply(&self, id: MessageId, change: &Change) -> Result<Option<Message>> {
        let seen = self.locked(id).await?;
        match change {
            Change::Edit { text, at } => {
                let last = std::cmp::max(seen.edited_at, seen.settled_at);
                let newest = seen.deleted_at.is_none() && last.is_none_or(|last| last < *at);
                let Some(text) = text else {
                    let update = self.0.update::<Entity>().col_expr(Column::EditedAt, Expr::value(*at));
                    return if newest { self.write(&seen, update).await.map(Some) } else { Ok(None) };
                };
                if *text == seen.text {
                    // Telegram also calls changes edits that nobody sees. They are none, and nothing is told of
                    // them; only their time counts.
                    if newest {
                        let update = self.0.update::<Entity>().col_expr(Column::SettledAt, Expr::value(*at));
                        update.filter(Column::Id.eq(seen.id)).exec(self.0.conn()).await?;
                    }
                    return Ok(None);
                }
                self.keep(&seen, if newest { &seen.text } else { text }, *at).await?;
                if !newest {
                    return Ok(None);
                }
                let update = self.0.update::<Entity>();
                let update = update.col_expr(Column::Text, Expr::value(text.as_str()));
                self.write(&seen, update.col_expr(Column::EditedAt, Expr::value(*at))).await.map(Some)
            }
            Change::Delete { at } => {
                if seen.deleted_at.is_some() {
                    return Ok(None);
                }
                self.keep(&seen, &seen.text, *at).await?;
                let update = self.0.update::<Entity>().col_expr(Column::Text, Expr::value(""));
                self.write(&seen, update.col_expr(Column::DeletedAt, Expr::value(*at))).await.map(Some)
            }
            Change::React { emoji, at } => {
                let mut all = reactions(&seen.reactions);
                if all.get("customer").is_some_and(|last| last.at >= *at) {
                    return Ok(None);
                }
                all.insert("customer".to_owned(), Reacted { emoji: emoji.clone(), at: *at });
                let all = serde_json::to_value(all).map_err(Error::internal)?;
                let update = self.0.update::<Entity>().col_expr(Column::Reactions, Expr::value(all));
                self.write(&seen, update).await.map(Some)
            }
        }
    }

    async fn keep(&self, message: &Message, text: &str, at: DateTime<Utc>) -> Result<()> {
        let row = Revision {
            tenant_id: self.0.tenant(),
            id: self.0.env().id(),
            message_id: message.id,
            text: text.to_owned(),
            replaced_at: at,
        };
        self.0.insert(row.into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(())
    }

    /// Prepares one more attempt of a message that failed, or whose outcome nobody knows.
    pub async fn again(&self, seen: &Message) -> Result<Message> {
        let update = self
            .0
            .update::<Entity>()
            .col_expr(Column::Status, Expr::value(DeliveryStatus::Queued))
            .col_expr(Column::Attempt, Expr::value(seen.attempt + 1))
            .col_expr(Column::ExternalId, Expr::value(None::<String>))
            .col_expr(Column::FailureReason, Expr::value(None::<String>))
            .col_expr(Column::FailureDetail, Expr::value(None::<String>));
        self.write(seen, update).await
    }

    async fn write(&self, seen: &Message, update: UpdateMany<Entity>) -> Result<Message> {
        let update = update
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(seen.id))
            .filter(Column::Version.eq(seen.version));
        update.exec_with_returning(self.0.conn()).await?.pop().ok_or(Error::stale())
    }
}
