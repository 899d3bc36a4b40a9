//! The generic webhook: any system that can post JSON. The format is ours, the signatures are those of
//! Standard Webhooks, in both directions with the same key.

mod parse;
mod send;

use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Capabilities, Channel, Http, InvalidAccount, NotParsable, Outbound, RawRequest, Refusal, Sent,
    account::{active, secret},
};
use crate::domain::{
    effect::Policy,
    inbound::Fact,
    signature::{self, SignatureError, StandardHeaders, StandardKey},
};

/// An integrator's system.
#[derive(Clone, Debug)]
pub struct Webhook {
    settings: Settings,
    secrets: Secrets,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Settings {
    /// Where messages go; without it, the channel only receives.
    url: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Secrets {
    #[serde(default, deserialize_with = "secret")]
    signing_secret: SecretString,
    #[serde(default, deserialize_with = "secret")]
    previous_signing_secret: SecretString,
}

impl Webhook {
    pub(super) fn new(settings: Settings, secrets: Secrets) -> Result<Self, InvalidAccount> {
        let valid = |url: &String| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !settings.url.as_ref().is_none_or(valid) {
            return Err(InvalidAccount::new("url", "is not an http or https URL"));
        }
        for key in active(&secrets.signing_secret, &secrets.previous_signing_secret) {
            if StandardKey::parse(key).is_none() {
                let problem = "is not whsec_ and the base64 of 24 to 64 bytes";
                return Err(InvalidAccount::new("signing_secret", problem));
            }
        }
        Ok(Self { settings, secrets })
    }

    /// The present key first.
    fn keys(&self) -> Vec<StandardKey> {
        let Secrets { signing_secret, previous_signing_secret } = &self.secrets;
        active(signing_secret, previous_signing_secret).into_iter().filter_map(StandardKey::parse).collect()
    }

    fn has_key(&self) -> bool {
        !self.secrets.signing_secret.expose_secret().is_empty()
    }
}

impl Channel for Webhook {
    fn verify(&self, request: &RawRequest, now: DateTime<Utc>) -> Result<(), SignatureError> {
        let headers = StandardHeaders {
            id: request.header("webhook-id", "webhook-id")?,
            timestamp: request.header("webhook-timestamp", "webhook-timestamp")?,
            signature: request.header("webhook-signature", "webhook-signature")?,
        };
        signature::check_standard(&self.keys(), headers, &request.body, now)
    }

    fn challenge(&self, _request: &RawRequest) -> Result<String, SignatureError> {
        Err(SignatureError::Invalid("method"))
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Fact>, NotParsable> {
        parse::parse(body).map(|fact| vec![fact])
    }

    fn receipt(&self, _facts: &[Fact]) -> Value {
        json!({"ok": true})
    }

    async fn send(&self, http: &Http, outbound: &Outbound, now: DateTime<Utc>) -> Sent {
        send::send(self, http, outbound, now).await
    }

    /// There is no call without an effect on a system we do not know: what is set is checked.
    async fn probe(&self, _http: &Http) -> Result<String, Refusal> {
        match self.settings.url.as_ref().and_then(|url| Url::parse(url).ok()) {
            Some(url) if self.has_key() => Ok(url.host_str().unwrap_or_default().to_owned()),
            Some(_) => Err(send::no_key()),
            None => Err(send::no_url()),
        }
    }

    async fn connect(&self, _http: &Http, _webhook_url: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_text: 4000,
            window: None,
            connects: false,
            receipts: true,
            edits: false,
            ambiguous_send: Policy::Key,
        }
    }
}
