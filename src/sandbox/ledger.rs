//! What the providers received: the proof that nothing was sent twice.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whom the sandbox plays towards a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Whatsapp,
    Telegram,
    Webhook,
}

impl Provider {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Telegram => "telegram",
            Self::Webhook => "webhook",
        }
    }
}

/// One message that a provider took, and would have shown to the customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SentMessage {
    pub channel: Provider,
    /// The phone number id, the bot's number, the receiver's name.
    pub account: String,
    pub recipient: String,
    pub text: String,
    /// Our own id of the attempt, where the provider's interface carries one.
    pub correlation: Option<String>,
    pub external_id: String,
    pub at: DateTime<Utc>,
    /// Whether the sender was told.
    pub answered: bool,
}

impl SentMessage {
    /// What may be there only once: the correlation; without one, the same text to the same customer.
    pub fn key(&self) -> String {
        match &self.correlation {
            Some(correlation) => correlation.clone(),
            None => format!("{}/{}/{}/{}", self.channel.as_str(), self.account, self.recipient, self.text),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub sent: Vec<SentMessage>,
    /// Repeats that an integrator's system recognised by their id.
    pub repeats_ignored: u32,
    last_number: u64,
}

impl Ledger {
    /// The next of the numbers that external ids are made of.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Enters a message, made from the next number.
    pub(super) fn enter(&mut self, make: impl FnOnce(u64) -> SentMessage) -> SentMessage {
        let message = make(self.number());
        self.sent.push(message.clone());
        message
    }

    /// How often each key was sent.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for message in &self.sent {
            *counts.entry(message.key()).or_default() += 1;
        }
        counts
    }

    /// The keys that were sent more than once.
    pub fn doubled(&self) -> Vec<String> {
        self.counts().into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| key).collect()
    }
}
