//! Delivery of an outbound message: a lattice that providers' reports climb in any order.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// How far an outbound message came. The order of the variants is the order of the lattice: reports
/// arrive late, twice and shuffled, and the greatest one stands. `Failed` is above all, because only
/// a new attempt can overrule it; `Read` without `Delivered` is legal.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Promised, not yet handed to the provider.
    Queued,
    /// The provider may or may not have it: a report or a person decides.
    Unknown,
    /// The provider has it.
    Sent,
    Delivered,
    Read,
    /// The provider refused it or gave up.
    Failed,
}

impl DeliveryStatus {
    /// What is known after both reports about the same attempt, in whichever order they came.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        self.max(other)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// Where the delivery of one message stands: the newest attempt, and how far that one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// 1 for the first; each deliberate resend after a failure or an unknown outcome counts up.
    pub attempt: u32,
    pub status: DeliveryStatus,
}

impl Delivery {
    /// A newer attempt overrules an older one; within one attempt the greater status stands.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        self.max(other)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// Why a message was not delivered. The texts are part of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// `WINDOW_CLOSED`
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Reads the text in either case; `None` for a word that is not ours.
            pub fn from_text(text: &str) -> Option<Self> {
                match text.to_ascii_uppercase().as_str() {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// The customer wrote too long ago: only a template may be sent.
    WindowClosed "WINDOW_CLOSED";
    /// No such person there, or not reachable by this channel.
    RecipientUnreachable "RECIPIENT_UNREACHABLE";
    /// The customer blocked us, or opted out.
    Blocked "BLOCKED";
    /// The chat has another id now.
    RecipientMoved "RECIPIENT_MOVED";
    /// The provider protects the recipient from too many messages: not soon again.
    RecipientLimited "RECIPIENT_LIMITED";
    /// Too fast for the account, or for this recipient.
    RateLimited "RATE_LIMITED";
    /// The credential is wrong, expired or revoked.
    TokenInvalid "TOKEN_INVALID";
    /// The credential may not do this.
    PermissionDenied "PERMISSION_DENIED";
    /// The account is locked, not registered or switched off at the provider.
    AccountDisabled "ACCOUNT_DISABLED";
    /// The provider wants to be paid first.
    PaymentRequired "PAYMENT_REQUIRED";
    TemplateInvalid "TEMPLATE_INVALID";
    MediaFailed "MEDIA_FAILED";
    TooLong "TOO_LONG";
    /// The channel cannot carry this kind of message.
    UnsupportedKind "UNSUPPORTED_KIND";
    /// The provider did not understand the request.
    InvalidMessage "INVALID_MESSAGE";
    /// The address is not one that may be called: not public, not https.
    AddressNotAllowed "ADDRESS_NOT_ALLOWED";
    /// The provider could not be reached; it never saw the message.
    ProviderUnreachable "PROVIDER_UNREACHABLE";
    ProviderError "PROVIDER_ERROR";
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::{DeliveryStatus::*, *};

    const ALL: [DeliveryStatus; 6] = [Queued, Unknown, Sent, Delivered, Read, Failed];

    fn delivery() -> impl Strategy<Value = Delivery> {
        (1..4u32, select(&ALL[..])).prop_map(|(attempt, status)| Delivery { attempt, status })
    }

    proptest! {
        #[test]
        fn reports_merge_the_same_in_any_order_and_number(
            (a, b, c) in (delivery(), delivery(), delivery())
        ) {
            prop_assert_eq!(a.merge(b), b.merge(a));
            prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
            prop_assert_eq!(a.merge(a), a);
            prop_assert_eq!(a.merge(b).merge(b), a.merge(b));
        }

        #[test]
        fn any_shuffle_with_repeats_ends_the_same(
            reports in prop::collection::vec(delivery(), 1..12).prop_flat_map(|all| {
                let twice: Vec<_> = all.iter().chain(&all).copied().collect();
                (Just(all), Just(twice).prop_shuffle())
            })
        ) {
            let (ordered, shuffled) = reports;
            let end = |all: Vec<Delivery>| all.into_iter().reduce(Delivery::merge);
            prop_assert_eq!(end(ordered), end(shuffled));
        }

        #[test]
        fn failed_stays_unless_there_is_a_new_attempt(report in delivery()) {
            let failed = Delivery { attempt: 2, status: Failed };
            let expected = if report.attempt > 2 { report } else { failed };
            prop_assert_eq!(failed.merge(report), expected);
        }
    }

    /// Channel conformance 4, reports of one attempt.
    #[test]
    fn the_greatest_report_stands() {
        for (first, then, expected) in [
            (Delivered, Sent, Delivered),
            (Sent, Read, Read),
            (Read, Delivered, Read),
            (Failed, Sent, Failed),
            (Unknown, Sent, Sent),
            (Sent, Unknown, Sent),
            (Unknown, Failed, Failed),
            (Queued, Unknown, Unknown),
        ] {
            assert_eq!(first.merge(then), expected, "{first:?} then {then:?}");
        }
    }

    #[test]
    fn reasons_read_back() {
        assert_eq!(Reason::from_text("recipient_unreachable"), Some(Reason::RecipientUnreachable));
        assert_eq!(Reason::from_text(Reason::WindowClosed.as_str()), Some(Reason::WindowClosed));
        assert_eq!(Reason::from_text("whatever"), None);
    }
}
