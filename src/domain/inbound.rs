//! What a provider told us, in words that no provider owns: the values that adapters parse webhooks
//! into, and that the inbound rules work on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delivery::{DeliveryStatus, Reason};

/// One thing that one item of a webhook says.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The same for every repetition of this fact on this account, different for every other fact.
    pub dedupe_key: String,
    /// When it happened, by the provider's clock.
    pub at: Option<DateTime<Utc>>,
    /// The provider's name of the account it is for (a WhatsApp `phone_number_id`). Where it is given, it
    /// must be the channel's own: anything else goes to quarantine, never to another tenant.
    pub account: Option<String>,
    pub what: What,
    /// The item as it came, kept where it is not understood or is another account's, so that it can be
    /// parsed again later.
    pub raw: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Message(InboundMessage),
    /// Sent by the business past us, from its own phone: shown as external, starts no AI, opens no
    /// window. `from` holds the customer it went **to**.
    Echo(InboundMessage),
    Status(DeliveryUpdate),
    Edit {
        external_id: String,
        text: Option<String>,
        from: Vec<Identity>,
    },
    Revoke {
        external_id: String,
        from: Vec<Identity>,
    },
    /// `emoji` is absent when the reaction was taken back.
    Reaction {
        target_external_id: String,
        emoji: Option<String>,
        from: Vec<Identity>,
    },
    /// The same person has other identities from now on.
    IdentityChanged {
        from: Vec<Identity>,
        to: Vec<Identity>,
    },
    /// The customer shut the door: sends will fail until it is opened again.
    BlockedUs {
        from: Vec<Identity>,
    },
    UnblockedUs {
        from: Vec<Identity>,
    },
    /// Anything else; nothing but the raw item is kept.
    Unsupported {
        kind: String,
    },
}

/// A name of a person at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Whose name it is: [`scheme`], or a word of the integrator's own.
    pub scheme: String,
    pub value: String,
}

impl Identity {
    pub fn new(scheme: &str, value: impl Into<String>) -> Self {
        Self { scheme: scheme.to_owned(), value: value.into() }
    }
}

/// The schemes of identities that the built-in adapters know.
pub mod scheme {
    /// WhatsApp's business-scoped user id: `DE.7712049930012345`.
    pub const WHATSAPP_USER: &str = "whatsapp_user_id";
    /// The same of the parent portfolio: `DE.ENT.…`.
    pub const WHATSAPP_PARENT: &str = "whatsapp_parent_user_id";
    /// WhatsApp's `wa_id`: digits, mostly the phone number.
    pub const WHATSAPP: &str = "wa_id";
    pub const TELEGRAM: &str = "telegram_user_id";
}

#[derive(Clone, Debug, PartialEq)]
pub struct InboundMessage {
    /// The names of the writer, the most lasting one first; never empty.
    pub from: Vec<Identity>,
    /// What the provider calls the writer.
    pub name: Option<String>,
    pub username: Option<String>,
    /// The provider's id of the chat, where that is more than the pair of writer and account.
    pub conversation: Option<String>,
    /// Whether more than two can write in that chat.
    pub group: bool,
    /// Unique on this account.
    pub external_id: String,
    pub kind: MessageKind,
    /// The words: of the message, its caption, or the pressed button.
    pub text: Option<String>,
    pub attachments: Vec<Attachment>,
    /// The external id of the message that this one answers.
    pub reply_to: Option<String>,
    pub forwarded: bool,
    /// What the kind says beyond words: the place, the cards, the order, the pressed button's id. A JSON
    /// object in the provider's shape.
    pub details: Option<Value>,
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    Text,
    Image,
    Video,
    Audio,
    /// Recorded on the spot.
    Voice,
    Document,
    Sticker,
    Location,
    Contacts,
    /// A button or a list entry was chosen; `text` is its label.
    Button,
    Order,
    /// Came in a shape that cannot be shown yet; the raw item is kept.
    Unsupported,
}

impl MessageKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Sticker => "sticker",
            Self::Location => "location",
            Self::Contacts => "contacts",
            Self::Button => "button",
            Self::Order => "order",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A file of a message. The bytes are fetched later: by `external_id` from the provider, or from `url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub kind: MessageKind,
    pub external_id: Option<String>,
    pub url: Option<String>,
    pub mime: Option<String>,
    pub name: Option<String>,
    /// Bytes, as the provider claims.
    pub size: Option<u64>,
    /// The provider's checksum, in the provider's encoding.
    pub sha256: Option<String>,
}

/// A provider's report about a message that we sent.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryUpdate {
    /// The provider's id of the message.
    pub external_id: Option<String>,
    /// Our own message id, where the provider gives it back.
    pub correlation: Option<String>,
    /// Which attempt of that message, where the provider gives it back.
    pub attempt: Option<u32>,
    pub status: DeliveryStatus,
    pub reason: Option<Reason>,
    /// The provider's words for people.
    pub detail: Option<String>,
    /// Whom it reached, by names that may be new to us.
    pub to: Vec<Identity>,
}

/// What to call a customer: the provider's name, else the end of the id.
pub fn display_name(names: &[Option<&str>], external_id: &str) -> String {
    let given = names.iter().flatten().map(|name| name.trim()).find(|name| !name.is_empty());
    given.map_or_else(
        || {
            let tail = external_id.char_indices().rev().nth(3).map_or(0, |(start, _)| start);
            format!("User {}", &external_id[tail..])
        },
        str::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 25: push name, then first name, then contact name, then the id's last four.
    #[test]
    fn a_customer_always_has_a_name() {
        let name = |names: &[Option<&str>]| display_name(names, "79991234567");
        assert_eq!(name(&[None, None, None]), "User 4567");
        assert_eq!(name(&[None, Some("  ")]), "User 4567");
        assert_eq!(name(&[Some("Lena"), Some("Elena"), Some("E. K.")]), "Lena");
        assert_eq!(name(&[None, Some("Elena"), Some("E. K.")]), "Elena");
        assert_eq!(display_name(&[], "эюя"), "User эюя");
        assert_eq!(display_name(&[], ""), "User ");
    }
}
