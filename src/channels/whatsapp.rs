//! WhatsApp Cloud API: one number of a business.

mod parse;
mod refusal;
mod send;

use chrono::{DateTime, TimeDelta, Utc};
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
    signature::{self, SignatureError},
};

/// The phone number ids that a body is for, each once, before anything about it is proven: Meta knows one
/// address an app, so one body may be for several channels, each of which checks it with its own secret.
///
/// # Errors
/// The body is not a JSON object.
pub fn whatsapp_accounts(body: &[u8]) -> Result<Vec<String>, NotParsable> {
    parse::accounts(body)
}

/// Whether a request holds what could be Meta's signature: a look that costs nothing, before anything is
/// looked up for it.
///
/// # Errors
/// The header is missing, or there twice.
pub fn whatsapp_signed(request: &RawRequest) -> Result<(), SignatureError> {
    signature_of(request)?.map(|_| ()).ok_or(SignatureError::Missing(SIGNATURE))
}

fn signature_of(request: &RawRequest) -> Result<Option<&str>, SignatureError> {
    request.header("x-hub-signature-256", SIGNATURE)
}

/// The header's name in errors.
const SIGNATURE: &str = "X-Hub-Signature-256";

/// A number, with what it takes to use it.
#[derive(Clone, Debug)]
pub struct Whatsapp {
    settings: Settings,
    secrets: Secrets,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Settings {
    phone_number_id: String,
    #[serde(default = "graph")]
    api_base_url: String,
    #[serde(default = "version")]
    api_version: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Secrets {
    #[serde(default, deserialize_with = "secret")]
    access_token: SecretString,
    #[serde(default, deserialize_with = "secret")]
    app_secret: SecretString,
    #[serde(default, deserialize_with = "secret")]
    previous_app_secret: SecretString,
    #[serde(default, deserialize_with = "secret")]
    verify_token: SecretString,
}

fn graph() -> String {
    "https://graph.facebook.com".to_owned()
}

fn version() -> String {
    "v23.0".to_owned()
}

/// Where an API is found: without a slash at the end, so that paths can be appended.
pub(super) fn base_url(text: &str) -> Result<String, InvalidAccount> {
    let invalid = InvalidAccount::new("api_base_url", "is not an http or https URL");
    let url = Url::parse(text).map_err(|_| invalid.clone())?;
    let plain = url.query().is_none() && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(invalid);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl Whatsapp {
    pub(super) fn new(mut settings: Settings, secrets: Secrets) -> Result<Self, InvalidAccount> {
        settings.api_base_url = base_url(&settings.api_base_url)?;
        // Both become parts of a path.
        let id = &settings.phone_number_id;
        if id.is_empty() || id.len() > 32 || !id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidAccount::new("phone_number_id", "is not a number"));
        }
        let version = settings.api_version.strip_prefix('v').unwrap_or_default();
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(InvalidAccount::new("api_version", "is not a version like v23.0"));
        }
        Ok(Self { settings, secrets })
    }

    pub fn phone_number_id(&self) -> &str {
        &self.settings.phone_number_id
    }

    pub(super) fn api_base_url(&self) -> &str {
        &self.settings.api_base_url
    }

    fn url(&self) -> String {
        let Settings { phone_number_id, api_base_url, api_version } = &self.settings;
        format!("{api_base_url}/{api_version}/{phone_number_id}")
    }

    fn access_token(&self) -> &str {
        self.secrets.access_token.expose_secret()
    }
}

impl Channel for Whatsapp {
    fn verify(&self, request: &RawRequest, _now: DateTime<Utc>) -> Result<(), SignatureError> {
        let header = signature_of(request)?;
        let secrets = active(&self.secrets.app_secret, &self.secrets.previous_app_secret);
        signature::check_meta(&secrets, header, &request.body)
    }

    fn challenge(&self, request: &RawRequest) -> Result<String, SignatureError> {
        if request.parameter("hub.mode").as_deref() != Some("subscribe") {
            return Err(SignatureError::Invalid("hub.mode"));
        }
        let expected = self.secrets.verify_token.expose_secret();
        if expected.is_empty() {
            return Err(SignatureError::NotConfigured);
        }
        let given = request.parameter("hub.verify_token").unwrap_or_default();
        if !signature::same(expected, &given) {
            return Err(SignatureError::TokenMismatch);
        }
        request.parameter("hub.challenge").ok_or(SignatureError::Invalid("hub.challenge"))
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Fact>, NotParsable> {
        parse::parse(body, self.phone_number_id())
    }

    fn receipt(&self, _facts: &[Fact]) -> Value {
        json!({"result": "EVENT_RECEIVED"})
    }

    async fn send(&self, http: &Http, outbound: &Outbound, _now: DateTime<Utc>) -> Sent {
        send::send(self, http, outbound).await
    }

    async fn probe(&self, http: &Http) -> Result<String, Refusal> {
        send::probe(self, http).await
    }

    /// Meta is told by hand, in the app's dashboard: once per app, not per number.
    async fn connect(&self, _http: &Http, _webhook_url: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_text: send::MAX_TEXT,
            window: Some(TimeDelta::hours(24)),
            connects: false,
            receipts: true,
            edits: true,
            ambiguous_send: Policy::Lookup,
        }
    }
}
