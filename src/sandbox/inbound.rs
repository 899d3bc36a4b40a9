//! Customers who write.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Provider, State, Subscription, lock,
    payload::{Person, telegram_message, webhook_message, whatsapp_message},
};

/// A message of a customer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    pub channel: Provider,
    /// Whom the customer writes to: the phone number id, the bot's number, the receiver's name.
    pub account: String,
    /// WhatsApp: a phone number, or a `CC.…` user id. Telegram: a number. Webhook: any name.
    pub from: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub text: String,
    /// How many copies are delivered at the same time.
    #[serde(default = "once")]
    pub repeat: u32,
    /// The provider's id of the message; a new one if absent.
    pub id: Option<String>,
    /// The provider's time; now if absent.
    pub at: Option<DateTime<Utc>>,
    /// A whole body to sign and deliver instead.
    pub payload: Option<Value>,
    /// Together with `secret`, instead of the account's subscription.
    pub target_url: Option<String>,
    pub secret: Option<String>,
}

const fn once() -> u32 {
    1
}

impl Inbound {
    /// A text; the account must be subscribed.
    pub fn text(channel: Provider, account: &str, from: &str, name: &str, text: &str) -> Self {
        Self {
            channel,
            account: account.to_owned(),
            from: from.to_owned(),
            name: name.to_owned(),
            text: text.to_owned(),
            repeat: 1,
            id: None,
            at: None,
            payload: None,
            target_url: None,
            secret: None,
        }
    }
}

/// What became of a customer's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// The provider's id of the message.
    pub external_id: String,
    /// Copies that were delivered.
    pub copies: u32,
    /// Copies that were answered with 2xx in the end.
    pub accepted: u32,
    /// Requests that all copies took together.
    pub requests: u32,
    /// The last HTTP status; absent if nobody answered, or nobody is subscribed.
    pub last_status: Option<u16>,
}

struct Ready {
    position: usize,
    to: Option<Subscription>,
    external_id: String,
    body: Value,
    copies: u32,
}

/// Makes every payload in order, delivers them, and reports in the order given.
pub(super) async fn play(state: &Arc<State>, all: Vec<Inbound>) -> Vec<Delivered> {
    let behaviour = state.behaviour();
    let mut ready: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(position, inbound)| make(state, position, inbound, behaviour.duplicates))
        .collect();
    if behaviour.reorder {
        shuffle(state, &mut ready);
    }
    let mut done = Vec::new();
    for Ready { position, to, external_id, body, copies } in ready {
        let outcomes = match &to {
            Some(to) => state.deliver(to, &external_id, &body, copies).await,
            None => Vec::new(),
        };
        let accepted = outcomes.iter().filter(|outcome| matches!(outcome.status, Some(200..=299))).count();
        let delivered = Delivered {
            external_id,
            copies,
            accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
            requests: outcomes.iter().map(|outcome| outcome.tries).sum(),
            last_status: outcomes.last().and_then(|outcome| outcome.status),
        };
        done.push((position, delivered));
    }
    done.sort_by_key(|(position, _)| *position);
    done.into_iter().map(|(_, delivered)| delivered).collect()
}

fn make(state: &State, position: usize, inbound: Inbound, duplicates: u32) -> Ready {
    let Inbound { channel, account, from, name, text, repeat, id, at, payload, target_url, secret } = inbound;
    let number = lock(&state.ledger).number();
    let at = at.unwrap_or_else(|| state.env.now());
    let person = Person { id: &from, name: &name };
    let (external_id, made) = match channel {
        Provider::Whatsapp => {
            let id = id.unwrap_or_else(|| format!("wamid.IN{}", state.env.uuid().simple()));
            let made = whatsapp_message(&account, &person, &id, at, &text);
            (id, made)
        }
        Provider::Telegram => {
            let number = id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(number);
            (number.to_string(), telegram_message(700_000_000 + number, number, &person, at, &text))
        }
        Provider::Webhook => {
            let id = id.unwrap_or_else(|| format!("evt-{}", state.env.uuid().simple()));
            let made = webhook_message(&id, &person, at, &text);
            (id, made)
        }
    };
    let to = match (target_url, secret) {
        (Some(target_url), Some(secret)) => Some(Subscription { channel, account, target_url, secret }),
        _ => state.subscription(channel, &account),
    };
    Ready { position, to, external_id, body: payload.unwrap_or(made), copies: repeat.max(1) + duplicates }
}

/// Fisher and Yates, with the sandbox's own generator.
fn shuffle<T>(state: &State, all: &mut [T]) {
    for end in (1..all.len()).rev() {
        let below = u32::try_from(end + 1).map_or(1.0, f64::from);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `end`")]
        let other = (state.env.chance() * below) as usize;
        all.swap(end, other.min(end));
    }
}
