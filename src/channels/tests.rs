//! What the adapters make of the providers' payloads, and of requests that prove nothing.

mod parse;

mod verify;

use serde_json::{Value, json};

use super::{Account, Channel};
use crate::domain::{
    conversation::ChannelKind,
    inbound::{Fact, What},
};

fn open(kind: ChannelKind, settings: Value, secrets: Value) -> Account {
    Account::open(kind, settings, secrets).unwrap()
}

fn whatsapp() -> Account {
    let settings = json!({"phone_number_id": "810000000000007"});
    let secrets = json!({"access_token": "t0ken", "app_secret": "s3cret", "verify_token": "v3rify"});
    open(ChannelKind::Whatsapp, settings, secrets)
}

fn telegram() -> Account {
    let secrets = json!({"bot_token": "111:AAbb_c", "webhook_secret": "tg-secret_42"});
    open(ChannelKind::Telegram, json!({}), secrets)
}

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook() -> Account {
    open(ChannelKind::Webhook, Value::Null, json!({"signing_secret": SIGNING}))
}

fn facts(account: &Account, body: &str) -> Vec<Fact> {
    account.parse(body.as_bytes()).unwrap()
}

fn only(account: &Account, body: &str) -> Fact {
    let mut facts = facts(account, body);
    assert_eq!(facts.len(), 1, "{facts:?}");
    facts.remove(0)
}

fn what(account: &Account, body: &str) -> What {
    only(account, body).what
}
