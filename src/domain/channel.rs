//! Channels: whether a messenger accepts us, and what becomes of the items of its webhooks.

use chrono::TimeDelta;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::conversation::ChannelKind;
use crate::id::ChannelId;

/// How long after the customer's last message the messenger lets a business write freely; `None`: always.
pub const fn window(kind: ChannelKind) -> Option<TimeDelta> {
    match kind {
        ChannelKind::Whatsapp => Some(TimeDelta::hours(24)),
        ChannelKind::Telegram | ChannelKind::Webhook => None,
    }
}

/// The path of ours that a channel's messenger posts to.
pub fn webhook_path(kind: ChannelKind, id: ChannelId) -> String {
    let kind = match kind {
        ChannelKind::Whatsapp => "whatsapp",
        ChannelKind::Telegram => "telegram",
        ChannelKind::Webhook => "inbound",
    };
    format!("/webhooks/{kind}/{id}")
}

/// Whether the messenger accepts us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing was sent or tested yet.
    Unknown,
    Ok,
    /// Someone has to repair the account.
    Broken,
}

impl Health {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Broken => "broken",
        }
    }
}

/// What became of one item of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the rows it speaks of.
    Taken,
    /// A change of it came first: the changes wait here for their message.
    Expected,
    /// Nobody understands it yet: kept as it came.
    Unsupported,
    /// It names an account that is not this channel's: kept as it came, for staff.
    Quarantined,
    /// From a customer who is blocked and has no conversation: kept as it came.
    Blocked,
}
