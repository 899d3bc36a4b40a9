//! Ids: one type per kind over a UUIDv7; on the wire a TypeID such as `con_01h455vb4pex5vsknk084sn02q`
//! (<https://github.com/jetify-com/typeid>): a prefix that names the kind, and 26 base32 digits.

use std::{fmt, str::FromStr};

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A kind of id. Implemented by the registry below, and by nothing else.
pub trait Id: Copy + Eq + fmt::Display + FromStr<Err = NotAnId> {
    const PREFIX: &'static str;
    /// The kind in words, for messages: "conversation".
    const KIND: &'static str;

    fn of(uuid: Uuid) -> Self;
    fn uuid(self) -> Uuid;
}

/// A text that is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a {expected} id")]
pub struct NotAnId {
    pub expected: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $kind:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
            pub struct $name(pub Uuid);

            impl Id for $name {
                const PREFIX: &'static str = $prefix;
                const KIND: &'static str = $kind;

                fn of(uuid: Uuid) -> Self {
                    Self(uuid)
                }
                fn uuid(self) -> Uuid {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(text_of($prefix, self.0, &mut [0; LONGEST]))
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl FromStr for $name {
                type Err = NotAnId;

                fn from_str(text: &str) -> Result<Self, NotAnId> {
                    text.strip_prefix($prefix)
                        .and_then(|rest| rest.strip_prefix('_'))
                        .and_then(from_base32)
                        .map(Self)
                        .ok_or(NotAnId { expected: $kind })
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    to.serialize_str(text_of($prefix, self.0, &mut [0; LONGEST]))
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    String::deserialize(from)?.parse().map_err(de::Error::custom)
                }
            }

            impl TryFromU64 for $name {
                fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                    Err(DbErr::ConvertFromU64(stringify!($name)))
                }
            }
        )*

        /// Every prefix with its kind, for tests and documents.
        pub const PREFIXES: &[(&str, &str)] = &[$(($prefix, $kind)),*];
    };
}

// Append only: a prefix that was ever given out keeps its meaning.
ids! {
    ApiKeyId "key" "API key";
    ActionId "sua" "suggestion action";
    AiCallId "aic" "AI call";
    AuditEventId "aud" "audit event";
    ChannelId "chn" "channel";
    ConversationId "con" "conversation";
    CustomerId "cus" "customer";
    DocumentId "doc" "document";
    EscalationId "esc" "escalation";
    EventId "evt" "event";
    GrantId "grt" "grant";
    IdentityId "idn" "identity";
    InboxId "ibx" "inbox entry";
    InviteId "inv" "invite";
    JobId "job" "job";
    MemberId "mem" "member";
    MessageId "msg" "message";
    PassageId "psg" "passage";
    PlatformActionId "act" "platform action";
    ProductId "prd" "product";
    RevisionId "rev" "message revision";
    SessionId "ses" "session";
    SubscriptionId "sub" "subscription";
    SuggestionId "sug" "suggestion";
    TenantId "ten" "tenant";
    UserId "usr" "user";
}

impl TenantId {
    /// No tenant's: what belongs to the platform itself, in tables whose rows mostly belong to tenants.
    pub const PLATFORM: Self = Self(Uuid::nil());
}

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Room for every prefix, `_` and 26 digits.
const LONGEST: usize = 32;

/// A UUID as 26 digits of Crockford's base32, most significant first, after its prefix. A page of messages
/// has hundreds of ids: they are written in one piece.
fn text_of<'t>(prefix: &str, id: Uuid, room: &'t mut [u8; LONGEST]) -> &'t str {
    let length = prefix.len() + 27;
    room[..prefix.len()].copy_from_slice(prefix.as_bytes());
    room[prefix.len()] = b'_';
    let mut value = id.as_u128();
    for place in room[prefix.len() + 1..length].iter_mut().rev() {
        *place = DIGITS[usize::from(value.to_le_bytes()[0] & 31)];
        value >>= 5;
    }
    std::str::from_utf8(&room[..length]).expect("prefixes and digits are ASCII")
}

fn from_base32(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // 26 digits hold 130 bits: the first may only use the lower three of its five.
    if bytes.len() != 26 || bytes[0] > b'7' {
        return None;
    }
    let mut value: u128 = 0;
    for byte in bytes {
        let digit = DIGITS.iter().position(|d| d == byte)?;
        value = (value << 5) | u128::try_from(digit).ok()?;
    }
    Some(Uuid::from_u128(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = ConversationId(Uuid::from_u128(0x0188_bac7_4afa_78aa_bc3b_bd1e_ef28_d881));
        // The pair of the TypeID specification's own test data.
        assert_eq!(id.to_string(), "con_01h2xcejqtf2nbrexx3vqjhp41");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_wrong_prefix_or_digit_is_refused() {
        let refused = NotAnId { expected: "conversation" };
        for text in [
            "",
            "con_",
            "msg_01h2xcejqtf2nbrexx3vqjhp41",
            "con_01h2xcejqtf2nbrexx3vqjhp4",
            "con_81h2xcejqtf2nbrexx3vqjhp41",
            "con_01H2XCEJQTF2NBREXX3VQJHP41",
            "con_01h2xcejqtf2nbrexx3vqjhpu1",
            "con01h2xcejqtf2nbrexx3vqjhp41",
        ] {
            assert_eq!(text.parse::<ConversationId>(), Err(refused), "{text}");
        }
    }

    #[test]
    fn prefixes_are_distinct() {
        let mut prefixes: Vec<_> = PREFIXES.iter().map(|(prefix, _)| prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        assert_eq!(prefixes.len(), PREFIXES.len());
    }
}
