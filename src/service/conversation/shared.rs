//! One webhook address for every WhatsApp number of an app: Meta sends all of them to one URL, so a request
//! is routed by the phone number ids in its body, and proven by each number's own channel.
//!
//! Nobody owns a phone number id here before a signature says so: any tenant may connect a channel under
//! any number. So every channel of a number is asked, and those get the delivery whose secret made its
//! signature; what another tenant claimed neither takes it away nor spoils it.

use futures::FutureExt as _;

use super::{
    Ingress, Received,
    ingress::{count, refused},
};
use crate::{
    channels::{Account, Channel as _, RawRequest, whatsapp_accounts, whatsapp_signed},
    domain::{conversation::ChannelKind, signature::SignatureError},
    error::{Error, Result},
    store::conversation::Channel,
};

const KIND: ChannelKind = ChannelKind::Whatsapp;

/// Numbers in one body; nothing about them is proven when they are looked up.
const MOST_ACCOUNTS: usize = 50;
/// Channels asked about one body.
const MOST_CHANNELS: u64 = 500;

impl Ingress {
    /// Stores what a body says for each number it names, in the channels whose secret signed it. What is for
    /// a number of nobody's here is not stored.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); `INVALID_SIGNATURE` when no channel of any number proves the request,
    /// or it has no signature at all; `NotFound` when no number of the body is known; `Invalid` when it names
    /// more than 50 numbers. When one channel's part could not be stored or was one too many, the others are
    /// stored, and the error asks for the whole again: what is stored is known then.
    pub async fn receive_shared(&self, request: &RawRequest) -> Result<Received> {
        whatsapp_signed(request).map_err(|error| refused(KIND, error))?;
        let accounts = whatsapp_accounts(&request.body).map_err(|problem| Error::invalid("body", problem))?;
        if accounts.len() > MOST_ACCOUNTS {
            count(KIND, "refused", 1);
            return Err(Error::invalid("body", "names more than 50 phone numbers"));
        }
        let channels = self.store.system().channels_of(KIND, &accounts, MOST_CHANNELS).await?;
        if channels.is_empty() {
            return Err(Error::not_found("channel", accounts.join(", ")));
        }
        let mut sum = Sum::default();
        for (channel, account) in self.signers(&channels, request).boxed().await? {
            sum.add(self.part(channel, &account, request).boxed().await);
        }
        sum.answer()
    }

    /// The channels whose secret made the signature. One that cannot be opened is passed over: the others
    /// have nothing to do with it.
    async fn signers<'a>(
        &self,
        channels: &'a [Channel],
        request: &RawRequest,
    ) -> Result<Vec<(&'a Channel, Account)>> {
        let now = self.store.env().now();
        let (mut signers, mut unopened) = (Vec::new(), None);
        let mut unproven = SignatureError::NotConfigured;
        for channel in channels {
            let account = match self.account(channel).boxed().await {
                Ok(account) => account,
                Err(error) => {
                    tracing::error!(channel.id = %channel.id, %error, "a channel cannot be opened");
                    unopened = Some(error);
                    continue;
                }
            };
            match account.verify(request, now) {
                Ok(()) => signers.push((channel, account)),
                Err(error) => unproven = error,
            }
        }
        match unopened {
            // Perhaps it was for this one: the messenger shall keep it.
            Some(error) if signers.is_empty() => Err(Error::unavailable(error)),
            None if signers.is_empty() => Err(refused(KIND, unproven)),
            _ => Ok(signers),
        }
    }

    /// What a proven request says to one channel.
    async fn part(&self, channel: &Channel, account: &Account, request: &RawRequest) -> Result<Received> {
        let facts = account.parse(&request.body).map_err(|problem| Error::invalid("body", problem))?;
        // Each tenant sees its own number's items and no others.
        let own: Vec<_> = facts.into_iter().filter(|fact| account.owns(fact)).collect();
        self.keep(channel, account, request, &own).boxed().await
    }
}

/// What came of all parts.
#[derive(Default)]
struct Sum {
    received: Option<Received>,
    failed: Option<Error>,
}

impl Sum {
    fn add(&mut self, part: Result<Received>) {
        match (part, &mut self.received) {
            (Ok(part), Some(sum)) => {
                sum.new += part.new;
                sum.duplicates += part.duplicates;
            }
            (Ok(part), None) => self.received = Some(part),
            (Err(error), _) => self.failed = Some(error),
        }
    }

    fn answer(self) -> Result<Received> {
        match (self.failed, self.received) {
            (Some(error), _) => Err(error),
            (None, Some(received)) => Ok(received),
            (None, None) => Err(Error::internal(anyhow::anyhow!("a delivery without a part"))),
        }
    }
}
