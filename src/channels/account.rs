//! One connected account of a messenger: where it is, and what proves who we are.

use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Capabilities, Channel, Http, NotParsable, Outbound, RawRequest, Refusal, Sent, telegram::Telegram,
    webhook::Webhook, whatsapp::Whatsapp,
};
use crate::domain::{conversation::ChannelKind, inbound::Fact, signature::SignatureError};

/// An account with the adapter that speaks its provider's language.
#[derive(Clone, Debug)]
pub enum Account {
    Whatsapp(Whatsapp),
    Telegram(Telegram),
    Webhook(Webhook),
}

/// Settings or secrets that an account cannot be opened with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidAccount {
    /// The key in the settings or secrets, or `settings` or `secrets` as a whole.
    pub field: String,
    pub problem: String,
}

impl InvalidAccount {
    pub(super) fn new(field: &str, problem: &str) -> Self {
        Self { field: field.to_owned(), problem: problem.to_owned() }
    }
}

macro_rules! each {
    ($account:expr, $adapter:ident => $call:expr) => {
        match $account {
            Account::Whatsapp($adapter) => $call,
            Account::Telegram($adapter) => $call,
            Account::Webhook($adapter) => $call,
        }
    };
}

impl Account {
    /// Reads an account from two JSON objects: what may be shown and what may not. Their keys:
    ///
    /// | kind | settings | secrets |
    /// |---|---|---|
    /// | WhatsApp | `phone_number_id`, `business_account_id`?, `api_base_url`?, `api_version`? | `access_token`, `app_secret`, `previous_app_secret`?, `verify_token` |
    /// | Telegram | `api_base_url`? | `bot_token`, `webhook_secret`, `previous_webhook_secret`? |
    /// | webhook | `url`? (where messages go) | `signing_secret` (`whsec_…`), `previous_signing_secret`? |
    ///
    /// A secret may be missing: whatever needs it is refused then.
    ///
    /// # Errors
    /// Names the first key that does not fit.
    pub fn open(kind: ChannelKind, settings: Value, secrets: Value) -> Result<Self, InvalidAccount> {
        Ok(match kind {
            ChannelKind::Whatsapp => {
                Self::Whatsapp(Whatsapp::new(read("settings", settings)?, read("secrets", secrets)?)?)
            }
            ChannelKind::Telegram => {
                Self::Telegram(Telegram::new(read("settings", settings)?, read("secrets", secrets)?)?)
            }
            ChannelKind::Webhook => {
                Self::Webhook(Webhook::new(read("settings", settings)?, read("secrets", secrets)?)?)
            }
        })
    }

    pub const fn kind(&self) -> ChannelKind {
        match self {
            Self::Whatsapp(_) => ChannelKind::Whatsapp,
            Self::Telegram(_) => ChannelKind::Telegram,
            Self::Webhook(_) => ChannelKind::Webhook,
        }
    }

    /// The provider's name of the account: a `phone_number_id`, a bot's number. Two channels with the same
    /// one are the same account.
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::Whatsapp(adapter) => Some(adapter.phone_number_id()),
            Self::Telegram(adapter) => adapter.bot_id(),
            Self::Webhook(_) => None,
        }
    }

    /// What an integrator calls a whole delivery. Under the same name it must come with the same body:
    /// messengers name items, not deliveries.
    pub fn delivery_name<'a>(&self, facts: &'a [Fact]) -> Option<&'a str> {
        match self {
            Self::Webhook(_) => facts.first().map(|fact| fact.dedupe_key.as_str()),
            Self::Whatsapp(_) | Self::Telegram(_) => None,
        }
    }

    /// Where the account's secrets travel, as scheme, host and port, and which of them do (their keys in
    /// [`open`](Self::open)): whoever answers there learns them. An integrator's system gets signatures only.
    pub fn exposure(&self) -> Option<(String, &'static [&'static str])> {
        let (url, secrets): (_, &[&str]) = match self {
            Self::Whatsapp(adapter) => (adapter.api_base_url(), &["access_token"]),
            // The bot's webhook is set with its secret.
            Self::Telegram(adapter) => (adapter.api_base_url(), &["bot_token", "webhook_secret"]),
            Self::Webhook(_) => return None,
        };
        Some((Url::parse(url).ok()?.origin().ascii_serialization(), secrets))
    }

    /// Whether a fact is for this account. One that names no account is for whoever was asked.
    pub fn owns(&self, fact: &Fact) -> bool {
        fact.account.as_deref().is_none_or(|account| self.external_id() == Some(account))
    }
}

impl Channel for Account {
    fn verify(&self, request: &RawRequest, now: DateTime<Utc>) -> Result<(), SignatureError> {
        each!(self, adapter => adapter.verify(request, now))
    }

    fn challenge(&self, request: &RawRequest) -> Result<String, SignatureError> {
        each!(self, adapter => adapter.challenge(request))
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Fact>, NotParsable> {
        each!(self, adapter => adapter.parse(body))
    }

    fn receipt(&self, facts: &[Fact]) -> Value {
        each!(self, adapter => adapter.receipt(facts))
    }

    async fn send(&self, http: &Http, outbound: &Outbound, now: DateTime<Utc>) -> Sent {
        each!(self, adapter => adapter.send(http, outbound, now).await)
    }

    async fn probe(&self, http: &Http) -> Result<String, Refusal> {
        each!(self, adapter => adapter.probe(http).await)
    }

    async fn connect(&self, http: &Http, webhook_url: &str) -> Result<(), Refusal> {
        each!(self, adapter => adapter.connect(http, webhook_url).await)
    }

    fn capabilities(&self) -> Capabilities {
        each!(self, adapter => adapter.capabilities())
    }
}

fn read<T: DeserializeOwned>(whole: &str, from: Value) -> Result<T, InvalidAccount> {
    // serde's words may quote a value, and the value may be a secret: only the place is told.
    let from = if from.is_null() { Value::Object(serde_json::Map::new()) } else { from };
    serde_json::from_value(from).map_err(|_| InvalidAccount::new(whole, "does not have the expected shape"))
}

/// A secret that is not set is empty, and an empty one proves nothing.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    Option::<String>::deserialize(from).map(|text| SecretString::from(text.unwrap_or_default()))
}

/// The secrets that are set, out of the present one and the one before it. Both count during a rotation.
pub(super) fn active<'a>(present: &'a SecretString, previous: &'a SecretString) -> Vec<&'a str> {
    [present, previous].into_iter().map(ExposeSecret::expose_secret).filter(|text| !text.is_empty()).collect()
}
