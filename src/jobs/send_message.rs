//! Hands one outbound message to its messenger.

use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use super::{
    Context, Failure, Job, Queue,
    effect::{self, Effect, Intent, Policy},
    outbound::{channel_updated, status_changed},
};
use crate::{
    channels::{Account, Channel as _, Outbound, Refusal, Retry, Sent},
    domain::{channel::Health, delivery::DeliveryStatus, inbound::Identity},
    error::{Error, Result},
    fault::{self, Point},
    id::MessageId,
    store::{
        TenantDb, Tx,
        conversation::{Channel, Message, Met, Report},
    },
};

/// Sends one attempt of one outbound message. Ordered by conversation.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendMessage {
    pub message: MessageId,
    /// Which attempt: a job of an earlier one that comes back must not send the present one.
    pub attempt: i32,
}

impl SendMessage {
    /// The attempt in the ledger, whichever job makes it; one more attempt is another effect.
    pub fn effect_key(&self) -> [u8; 32] {
        effect::key(Self::NAME, self.message.0, self.attempt.unsigned_abs())
    }

    /// A run that died left the attempt in doubt, and the provider told of it before this one could ask.
    async fn heard_of(&self, db: &TenantDb, message: &Message) -> Result<()> {
        if !heard(self, message) {
            return Ok(());
        }
        let external_id = message.external_id.as_deref();
        db.transaction(async |db| effect::found(db, self.effect_key(), external_id).await).await
    }
}

impl Job for SendMessage {
    const NAME: &'static str = "send_message";
    const QUEUE: Queue = Queue::Send;

    #[tracing::instrument(skip_all, fields(message.id = %self.message))]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let db = cx.store.of(cx.scope.clone());
        let Some(message) = db.messages().find(self.message).await? else { return Ok(()) };
        if message.attempt != self.attempt || message.status != Some(DeliveryStatus::Queued) {
            tracing::info!(status = ?message.status, "no longer waiting");
            return Ok(self.heard_of(&db, &message).boxed().await?);
        }
        let channel = db.channels().get(message.channel_id).await?;
        let sending =
            Sending { job: self, effect: cx.effect_of(self.effect_key()), cx, db: &db, channel: &channel };
        let Some((account, outbound)) = sending.prepare(&message).boxed().await? else { return Ok(()) };

        // From here on the provider may have it: only the answer, a report or a person can tell.
        match sending.effect.begin(account.capabilities().ambiguous_send).await? {
            // Recorded together with the message's status, which was read before.
            Intent::AlreadyDone(_) => return Ok(()),
            Intent::Ambiguous => {
                let detail = "the server stopped while it was sending".to_owned();
                return Ok(sending.unknown(detail).boxed().await?);
            }
            Intent::Fresh => {}
        }
        let sent = account.send(&cx.http, &outbound, cx.env.now()).await;
        fault::point(Point::EffectBeforeRecord).await.map_err(Failure::retry)?;
        match sent {
            Sent::Accepted { external_id } => Ok(sending.accepted(&external_id).boxed().await?),
            Sent::Rejected(refusal) => sending.rejected(refusal).boxed().await,
            Sent::Unknown { detail } => Ok(sending.unknown(detail).boxed().await?),
        }
    }

    /// A message must not wait for good for a job that is dead: a person sees that it failed, or that nobody
    /// knows.
    async fn give_up(&self, cx: &Context, why: &str) -> Result<()> {
        let db = cx.store.of(cx.scope.clone());
        let Some(message) = db.messages().find(self.message).await? else { return Ok(()) };
        if message.attempt != self.attempt || message.status != Some(DeliveryStatus::Queued) {
            return Ok(());
        }
        let channel = db.channels().get(message.channel_id).await?;
        let sending =
            Sending { job: self, effect: cx.effect_of(self.effect_key()), cx, db: &db, channel: &channel };
        match sending.effect.begin(Policy::Hold).await? {
            Intent::AlreadyDone(_) => Ok(()),
            Intent::Ambiguous => sending.unknown(why.to_owned()).boxed().await,
            Intent::Fresh => sending.failed("NOT_SENT", why.to_owned(), false).boxed().await,
        }
    }
}

/// Whether the provider is known to have the attempt.
fn heard(job: &SendMessage, message: &Message) -> bool {
    use DeliveryStatus::{Delivered, Read, Sent};
    message.attempt == job.attempt && matches!(message.status, Some(Sent | Delivered | Read))
}

/// One attempt, and what it takes to record how it ended.
struct Sending<'a> {
    job: &'a SendMessage,
    effect: Effect,
    cx: &'a Context,
    db: &'a TenantDb,
    channel: &'a Channel,
}

