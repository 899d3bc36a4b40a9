//! Messenger adapters: I/O to providers, and nothing else. Each proves where a webhook came from, parses
//! it into facts of [`domain::inbound`](crate::domain::inbound), and sends messages.
//!
//! ```text
//! let account = Account::open(kind, settings, secrets)?;      // from the channel's row
//! account.verify(&request, now)?;                             // on the raw bytes
//! let facts = account.parse(&request.body)?;                  // every item of every array, in order
//! let sent = account.send(&http, &outbound, now).await;       // accepted, rejected, or unknown
//! ```
//!
//! A new messenger is one file beside these, one [`Channel`], and one variant of [`Account`].

mod account;
mod address;
mod exchange;
mod http;
mod json;
mod request;
mod telegram;
mod text;
mod webhook;
mod whatsapp;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

pub use self::{
    account::{Account, InvalidAccount},
    http::Http,
    request::RawRequest,
    whatsapp::{whatsapp_accounts, whatsapp_signed},
};
use crate::domain::{
    delivery::Reason,
    effect::Policy,
    inbound::{Fact, Identity},
    signature::SignatureError,
};

/// What every messenger account can do.
pub trait Channel {
    /// Proves that the provider sent this request. Looks at the raw bytes only.
    ///
    /// # Errors
    /// The proof is missing, wrong or too old, or there is no secret to check it with.
    fn verify(&self, request: &RawRequest, now: DateTime<Utc>) -> Result<(), SignatureError>;

    /// Answers the provider's question whether the address is ours: the plain text to answer a GET with.
    ///
    /// # Errors
    /// The question is wrong, or the provider never asks one.
    fn challenge(&self, request: &RawRequest) -> Result<String, SignatureError>;

    /// Everything that a verified body says, in its order. What is not understood is kept as
    /// [`What::Unsupported`](crate::domain::inbound::What::Unsupported).
    ///
    /// # Errors
    /// The body is not a JSON object; or, from an integrator, an event without what every event has.
    fn parse(&self, body: &[u8]) -> Result<Vec<Fact>, NotParsable>;

    /// The body to answer a stored webhook with, status 200.
    fn receipt(&self, facts: &[Fact]) -> Value;

    /// Hands one message to the provider, once. Never retries by itself.
    fn send(&self, http: &Http, outbound: &Outbound, now: DateTime<Utc>)
    -> impl Future<Output = Sent> + Send;

    /// Asks the provider who we are, without any effect: the account's name there.
    fn probe(&self, http: &Http) -> impl Future<Output = Result<String, Refusal>> + Send;

    /// Tells the provider where to send webhooks, where that can be told.
    fn connect(&self, http: &Http, webhook_url: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    fn capabilities(&self) -> Capabilities;
}

/// What a messenger offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The longest text that one message holds, in the provider's units.
    pub max_text: usize,
    /// How long after the customer's last message anything may be sent; `None`: always.
    pub window: Option<TimeDelta>,
    /// Whether the provider can be told where to send webhooks; otherwise a person tells it.
    pub connects: bool,
    /// Whether delivered and read are reported.
    pub receipts: bool,
    /// Whether customers can edit what they wrote.
    pub edits: bool,
    /// What may be done about a send that may have happened.
    pub ambiguous_send: Policy,
}

/// One attempt to send one message.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Our id of the message: the correlation that providers give back.
    pub message_id: String,
    /// 1 for the first.
    pub attempt: u32,
    /// Our id of the conversation.
    pub conversation_id: String,
    /// The provider's id of the chat, where it has one.
    pub chat: Option<String>,
    /// The names of the customer on this channel; at least one.
    pub to: Vec<Identity>,
    pub text: String,
    /// The external id of the message that this one answers.
    pub reply_to: Option<String>,
}

impl Outbound {
    /// What names this attempt at the provider: the message id, and which attempt if not the first.
    pub fn correlation(&self) -> String {
        if self.attempt <= 1 {
            self.message_id.clone()
        } else {
            format!("{}:{}", self.message_id, self.attempt)
        }
    }

    fn identity(&self, scheme: &str) -> Option<&str> {
        self.to.iter().find(|identity| identity.scheme == scheme).map(|identity| identity.value.as_str())
    }
}

/// Reads [`Outbound::correlation`] back: the message id and the attempt.
pub fn read_correlation(text: &str) -> (String, u32) {
    text.rsplit_once(':')
        .and_then(|(id, attempt)| Some((id.to_owned(), attempt.parse().ok()?)))
        .unwrap_or_else(|| (text.to_owned(), 1))
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The provider has it, under this id.
    Accepted { external_id: String },
    /// The provider does not have it.
    Rejected(Refusal),
    /// The provider may have it: the answer was lost after the request may have left. Sending again could
    /// send twice, so a report or a person decides.
    Unknown { detail: String },
}

/// Why something was not done. Holds no secret and no message text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// The provider's words for people, shortened.
    pub detail: String,
    pub retry: Retry,
    /// Nothing will work until someone repairs the account: mark it broken and tell its owner.
    pub channel_broken: bool,
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    No,
    /// Not before this long.
    After(Duration),
}

/// A body of which nothing can be kept: no JSON object, or, from an integrator, an event that breaks our
/// own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct NotParsable {
    /// `body`, or the path of a member.
    pub field: &'static str,
    pub problem: &'static str,
}

#[cfg(test)]
mod tests;
