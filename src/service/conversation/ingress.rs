//! Webhooks of messengers, from raw request to stored rows.
//!
//! A request is proven on its raw bytes, parsed, and stored whole in one transaction before it is answered;
//! if that cannot commit, the answer is 503 and the messenger keeps it. A plain text message of a known
//! customer costs these statements (`bench` repeats them as the ceiling):
//!
//! 1. `insert into inbox … on conflict do update … where outcome = 'expected' returning body`: the gate
//! 2. `select … from customer_identity join customer`: who writes
//! 3. `insert into conversation … on conflict do update … returning *`: the one open conversation, its counters
//! 4. `insert into message`
//! 5. `select … from suggestion where state = 'pending'`: a draft that waits is superseded
//! 6. `insert into job … returning id`: a draft is wanted
//! 7. `insert into event`: message.created, conversation.updated
//!
//! The channel is read before, outside of the transaction.

use futures::FutureExt as _;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::take::Taking;
use crate::{
    access::Access,
    auth::{TenantScope, seal::Keyring},
    channels::{Account, Channel as _, RawRequest},
    domain::{
        conversation::ChannelKind,
        inbound::{Fact, What},
        signature::SignatureError,
    },
    error::{Error, Result},
    id::ChannelId,
    store::{
        Store, TenantDb, Tx,
        conversation::{Channel, Known},
    },
};

/// Takes in webhooks.
#[derive(Clone)]
pub struct Ingress {
    pub(super) store: Store,
    keys: Keyring,
    silence: TimeDelta,
    access: Option<Access>,
}

/// A webhook that is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Items that were new.
    pub new: usize,
    /// Items that were there already.
    pub duplicates: usize,
    /// The body to answer with, status 200.
    pub receipt: Json,
}

impl Ingress {
    pub fn new(store: Store, keys: Keyring) -> Self {
        Self { store, keys, silence: TimeDelta::seconds(2), access: None }
    }

    /// Has proven deliveries spend their channel's rate.
    #[must_use]
    pub fn limited(self, access: Access) -> Self {
        Self { access: Some(access), ..self }
    }

    /// Has drafts wait until the customer has been silent for `silence`, in place of two seconds.
    #[must_use]
    pub fn debounced(self, silence: Duration) -> Self {
        Self { silence: TimeDelta::from_std(silence).unwrap_or(TimeDelta::MAX), ..self }
    }

    /// Stores everything a webhook of `channel` (an id as in the path) says, once. Durable when this returns.
    ///
    /// # Errors
    /// `NotFound` for a channel that is not there, off, or of another kind; `INVALID_SIGNATURE` when the
    /// request is not proven; `Invalid` for a body that is no JSON object; `Exists` when an integrator uses the
    /// id of an event for another body; `Limited` when the channel gets too many; `Unavailable` when it could not be stored and must come again. In all of these nothing is written.
    pub async fn receive(&self, kind: ChannelKind, channel: &str, request: &RawRequest) -> Result<Received> {
        let (channel, account) = self.channel(kind, channel).boxed().await?;
        let facts = self.proven(&account, kind, request)?;
        self.keep(&channel, &account, request, &facts).boxed().await
    }

    /// What a request says, once its signature is checked.
    pub(super) fn proven(
        &self,
        account: &Account,
        kind: ChannelKind,
        request: &RawRequest,
    ) -> Result<Vec<Fact>> {
        let now = self.store.env().now();
        account.verify(request, now).map_err(|error| refused(kind, error))?;
        account.parse(&request.body).map_err(|problem| Error::invalid("body", problem))
    }