impl Sending<'_> {
    /// What to send and with which adapter; `None` when it cannot be sent at all, which is recorded.
    async fn prepare(&self, message: &Message) -> Result<Option<(Account, Outbound)>> {
        let conversation = self.db.conversations().get(message.conversation_id).await?;
        let customer = self.db.customers().get(conversation.customer_id).await?;
        if customer.blocked || !self.channel.enabled {
            let reason = if customer.blocked { "CUSTOMER_BLOCKED" } else { "CHANNEL_DISABLED" };
            self.failed(reason, "it changed before the message went out".to_owned(), false).boxed().await?;
            return Ok(None);
        }
        let names = self.db.customers().identities(customer.id, Some(self.channel.id)).await?;
        let reply_to = match message.reply_to_id {
            Some(id) => self.db.messages().find(id).await?.and_then(|answered| answered.external_id),
            None => None,
        };
        let secrets = self.db.channels().open_secrets(&self.cx.keys, self.channel).await?;
        let account = Account::open(self.channel.kind, self.channel.config.clone(), secrets);
        let account = account.map_err(Error::internal)?;
        let outbound = Outbound {
            message_id: message.id.to_string(),
            attempt: u32::try_from(message.attempt).unwrap_or(1),
            conversation_id: conversation.id.to_string(),
            chat: conversation.chat,
            to: names.into_iter().map(|name| Identity { scheme: name.scheme, value: name.value }).collect(),
            text: message.text.clone(),
            reply_to,
        };
        Ok(Some((account, outbound)))
    }

    const fn met(&self) -> Met {
        Met { message: self.job.message, attempt: self.job.attempt }
    }

    /// The provider has it. A report may have come before this answer: then it says how far the message is.
    async fn accepted(&self, external_id: &str) -> Result<()> {
        self.db
            .transaction(async |db| {
                self.effect.done(db, Some(external_id)).await?;
                let earlier = db.deliveries().accept(self.channel.id, external_id, self.met()).await?;
                // An echo may have brought it in already; then the name is taken.
                let echo = db.messages().by_external_id(self.channel.id, external_id).await?;
                let name = Some(external_id).filter(|_| echo.is_none_or(|echo| echo.id == self.job.message));
                let sent = Report { status: DeliveryStatus::Sent, reason: None, detail: None };
                let report = earlier.filter(|earlier| earlier.status > sent.status).unwrap_or(sent);
                self.report(db, &report, name).boxed().await?;
                if self.channel.health != Health::Ok {
                    self.health(db, Health::Ok, None).boxed().await?;
                }
                Ok(())
            })
            .await
    }

    /// The provider does not have it.
    async fn rejected(&self, refusal: Refusal) -> Result<(), Failure> {
        if let Retry::After(after) = refusal.retry
            && !self.cx.last_try()
        {
            self.db.transaction(async |db| self.effect.undone(db).await).await?;
            let cause = anyhow::anyhow!("{}: {}", refusal.reason.as_str(), refusal.detail);
            return Err(Failure::Retry { after: Some(after), cause });
        }
        Ok(self.failed(refusal.reason.as_str(), refusal.detail, refusal.channel_broken).boxed().await?)
    }

    async fn failed(&self, reason: &str, detail: String, broken: bool) -> Result<()> {
        let reason = Some(reason.to_owned());
        let report = Report { status: DeliveryStatus::Failed, reason: reason.clone(), detail: Some(detail) };
        self.db
            .transaction(async |db| {
                self.effect.undone(db).await?;
                self.report(db, &report, None).boxed().await?;
                if broken {
                    self.health(db, Health::Broken, reason.clone()).boxed().await?;
                }
                Ok(())
            })
            .await
    }

    /// Nobody can tell, unless a report came meanwhile: then later ones, an echo or a person decide.
    async fn unknown(&self, detail: String) -> Result<()> {
        let reason = Some("OUTCOME_UNKNOWN".to_owned());
        let report = Report { status: DeliveryStatus::Unknown, reason, detail: Some(detail) };
        self.db
            .transaction(async |db| {
                let message = db.messages().locked(self.job.message).await?;
                if heard(self.job, &message) {
                    return effect::found(db, self.effect.key(), message.external_id.as_deref()).await;
                }
                self.effect.unknown(db).await?;
                self.report(db, &report, None).boxed().await
            })
            .await
    }

    async fn report(&self, db: &TenantDb<Tx>, report: &Report, external_id: Option<&str>) -> Result<()> {
        let changed = db.messages().report(self.channel.id, self.met(), report, external_id).await?;
        if let Some(event) = changed.as_ref().and_then(status_changed) {
            db.emit(event);
        }
        Ok(())
    }

    async fn health(&self, db: &TenantDb<Tx>, health: Health, reason: Option<String>) -> Result<()> {
        if let Some(channel) = db.channels().set_health(self.channel.id, health, reason).await? {
            db.emit(channel_updated(&channel));
        }
        Ok(())
    }
}
