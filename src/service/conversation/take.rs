//! One fact of a webhook into rows.

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use serde_json::{Value as Json, json};

use crate::{
    channels::Account,
    domain::{
        channel::{self, Outcome},
        conversation::{Author, Direction},
        delivery::DeliveryStatus,
        event::Event,
        inbound::{DeliveryUpdate, Fact, Identity, InboundMessage, What, display_name, scheme},
        phone, sending, window,
    },
    error::{Error, Result},
    id::MessageId,
    jobs::{
        draft_reply::DraftReply,
        outbound::{self, created, status_changed, updated},
        reply,
    },
    store::{
        TenantDb, Tx,
        conversation::{
            Arrival, Change, Channel, Conversation, Entry, Item, Message, Met, NewCustomer, NewMessage,
            Report,
        },
    },
};

/// The webhook that is being stored.
pub(super) struct Taking<'a> {
    pub(super) channel: &'a Channel,
    pub(super) account: &'a Account,
    pub(super) body: &'a [u8],
    /// How long the customer must be silent before a draft is made.
    pub(super) silence: TimeDelta,
}

/// What lets a message in once: also a message whose edit came first, and one that comes under another
/// number of the messenger's.
fn message_key(external_id: &str) -> String {
    format!("message:{external_id}")
}

impl Taking<'_> {
    /// Stores one fact. False when it was stored before.
    pub(super) async fn take(&self, db: &TenantDb<Tx>, fact: &Fact) -> Result<bool> {
        if !self.account.owns(fact) {
            return self.keep(db, fact, "other_account", Outcome::Quarantined).boxed().await;
        }
        let at = window::opened_at(fact.at, db.env().now());
        match &fact.what {
            What::Message(message) => self.message(db, fact, message, true).boxed().await,
            What::Echo(message) => self.message(db, fact, message, false).boxed().await,
            What::Unsupported { kind } => self.keep(db, fact, kind, Outcome::Unsupported).boxed().await,
            What::Status(update) => self.status(db, fact, update).boxed().await,
            What::Edit { external_id, text, from: _ } => {
                let change = Change::Edit { text: text.clone(), at };
                self.change(db, fact, "edit", external_id, change).boxed().await
            }
            What::Revoke { external_id, from: _ } => {
                self.change(db, fact, "revoke", external_id, Change::Delete { at }).boxed().await
            }
            What::Reaction { target_external_id, emoji, from: _ } => {
                let change = Change::React { emoji: emoji.clone(), at };
                self.change(db, fact, "reaction", target_external_id, change).boxed().await
            }
            What::IdentityChanged { from, to } => self.renamed(db, fact, from, to).boxed().await,
            What::BlockedUs { from } => self.reachable(db, fact, from, false, at).boxed().await,
            What::UnblockedUs { from } => self.reachable(db, fact, from, true, at).boxed().await,
        }
    }

    async fn enter(&self, db: &TenantDb<Tx>, key: &str, kind: &str) -> Result<Entry> {
        let item = Item { channel: self.channel.id, key, kind, outcome: Outcome::Taken, body: None };
        db.inbox().enter(item).await
    }

    /// Keeps an item as it came.
    async fn keep(&self, db: &TenantDb<Tx>, fact: &Fact, kind: &str, outcome: Outcome) -> Result<bool> {
        let (key, body) = (fact.dedupe_key.as_str(), Some(self.raw(fact)));
        let item = Item { channel: self.channel.id, key, kind, outcome, body };
        Ok(db.inbox().enter(item).await? != Entry::Duplicate)
    }

    /// The item as it came; the whole webhook where the adapter kept no part of it.
    fn raw(&self, fact: &Fact) -> Json {
        fact.raw.clone().or_else(|| serde_json::from_slice(self.body).ok()).unwrap_or(Json::Null)
    }

    async fn message(
        &self,
        db: &TenantDb<Tx>,
        fact: &Fact,
        message: &InboundMessage,
        inbound: bool,
    ) -> Result<bool> {
        let key = message_key(&message.external_id);
        let changes = match self.enter(db, &key, "message").boxed().await? {
            Entry::Duplicate => return Ok(false),
            Entry::New => Vec::new(),
            Entry::Awaited(changes) => changes,
        };
        if !inbound && db.messages().by_external_id(self.channel.id, &message.external_id).await?.is_some() {
            // The echo of what we sent ourselves.
            return Ok(true);
        }
        let names = names(message);
        let customer =
            db.customers().writing(self.channel.id, &names, || new_customer(message, &names)).await?;
        let now = db.env().now();
        let at = window::opened_at(fact.at, now);
        let id: MessageId = db.env().id();
        let text = message.text.clone().unwrap_or_default();

        let conversation = if inbound && customer.blocked {
            let Some(newest) = db.conversations().newest_of(self.channel.id, customer.id).await? else {
                let raw = self.raw(fact);
                db.inbox().set_aside(self.channel.id, &key, Outcome::Blocked, raw).await?;
                return Ok(true);
            };
            let newest = db.conversations().locked(newest.id).await?;
            db.conversations().overhear(&newest).await?
        } else {
            let arrival = Arrival {
                channel: self.channel.id,
                customer: customer.id,
                message: id,
                at,
                preview: sending::preview(message.kind.as_str(), &text),
                inbound,
                window_expires_at: window::closes_at(
                    channel::window(self.channel.kind),
                    inbound.then_some(at),
                ),
                chat: message.conversation.clone(),
            };
            db.conversations().arrive(arrival).await?
        };
        let reply_to = self.answered(db, message.reply_to.as_deref(), &conversation).boxed().await?;
        let stored = NewMessage {
            id,
            conversation: conversation.id,
            channel: self.channel.id,
            seq: conversation.message_count,
            at,
            direction: if inbound { Direction::Inbound } else { Direction::Outbound },
            author: if inbound { Author::Customer } else { Author::External },
            author_id: None,
            kind: message.kind.as_str().to_owned(),
            text,
            attachments: serde_json::to_value(&message.attachments).map_err(Error::internal)?,
            details: details(message),
            external_id: Some(message.external_id.clone()),
            provider_time: fact.at,
            status: None,
            attempt: 0,
            reply_to,
            suggestion: None,
            raw: fact.raw.clone(),
        };
        let stored = db.messages().insert(stored).await?;

        if conversation.version == 1 {
            db.emit(Event::ConversationCreated {
                conversation: conversation.id,
                customer: customer.id,
                channel: self.channel.id,
                channel_kind: self.channel.kind,
            });
        } else {
            db.emit(updated(&conversation));
        }
        db.emit(created(&stored));
        if inbound && !customer.blocked {
            want_draft(db, &conversation, &stored, self.silence).boxed().await?;
        }
        for change in &changes {
            apply(db, &stored, change).boxed().await?;
        }
        Ok(true)
    }

    /// The message of this conversation that the customer quotes, if we have it.
    async fn answered(
        &self,
        db: &TenantDb<Tx>,
        quoted: Option<&str>,
        conversation: &Conversation,
    ) -> Result<Option<MessageId>> {
        let Some(quoted) = quoted else { return Ok(None) };
        let found = db.messages().by_external_id(self.channel.id, quoted).await?;
        Ok(found.filter(|found| found.conversation_id == conversation.id).map(|found| found.id))
    }

    async fn status(&self, db: &TenantDb<Tx>, fact: &Fact, update: &DeliveryUpdate) -> Result<bool> {
        if self.enter(db, &fact.dedupe_key, "status").boxed().await? == Entry::Duplicate {
            return Ok(false);
        }
        let report = Report {
            status: update.status,
            reason: update.reason.map(|reason| reason.as_str().to_owned()),
            detail: update.detail.clone(),
        };
        let external_id = update.external_id.as_deref();
        let ours = self.ours(db, update).boxed().await?;
        let doubted = ours.is_some_and(|(_, status)| status == Some(DeliveryStatus::Unknown));
        let met = match (ours, external_id) {
            // Our own id came back: that also tells what the provider calls the message.
            (Some((met, _)), Some(external_id)) => {
                db.deliveries().accept(self.channel.id, external_id, met).await?;
                Some(met)
            }
            (Some((met, _)), None) => Some(met),
            (None, Some(external_id)) => db.deliveries().leave(self.channel.id, external_id, &report).await?,
            (None, None) => None,
        };
        if let Some(met) = met {
            let changed = db.messages().report(self.channel.id, met, &report, external_id).await?;
            if let Some(event) = changed.as_ref().and_then(status_changed) {
                db.emit(event);
                if doubted {
                    outbound::settle(db, met, report.status, external_id).boxed().await?;
                }
            }
        }
        Ok(true)
    }

    /// The attempt that a report names by our own message id, and where it stood.
    async fn ours(
        &self,
        db: &TenantDb<Tx>,
        update: &DeliveryUpdate,
    ) -> Result<Option<(Met, Option<DeliveryStatus>)>> {
        let Some(id) = update.correlation.as_deref().and_then(|id| id.parse().ok()) else { return Ok(None) };
        let Some(message) = db.messages().find(id).await? else { return Ok(None) };
        if message.channel_id != self.channel.id || message.direction != Direction::Outbound {
            return Ok(None);
        }
        let attempt = update.attempt.and_then(|attempt| i32::try_from(attempt).ok());
        let attempt = attempt.unwrap_or(message.attempt).min(message.attempt);
        Ok(Some((Met { message: id, attempt }, message.status)))
    }

    /// What the customer did to a message. If that is not there yet, the change waits for it at the gate.
    async fn change(
        &self,
        db: &TenantDb<Tx>,
        fact: &Fact,
        kind: &str,
        external_id: &str,
        change: Change,
    ) -> Result<bool> {
        if self.enter(db, &fact.dedupe_key, kind).boxed().await? == Entry::Duplicate {
            return Ok(false);
        }
        let mut found = db.messages().by_external_id(self.channel.id, external_id).await?;
        if found.is_none() && !db.inbox().expect(self.channel.id, &message_key(external_id), &change).await? {
            found = db.messages().by_external_id(self.channel.id, external_id).await?;
        }
        if let Some(message) = found {
            apply(db, &message, &change).boxed().await?;
        }
        Ok(true)
    }

    /// The same person has other names from now on.
    async fn renamed(
        &self,
        db: &TenantDb<Tx>,
        fact: &Fact,
        from: &[Identity],
        to: &[Identity],
    ) -> Result<bool> {
        if self.enter(db, &fact.dedupe_key, "identity").boxed().await? == Entry::Duplicate {
            return Ok(false);
        }
        if let Some((customer, _)) = db.customers().known(self.channel.id, from).await? {
            let names: Vec<_> = to.iter().collect();
            db.customers().name(customer.id, self.channel.id, &names).await?;
            db.emit(Event::CustomerUpdated { customer: customer.id, blocked: customer.blocked });
        }
        Ok(true)
    }

    async fn reachable(
        &self,
        db: &TenantDb<Tx>,
        fact: &Fact,
        from: &[Identity],
        reachable: bool,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        if self.enter(db, &fact.dedupe_key, "membership").boxed().await? == Entry::Duplicate {
            return Ok(false);
        }
        if let Some(customer) = db.customers().set_reachable(self.channel.id, from, reachable, at).await? {
            let customer = db.customers().get(customer).await?;
            db.emit(Event::CustomerUpdated { customer: customer.id, blocked: customer.blocked });
        }
        Ok(true)
    }
}

