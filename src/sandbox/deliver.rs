//! Webhooks to the server under test: signed as the provider signs, repeated until they are taken.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::{Provider, State};
use crate::domain::signature::{StandardKey, meta};

/// Tries of one delivery: enough to wait for a server that restarts.
const TRIES: u32 = 40;

/// Where an account's webhooks go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    pub channel: Provider,
    /// The phone number id, the bot's number, the receiver's name.
    pub account: String,
    pub target_url: String,
    /// The app secret, the secret token, or the signing secret (`whsec_…`).
    pub secret: String,
}

/// What became of one copy of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub tries: u32,
    /// The last HTTP status; `None` if nobody answered.
    pub status: Option<u16>,
}

impl State {
    /// Delivers `copies` of a webhook at the same time, each until it is taken.
    pub(super) async fn deliver(
        self: &Arc<Self>,
        to: &Subscription,
        id: &str,
        body: &serde_json::Value,
        copies: u32,
    ) -> Vec<Outcome> {
        // As Meta writes it: whoever parses and writes it again before checking breaks the signature.
        let body = if to.channel == Provider::Whatsapp { escaped(body) } else { body.to_string() };
        join_all((0..copies.max(1)).map(|_| self.deliver_one(to, id, body.clone()))).await
    }

    async fn deliver_one(&self, to: &Subscription, id: &str, body: String) -> Outcome {
        let mut outcome = Outcome::default();
        while outcome.tries < TRIES {
            outcome.tries += 1;
            outcome.status = self.post(to, id, body.clone()).await;
            match outcome.status {
                Some(200..=299) => break,
                // The provider would try again for days; nothing will change meanwhile.
                Some(400..=428 | 430..=499) => break,
                _ => tokio::time::sleep(pause(outcome.tries)).await,
            }
        }
        outcome
    }

    async fn post(&self, to: &Subscription, id: &str, body: String) -> Option<u16> {
        let request = self.http.post(&to.target_url).header("content-type", "application/json");
        let request = match to.channel {
            Provider::Whatsapp => request.header("x-hub-signature-256", meta(&to.secret, body.as_bytes())),
            Provider::Telegram => request.header("x-telegram-bot-api-secret-token", &to.secret),
            Provider::Webhook => {
                let now = self.env.now();
                let signature = StandardKey::parse(&to.secret).map(|key| key.sign(id, now, body.as_bytes()));
                request
                    .header("webhook-id", id)
                    .header("webhook-timestamp", now.timestamp())
                    .header("webhook-signature", signature.unwrap_or_default())
            }
        };
        request.body(body).send().await.ok().map(|answer| answer.status().as_u16())
    }
}

/// 50 ms, doubling up to two seconds.
fn pause(tries: u32) -> Duration {
    Duration::from_millis(50 << tries.saturating_sub(1).min(6)).min(Duration::from_secs(2))
}

/// JSON with everything beyond ASCII as `\u` escapes.
fn escaped(body: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in body.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatsapp_bodies_are_escaped_and_mean_the_same() {
        let body = serde_json::json!({"text": "Привет 😀 \"x\""});
        let text = escaped(&body);
        assert!(text.is_ascii() && text.contains(r"\u041f"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), body);
    }

    #[test]
    fn pauses_grow_to_two_seconds() {
        assert_eq!((pause(1).as_millis(), pause(2).as_millis(), pause(40).as_millis()), (50, 100, 2000));
    }
}
