//! Tells a messenger where its webhooks go.

use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use super::{Context, Failure, Job, Queue, Terms, enqueue, outbound::channel_updated};
use crate::{
    channels::{Account, Channel as _, Refusal, Retry},
    domain::channel::{Health, webhook_path},
    error::{Error, Result},
    id::ChannelId,
    store::{TenantDb, Tx},
};

/// Why a channel is broken whose messenger does not take our address.
pub const WEBHOOK_REFUSED: &str = "WEBHOOK_REFUSED";

/// Registers the webhook address of a channel, and records the answer as the channel's health. Repeating it
/// does no harm. Ordered by channel: each run reads the channel as it is then, so the last one registers
/// what stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConnectChannel {
    pub channel: ChannelId,
}

impl ConnectChannel {
    /// Promises that the messenger will be told, if it is one that can be.
    pub async fn if_possible(self, db: &TenantDb<Tx>, account: &Account) -> Result<()> {
        if account.capabilities().connects {
            let terms = Terms::now().ordered(self.channel.0);
            enqueue(db, &self, terms).boxed().await?;
        }
        Ok(())
    }
}

/// What a refusal means for the channel's health.
pub fn broken(refusal: &Refusal) -> &'static str {
    if refusal.channel_broken { refusal.reason.as_str() } else { WEBHOOK_REFUSED }
}

impl Job for ConnectChannel {
    const NAME: &'static str = "connect_channel";
    const QUEUE: Queue = Queue::Lookup;

    #[tracing::instrument(skip_all, fields(channel.id = %self.channel))]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let db = cx.store.of(cx.scope.clone());
        let channel = match db.channels().get(self.channel).await {
            Ok(channel) if channel.enabled => channel,
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let secrets = db.channels().open_secrets(&cx.keys, &channel).await?;
        let account = Account::open(channel.kind, channel.config.clone(), secrets).map_err(Failure::dead)?;
        let url = format!("{}{}", cx.public_url, webhook_path(channel.kind, channel.id));
        let (health, reason) = match account.connect(&cx.http, &url).await {
            Ok(()) => (Health::Ok, None),
            Err(Refusal { reason, detail, retry: Retry::After(after), .. }) if !cx.last_try() => {
                let cause = anyhow::anyhow!("{}: {detail}", reason.as_str());
                return Err(Failure::Retry { after: Some(after), cause });
            }
            Err(refusal) => (Health::Broken, Some(broken(&refusal).to_owned())),
        };
        db.transaction(async |db| {
            // Somebody repaired the account while we asked: another run will tell about that.
            if db.channels().get(channel.id).await?.secrets != channel.secrets {
                return Ok(());
            }
            if let Some(row) = db.channels().set_health(channel.id, health, reason.clone()).await? {
                db.emit(channel_updated(&row));
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
}