/// The customer spoke: the draft that waits is out of date, and a new one is wanted once there is silence.
/// An assigned conversation gets one too, for its operator.
async fn want_draft(
    db: &TenantDb<Tx>,
    conversation: &Conversation,
    message: &Message,
    silence: TimeDelta,
) -> Result<()> {
    // A late arrival is not what the customer says now.
    if conversation.last_inbound_id != Some(message.id) {
        return Ok(());
    }
    if conversation.version > 1 {
        reply::supersede(db, conversation).boxed().await?;
    }
    DraftReply { conversation: conversation.id, message: message.id }.after_silence(db, silence).await?;
    Ok(())
}

/// Carries a change out and tells of it.
async fn apply(db: &TenantDb<Tx>, message: &Message, change: &Change) -> Result<()> {
    let Some(changed) = db.messages().apply(message.id, change).boxed().await? else { return Ok(()) };
    let (conversation, message) = (changed.conversation_id, changed.id);
    let reworded = match change {
        Change::Edit { .. } => {
            db.emit(Event::MessageEdited { conversation, message, text: changed.text.clone() });
            sending::preview(&changed.kind, &changed.text)
        }
        Change::Delete { .. } => {
            db.emit(Event::MessageDeleted { conversation, message });
            sending::preview("deleted", "")
        }
        Change::React { emoji, .. } => {
            db.emit(Event::MessageReacted { conversation, message, emoji: emoji.clone() });
            return Ok(());
        }
    };
    db.conversations().reword(conversation, message, reworded).await
}

