//! One webhook address for every WhatsApp number of an app: Meta sends all of them to one URL, so a request
//! is routed by the phone number ids in its body, and proven by each number's own channel.

use super::{Ingress, Received};
use crate::{
    channels::{RawRequest, whatsapp_accounts},
    domain::conversation::ChannelKind,
    error::{Error, Result},
};
use futures::FutureExt as _;

impl Ingress {
    /// Stores what a body says for each number it names. What is for a number of nobody's here is not
    /// stored; a signature that fails for one number fails the request.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); `NotFound` when no number of the body is known.
    pub async fn receive_shared(&self, request: &RawRequest) -> Result<Received> {
        let accounts = whatsapp_accounts(&request.body).map_err(|problem| Error::invalid("body", problem))?;
        let mut all: Option<Received> = None;
        for account in &accounts {
            let Some(channel) = self.store.system().channel_of(ChannelKind::Whatsapp, account).await? else {
                continue;
            };
            let opened = self.account(&channel).boxed().await?;
            let mut facts = self.proven(&opened, ChannelKind::Whatsapp, request)?;
            // Each tenant sees its own number's items and no others.
            facts.retain(|fact| opened.owns(fact));
            let received = self.keep(&channel, &opened, request, &facts).boxed().await?;
            let sum = all.get_or_insert(Received { new: 0, duplicates: 0, receipt: received.receipt });
            sum.new += received.new;
            sum.duplicates += received.duplicates;
        }
        all.ok_or_else(|| Error::not_found("channel", accounts.join(", ")))
    }
}
