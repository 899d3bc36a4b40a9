//! From answers to outcomes: what all providers have in common.

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;

use super::{Refusal, Retry, Sent, http::Answer, json::strip};
use crate::domain::{delivery::Reason, wait};

/// What is left of a provider's words.
pub(super) const MAX_DETAIL: usize = 300;

impl Refusal {
    pub(super) fn new(reason: Reason, detail: &str, retry: Retry) -> Self {
        let detail = detail.chars().take(MAX_DETAIL).collect();
        Self { reason, detail, retry, channel_broken: false }
    }

    /// Not to be tried again as it is.
    pub(super) fn lasting(reason: Reason, detail: &str) -> Self {
        Self::new(reason, detail, Retry::No)
    }

    /// To be tried again after so many seconds, an hour at most.
    pub(super) fn after(reason: Reason, detail: &str, seconds: u64) -> Self {
        Self::new(reason, detail, Retry::After(Duration::from_secs(seconds).min(wait::LONGEST)))
    }

    /// Nothing works until the account is repaired.
    pub(super) fn broken(reason: Reason, detail: &str) -> Self {
        Self { channel_broken: true, ..Self::lasting(reason, detail) }
    }
}

impl From<Refusal> for Sent {
    fn from(refusal: Refusal) -> Self {
        Self::Rejected(refusal)
    }
}

/// An answer that came, to be read by the adapter.
pub(super) struct Came {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Came {
    /// What the body says, its texts fit for storage.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let mut said = serde_json::from_slice(&self.body).ok()?;
        strip(&mut said);
        serde_json::from_value(said).ok()
    }

    /// For an answer without the provider's own error in it, so most likely from something in between.
    /// A gateway that gave up waiting says nothing about what the provider did.
    pub(super) fn unexplained(&self) -> Sent {
        let detail = format!("HTTP status {}", self.status.as_u16());
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let reason = if self.status == StatusCode::SERVICE_UNAVAILABLE {
                    Reason::ProviderError
                } else {
                    Reason::RateLimited
                };
                let wait = self.retry_after.unwrap_or(Duration::from_secs(5));
                Refusal::new(reason, &detail, Retry::After(wait)).into()
            }
            status if status.is_client_error() || status.is_redirection() => {
                Refusal::lasting(Reason::ProviderError, &detail).into()
            }
            _ => Sent::Unknown { detail },
        }
    }
}

/// What a request that got no answer means for a send.
pub(super) fn came(answer: Answer) -> Result<Came, Sent> {
    match answer {
        Answer::Came { status, retry_after, body } => Ok(Came { status, retry_after, body }),
        Answer::NotAllowed(detail) => Err(Refusal::lasting(Reason::AddressNotAllowed, detail).into()),
        Answer::NotReached(detail) => Err(Refusal::after(Reason::ProviderUnreachable, detail, 2).into()),
        Answer::Lost(detail) => Err(Sent::Unknown { detail: detail.to_owned() }),
    }
}

/// The same for a request without effect, where a lost answer is only a reason to ask again.
pub(super) fn harmless(sent: Sent) -> Refusal {
    match sent {
        Sent::Rejected(refusal) => refusal,
        Sent::Unknown { detail } => Refusal::after(Reason::ProviderUnreachable, &detail, 2),
        Sent::Accepted { .. } => Refusal::lasting(Reason::ProviderError, "an answer of another kind"),
    }
}

pub(super) fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

/// `None` for a token that cannot stand in a header.
pub(super) fn bearer(token: &str) -> Option<HeaderMap> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    let mut headers = json_headers();
    headers.insert(header::AUTHORIZATION, value);
    Some(headers)
}
