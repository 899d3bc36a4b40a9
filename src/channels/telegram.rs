//! Telegram Bot API: one bot.

mod parse;
mod send;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Capabilities, Channel, Http, InvalidAccount, NotParsable, Outbound, RawRequest, Refusal, Sent,
    account::{active, secret},
    whatsapp::base_url,
};
use crate::domain::{
    effect::Policy,
    inbound::{Fact, What},
    signature::{self, SignatureError},
};

/// A bot, with what it takes to be it.
#[derive(Clone, Debug)]
pub struct Telegram {
    settings: Settings,
    secrets: Secrets,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default = "api")]
    api_base_url: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Secrets {
    #[serde(default, deserialize_with = "secret")]
    bot_token: SecretString,
    #[serde(default, deserialize_with = "secret")]
    webhook_secret: SecretString,
    #[serde(default, deserialize_with = "secret")]
    previous_webhook_secret: SecretString,
}

fn api() -> String {
    "https://api.telegram.org".to_owned()
}

impl Telegram {
    pub(super) fn new(mut settings: Settings, secrets: Secrets) -> Result<Self, InvalidAccount> {
        settings.api_base_url = base_url(&settings.api_base_url)?;
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        // The token becomes a part of a path.
        let token = secrets.bot_token.expose_secret();
        let shaped = token.split_once(':').is_some_and(|(id, key)| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) && !key.is_empty() && word(key)
        });
        if !token.is_empty() && !shaped {
            return Err(InvalidAccount::new("bot_token", "is not a token like 110201543:AAHdqTcv"));
        }
        for secret in [&secrets.webhook_secret, &secrets.previous_webhook_secret] {
            if secret.expose_secret().len() > 256 || !word(secret.expose_secret()) {
                let problem = "may hold 256 of A-Z, a-z, 0-9, _ and -";
                return Err(InvalidAccount::new("webhook_secret", problem));
            }
        }
        Ok(Self { settings, secrets })
    }

    /// The bot's number: what stands before the colon of its token.
    pub fn bot_id(&self) -> Option<&str> {
        self.secrets.bot_token.expose_secret().split_once(':').map(|(id, _)| id)
    }

    pub(super) fn api_base_url(&self) -> &str {
        &self.settings.api_base_url
    }

    /// Holds the token: never to be logged. `None` without one.
    fn url(&self, method: &str) -> Option<String> {
        let token = self.secrets.bot_token.expose_secret();
        (!token.is_empty()).then(|| format!("{}/bot{token}/{method}", self.settings.api_base_url))
    }
}

impl Channel for Telegram {
    fn verify(&self, request: &RawRequest, _now: DateTime<Utc>) -> Result<(), SignatureError> {
        let given = request.header("x-telegram-bot-api-secret-token", "secret")?;
        let secrets = active(&self.secrets.webhook_secret, &self.secrets.previous_webhook_secret);
        signature::check_token(&secrets, given)
    }

    fn challenge(&self, _request: &RawRequest) -> Result<String, SignatureError> {
        Err(SignatureError::Invalid("method"))
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Fact>, NotParsable> {
        parse::parse(body)
    }

    /// Answers a pressed button on the spot: without that, the customer's button spins for a minute.
    fn receipt(&self, facts: &[Fact]) -> Value {
        let pressed = facts.iter().find_map(|fact| match &fact.what {
            What::Message(message) => message.details.as_ref()?.get("callback_query_id").cloned(),
            _ => None,
        });
        match pressed {
            Some(id) => json!({"method": "answerCallbackQuery", "callback_query_id": id}),
            None => json!({"ok": true}),
        }
    }

    async fn send(&self, http: &Http, outbound: &Outbound, _now: DateTime<Utc>) -> Sent {
        send::send(self, http, outbound).await
    }

    async fn probe(&self, http: &Http) -> Result<String, Refusal> {
        send::probe(self, http).await
    }

    async fn connect(&self, http: &Http, webhook_url: &str) -> Result<(), Refusal> {
        send::set_webhook(self, http, webhook_url).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_text: send::MAX_TEXT,
            window: None,
            connects: true,
            receipts: false,
            edits: true,
            ambiguous_send: Policy::Hold,
        }
    }
}
