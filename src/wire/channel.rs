//! Channels: rows to the contract, and what requests say of accounts and secrets. The JSON keys are those
//! of the adapters, see [`Account::open`](crate::channels::Account::open).

use serde_json::{Map, Value as Json};

use super::{
    conversation::v1::{
        self, Channel, TelegramAccount, TelegramSecrets, WebhookAccount, WebhookSecrets, WhatsappAccount,
        WhatsappSecrets, channel, create_channel_request as create, update_channel_request as update,
    },
    time,
};
use crate::{
    domain::{
        channel::{Health, webhook_path},
        conversation::ChannelKind,
    },
    error::{Error, Result},
    store::conversation as rows,
};

impl From<&rows::Channel> for Channel {
    fn from(row: &rows::Channel) -> Self {
        let setting = |key: &str| row.config[key].as_str().unwrap_or_default().to_owned();
        let account = match row.kind {
            ChannelKind::Whatsapp => channel::Account::Whatsapp(WhatsappAccount {
                phone_number_id: setting("phone_number_id"),
                business_account_id: setting("business_account_id"),
                api_base_url: setting("api_base_url"),
            }),
            ChannelKind::Telegram => {
                channel::Account::Telegram(TelegramAccount { api_base_url: setting("api_base_url") })
            }
            ChannelKind::Webhook => channel::Account::Webhook(WebhookAccount { url: setting("url") }),
        };
        Self {
            id: row.id.to_string(),
            kind: v1::ChannelKind::from(row.kind).into(),
            name: row.name.clone(),
            enabled: row.enabled,
            account: Some(account),
            health: v1::ChannelHealth::from(row.health).into(),
            health_reason: row.health_reason.clone().unwrap_or_default(),
            webhook_path: webhook_path(row.kind, row.id),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<ChannelKind> for v1::ChannelKind {
    fn from(kind: ChannelKind) -> Self {
        match kind {
            ChannelKind::Whatsapp => Self::Whatsapp,
            ChannelKind::Telegram => Self::Telegram,
            ChannelKind::Webhook => Self::Webhook,
        }
    }
}

impl From<Health> for v1::ChannelHealth {
    fn from(health: Health) -> Self {
        match health {
            Health::Unknown => Self::Unknown,
            Health::Ok => Self::Ok,
            Health::Broken => Self::Broken,
        }
    }
}

/// An account: its kind and its settings as a JSON object.
pub type Settings = (ChannelKind, Map<String, Json>);

macro_rules! oneofs {
    ($of:ident) => {
        impl From<$of::Account> for Settings {
            fn from(account: $of::Account) -> Self {
                match account {
                    $of::Account::Whatsapp(WhatsappAccount {
                        phone_number_id,
                        business_account_id,
                        api_base_url,
                    }) => (
                        ChannelKind::Whatsapp,
                        given([
                            ("phone_number_id", phone_number_id),
                            ("business_account_id", business_account_id),
                            ("api_base_url", api_base_url),
                        ]),
                    ),
                    $of::Account::Telegram(TelegramAccount { api_base_url }) => {
                        (ChannelKind::Telegram, given([("api_base_url", api_base_url)]))
                    }
                    $of::Account::Webhook(WebhookAccount { url }) => {
                        (ChannelKind::Webhook, given([("url", url)]))
                    }
                }
            }
        }

        impl From<$of::Secrets> for Secrets {
            fn from(secrets: $of::Secrets) -> Self {
                let (kind, members) = match secrets {
                    $of::Secrets::WhatsappSecrets(WhatsappSecrets {
                        access_token,
                        app_secret,
                        verify_token,
                    }) => (
                        ChannelKind::Whatsapp,
                        given([
                            ("access_token", access_token),
                            ("app_secret", app_secret),
                            ("verify_token", verify_token),
                        ]),
                    ),
                    $of::Secrets::TelegramSecrets(TelegramSecrets { bot_token, webhook_secret }) => (
                        ChannelKind::Telegram,
                        given([("bot_token", bot_token), ("webhook_secret", webhook_secret)]),
                    ),
                    $of::Secrets::WebhookSecrets(WebhookSecrets { signing_secret }) => {
                        (ChannelKind::Webhook, given([("signing_secret", signing_secret)]))
                    }
                };
                Self { kind, members }
            }
        }
    };
}

oneofs!(create);
oneofs!(update);

/// Secrets as a JSON object; what is empty is not given.
pub struct Secrets {
    pub kind: ChannelKind,
    pub members: Map<String, Json>,
}

impl Secrets {
    /// # Errors
    /// The secrets are for another kind of channel.
    pub fn of(self, kind: ChannelKind) -> Result<Map<String, Json>> {
        if self.kind == kind {
            Ok(self.members)
        } else {
            Err(Error::invalid("secrets", "must be of the same kind as the account"))
        }
    }
}

fn given<const N: usize>(members: [(&str, String); N]) -> Map<String, Json> {
    let given = members.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| (key.to_owned(), Json::String(value))).collect()
}