/// Whose conversation a message belongs to: the writer's; in a group, the group's.
fn names(message: &InboundMessage) -> Vec<Identity> {
    match &message.conversation {
        Some(chat) if message.group => vec![Identity::new("group", chat.as_str())],
        _ => message.from.clone(),
    }
}

/// Acceptance case 25: the messenger's name of the writer, else the end of the id.
fn new_customer(message: &InboundMessage, names: &[Identity]) -> NewCustomer {
    let first = names.first().map(|name| name.value.as_str()).unwrap_or_default();
    let given: &[Option<&str>] =
        if message.group { &[] } else { &[message.name.as_deref(), message.username.as_deref()] };
    let wa_id = names.iter().find(|name| name.scheme == scheme::WHATSAPP);
    NewCustomer {
        display_name: display_name(given, first),
        phone: wa_id.and_then(|name| phone::of_wa_id(&name.value)),
    }
}

/// What the kind says beyond words; in a group also who wrote.
fn details(message: &InboundMessage) -> Option<Json> {
    if !message.group && !message.forwarded {
        return message.details.clone();
    }
    let mut details = message.details.clone().filter(Json::is_object).unwrap_or_else(|| json!({}));
    if message.forwarded {
        details["forwarded"] = true.into();
    }
    if message.group {
        details["writer"] = message.name.clone().into();
    }
    Some(details)
}
