//! Signatures of webhooks: made and checked over the raw bytes, compared in constant time.
//!
//! Re-serialising a body breaks its signature (Meta escapes what is not ASCII), so nothing here ever
//! sees a parsed body. A check without a configured secret fails: there is no lenient mode.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How far the time in a signature may be from ours, in either direction.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Why a request does not prove who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("Missing {0} header")]
    Missing(&'static str),
    /// Two values of which only one may have been checked further up.
    #[error("Repeated {0} header")]
    Repeated(&'static str),
    #[error("Invalid {0}")]
    Invalid(&'static str),
    #[error("Verify token mismatch")]
    TokenMismatch,
    #[error("Timestamp outside tolerance")]
    Stale,
    #[error("Webhook secret not configured")]
    NotConfigured,
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC-SHA256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    keyed(key).chain_update(message).finalize().into_bytes().into()
}

/// Meta's `X-Hub-Signature-256`: `sha256=` and the hex HMAC of the body under the app secret.
pub fn meta(app_secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hmac_sha256(app_secret.as_bytes(), body)))
}

/// Checks Meta's header against each active app secret.
///
/// # Errors
/// The header is missing, no secret is configured, or none fits.
pub fn check_meta(app_secrets: &[&str], header: Option<&str>, body: &[u8]) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing("X-Hub-Signature-256"))?;
    let secrets = configured(app_secrets)?;
    let invalid = SignatureError::Invalid("signature");
    let given = header.strip_prefix("sha256=").and_then(|text| hex::decode(text).ok()).ok_or(invalid)?;
    any(secrets, |secret| keyed(secret.as_bytes()).chain_update(body).verify_slice(&given).is_ok(), invalid)
}

/// Checks a shared secret that travels in a header. Hashes are compared, so that neither the length
/// nor a common prefix of the secret shows in the time it takes.
///
/// # Errors
/// The header is missing, no secret is configured, or none is equal.
pub fn check_token(secrets: &[&str], given: Option<&str>) -> Result<(), SignatureError> {
    let given = given.ok_or(SignatureError::Missing("secret"))?;
    any(configured(secrets)?, |secret| same(secret, given), SignatureError::Invalid("secret"))
}

/// Whether two secrets are equal, in constant time.
pub fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

/// The key of a Standard Webhooks endpoint: shown as `whsec_` and base64, used as the decoded bytes.
pub struct StandardKey(Vec<u8>);

impl StandardKey {
    /// `None` unless it is `whsec_` and the base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let key = BASE64_STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&key.len()).then_some(Self(key))
    }

    /// A new key's text from random bytes.
    pub fn text(random: [u8; 32]) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(random))
    }

    fn message(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let head = format!("{id}.{timestamp}.");
        keyed(&self.0).chain_update(head).chain_update(body)
    }

    /// One element of `webhook-signature`: `v1,<base64>`. Several active keys sign side by side,
    /// separated by a space.
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
        let mac = self.message(id, &at.timestamp().to_string(), body).finalize().into_bytes();
        format!("v1,{}", BASE64_STANDARD.encode(mac))
    }
}

/// The three headers of Standard Webhooks, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardHeaders<'a> {
    /// `webhook-id`: the same for every retry of one message.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`: unix seconds of this attempt.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`: a list separated by spaces; one match is enough.
    pub signature: Option<&'a str>,
}

/// Checks a Standard Webhooks signature against each active key.
///
/// # Errors
/// A header is missing or malformed, the time is more than five minutes away, no key is configured,
/// or none fits.
pub fn check_standard(
    keys: &[StandardKey],
    headers: StandardHeaders<'_>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), SignatureError> {
    let id = headers.id.ok_or(SignatureError::Missing("webhook-id"))?;
    let timestamp = headers.timestamp.ok_or(SignatureError::Missing("webhook-timestamp"))?;
    let signature = headers.signature.ok_or(SignatureError::Missing("webhook-signature"))?;
    if keys.is_empty() {
        return Err(SignatureError::NotConfigured);
    }
    // A dot would make `id.timestamp.body` ambiguous.
    if id.is_empty() || id.contains('.') {
        return Err(SignatureError::Invalid("webhook-id"));
    }
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|b| b.is_ascii_digit());
    let seconds: i64 =
        timestamp.parse().ok().filter(|_| digits).ok_or(SignatureError::Invalid("webhook-timestamp"))?;
    check_time(seconds, now)?;
    let given: Vec<_> = signature
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|text| BASE64_STANDARD.decode(text).ok())
        .collect();
    let fits = |key: &StandardKey| {
        given.iter().any(|mac| key.message(id, timestamp, body).verify_slice(mac).is_ok())
    };
    any(keys, fits, SignatureError::Invalid("signature"))
}

/// Whether a signed unix time is close enough to ours.
///
/// # Errors
/// `Timestamp outside tolerance`.
pub fn check_time(seconds: i64, now: DateTime<Utc>) -> Result<(), SignatureError> {
    if now.timestamp().abs_diff(seconds) <= TOLERANCE_SECONDS.unsigned_abs() {
        Ok(())
    } else {
        Err(SignatureError::Stale)
    }
}

/// An empty secret would be one that everybody knows.
fn configured<'a, 'b>(secrets: &'a [&'b str]) -> Result<&'a [&'b str], SignatureError> {
    if secrets.is_empty() || secrets.iter().any(|secret| secret.is_empty()) {
        return Err(SignatureError::NotConfigured);
    }
    Ok(secrets)
}

fn any<T>(all: &[T], fits: impl Fn(&T) -> bool, otherwise: SignatureError) -> Result<(), SignatureError> {
    if all.iter().any(fits) { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests;