    /// Stores facts of a proven request.
    pub(super) async fn keep(
        &self,
        channel: &Channel,
        account: &Account,
        request: &RawRequest,
        facts: &[Fact],
    ) -> Result<Received> {
        let kind = channel.kind;
        if let Some(access) = &self.access
            && let Err(error) = access.limits().delivery(channel.id).await
        {
            count(kind, "limited", facts.len());
            return Err(error);
        }
        let scope = TenantScope::of_channel(channel.tenant_id);
        let taking = Taking { channel, account, body: &request.body, silence: self.silence };
        let named = account.delivery_name(facts);
        let stored = self
            .store
            .of(scope)
            .transaction(async |db| {
                if let Some(name) = named
                    && reused(db, channel.id, name, &request.body).boxed().await?
                {
                    return Ok(None);
                }
                let mut new = 0;
                for fact in facts {
                    new += usize::from(taking.take(db, fact).boxed().await?);
                }
                Ok(Some(new))
            })
            .await;
        let new = match stored {
            Ok(Some(new)) => new,
            Ok(None) => return Err(Error::Exists { what: "an event of this event_id with another body" }),
            // Whatever went wrong, the messenger is the only one who still has it.
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(error) => return Err(Error::unavailable(error)),
        };

        let duplicates = facts.len() - new;
        count(kind, "new", new);
        count(kind, "duplicate", duplicates);
        let mut receipt = account.receipt(facts);
        if named.is_some() {
            receipt["message_id"] = self.message_of(channel, facts).boxed().await.into();
        }
        Ok(Received { new, duplicates, receipt })
    }

    /// What we call the message of an integrator's event; `None` where there is none, or for the moment none
    /// to be read: the event is stored either way.
    async fn message_of(&self, channel: &Channel, facts: &[Fact]) -> Option<String> {
        let What::Message(message) = &facts.first()?.what else { return None };
        let db = self.store.of(TenantScope::of_channel(channel.tenant_id));
        let found = db.messages().by_external_id(channel.id, &message.external_id).await;
        found.ok().flatten().map(|message| message.id.to_string())
    }

    /// Answers the question whether the address is ours: the plain text to answer with.
    pub async fn challenge(&self, kind: ChannelKind, channel: &str, request: &RawRequest) -> Result<String> {
        let (_, account) = self.channel(kind, channel).boxed().await?;
        account.challenge(request).map_err(|error| {
            count(kind, "refused", 1);
            Error::forbidden("INVALID_CHALLENGE", error.to_string())
        })
    }

    async fn channel(&self, kind: ChannelKind, id: &str) -> Result<(Channel, Account)> {
        let missing = || Error::not_found("channel", id);
        let id: ChannelId = id.parse().map_err(|_| missing())?;
        let channel = self.store.system().channel(id).await?.filter(|channel| channel.kind == kind);
        let channel = channel.ok_or_else(missing)?;
        let account = self.account(&channel).boxed().await?;
        Ok((channel, account))
    }

    pub(super) async fn account(&self, channel: &Channel) -> Result<Account> {
        let db = self.store.of(TenantScope::of_channel(channel.tenant_id));
        let secrets = db.channels().open_secrets(&self.keys, channel).await?;
        Account::open(channel.kind, channel.config.clone(), secrets).map_err(Error::internal)
    }
}

/// Whether a delivery of that name came before with another body.
async fn reused(db: &TenantDb<Tx>, channel: ChannelId, name: &str, body: &[u8]) -> Result<bool> {
    Ok(db.inbox().recognise(channel, name, Sha256::digest(body).into()).await? == Known::Other)
}

pub(super) fn refused(kind: ChannelKind, error: SignatureError) -> Error {
    count(kind, "refused", 1);
    Error::Credentials { reason: "INVALID_SIGNATURE", message: error.to_string().into(), retry: None }
}

pub(super) fn count(kind: ChannelKind, outcome: &'static str, by: usize) {
    let channel = match kind {
        ChannelKind::Whatsapp => "whatsapp",
        ChannelKind::Telegram => "telegram",
        ChannelKind::Webhook => "webhook",
    };
    let by = u64::try_from(by).unwrap_or(u64::MAX);
    metrics::counter!("switchboard_webhook_items_total", "channel" => channel, "outcome" => outcome)
        .increment(by);
}
