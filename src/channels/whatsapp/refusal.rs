//! What WhatsApp's error codes mean. Only codes count: their titles are going away.

use ::http::StatusCode;
use serde::Deserialize;

use crate::{
    channels::{Refusal, Sent},
    domain::delivery::Reason,
};

/// "Something went wrong": documented as worth another try.
const GENERIC: i64 = 131_000;
/// Unknown error, service down, service overloaded, account in maintenance: something broke on their side, at
/// whatever point.
const FAULTS: [i64; 4] = [1, 2, 131_016, 131_057];

/// The `error` of an answer, or one of the `errors` of a status.
#[derive(Debug, Default, Deserialize)]
pub(super) struct GraphError {
    #[serde(default)]
    pub code: i64,
    title: Option<String>,
    message: Option<String>,
    error_data: Option<ErrorData>,
}

#[derive(Debug, Deserialize)]
struct ErrorData {
    details: Option<String>,
}

impl GraphError {
    /// What an answer with this error says about the message. Some errors leave open whether it was sent:
    /// WhatsApp cannot be asked, and does not know a repeated send.
    pub(super) fn sent(&self, status: StatusCode) -> Sent {
        let refusal = self.refusal();
        // 0 is also what an error without a code reads as.
        let explained = refusal.reason != Reason::ProviderError && self.code != 0 || self.code == GENERIC;
        if FAULTS.contains(&self.code) || (!explained && status.is_server_error()) {
            return Sent::Unknown { detail: refusal.detail };
        }
        refusal.into()
    }

    /// Why, where it is known that nothing was sent.
    pub(super) fn refusal(&self) -> Refusal {
        let details = self.error_data.as_ref().and_then(|data| data.details.as_deref());
        let words = details.or(self.message.as_deref()).or(self.title.as_deref()).unwrap_or_default();
        let detail = &format!("WhatsApp {}: {words}", self.code);
        match self.code {
            131_047 => Refusal::lasting(Reason::WindowClosed, detail),
            131_026 | 131_021 | 131_030 => Refusal::lasting(Reason::RecipientUnreachable, detail),
            131_050 => Refusal::lasting(Reason::Blocked, detail),
            131_049 => Refusal::lasting(Reason::RecipientLimited, detail),
            131_051 => Refusal::lasting(Reason::UnsupportedKind, detail),
            131_052 | 131_053 => Refusal::after(Reason::MediaFailed, detail, 30),
            // One message in six seconds to the same person.
            131_056 => Refusal::after(Reason::RateLimited, detail, 6),
            130_429 => Refusal::after(Reason::RateLimited, detail, 2),
            4 | 80_007 => Refusal::after(Reason::RateLimited, detail, 60),
            131_048 => Refusal::after(Reason::RateLimited, detail, 3600),
            132_000..=132_999 => Refusal::lasting(Reason::TemplateInvalid, detail),
            131_042 => Refusal::broken(Reason::PaymentRequired, detail),
            368 | 131_031 | 131_045 | 133_010 => Refusal::broken(Reason::AccountDisabled, detail),
            0 | 190 => Refusal::broken(Reason::TokenInvalid, detail),
            3 | 10 | 200..=299 | 131_005 => Refusal::broken(Reason::PermissionDenied, detail),
            33 | 100 | 131_008 | 131_009 => Refusal::lasting(Reason::InvalidMessage, detail),
            GENERIC => Refusal::after(Reason::ProviderError, detail, 10),
            _ => Refusal::lasting(Reason::ProviderError, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Retry;

    #[test]
    fn every_code_has_one_meaning() {
        for (code, reason, retried, broken) in [
            (131_047, Reason::WindowClosed, false, false),
            (131_026, Reason::RecipientUnreachable, false, false),
            (131_049, Reason::RecipientLimited, false, false),
            (131_056, Reason::RateLimited, true, false),
            (130_429, Reason::RateLimited, true, false),
            (132_001, Reason::TemplateInvalid, false, false),
            (131_053, Reason::MediaFailed, true, false),
            (131_042, Reason::PaymentRequired, false, true),
            (131_031, Reason::AccountDisabled, false, true),
            (190, Reason::TokenInvalid, false, true),
            (10, Reason::PermissionDenied, false, true),
            (200, Reason::PermissionDenied, false, true),
            (131_000, Reason::ProviderError, true, false),
            (999_999, Reason::ProviderError, false, false),
        ] {
            let refusal = GraphError { code, ..GraphError::default() }.refusal();
            assert_eq!(refusal.reason, reason, "{code}");
            assert_eq!(refusal.retry != Retry::No, retried, "{code}");
            assert_eq!(refusal.channel_broken, broken, "{code}");
        }
    }

    #[test]
    fn what_broke_on_their_side_may_have_been_sent() {
        let unknown = |code, status| {
            let sent = GraphError { code, ..GraphError::default() }.sent(status);
            matches!(sent, Sent::Unknown { .. })
        };
        for code in [1, 2, 131_016, 131_057] {
            assert!(unknown(code, StatusCode::INTERNAL_SERVER_ERROR), "{code}");
            assert!(unknown(code, StatusCode::BAD_REQUEST), "{code}");
        }
        assert!(unknown(999_999, StatusCode::SERVICE_UNAVAILABLE) && unknown(0, StatusCode::BAD_GATEWAY));
        assert!(!unknown(999_999, StatusCode::BAD_REQUEST));
        // These say that nothing was sent, whatever the status.
        for code in [131_000, 131_047, 131_056, 130_429, 190] {
            assert!(!unknown(code, StatusCode::INTERNAL_SERVER_ERROR), "{code}");
        }
    }
}
