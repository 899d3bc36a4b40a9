//! Customers who write, through messengers that deliver a webhook until it is answered with 200, some of them
//! twice at the same time, some once more much later, and some that hang up before the answer.
use std::{sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use switchboard::domain::signature;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::shop::{APP_SECRET, HOOK_SECRET, Shop, WHATSAPP};
use crate::conversation::payload::whatsapp_of;

const ON_WHATSAPP: u64 = 5;
const ON_TELEGRAM: u64 = 3;

/// What one customer wrote, in order: the messenger's id and the words. All of it was answered with 200.
#[derive(Debug)]
pub struct Written {
    pub messages: Vec<(String, String)>,
    /// Deliveries beyond the first one that was answered with 200.
    pub repeats: usize,
}

/// Customers write until `closing`; each of them says one thing after another.
pub fn write(shop: &Arc<Shop>, closing: &CancellationToken) -> JoinHandle<Vec<Written>> {
    let mut all = JoinSet::new();
    for number in 0..ON_WHATSAPP + ON_TELEGRAM {
        let customer = Customer {
            shop: shop.clone(),
            number,
            chance: StdRng::seed_from_u64(number),
            written: Written { messages: Vec::new(), repeats: 0 },
        };
        all.spawn(customer.write(closing.clone()));
    }
    tokio::spawn(async move { all.join_all().await })
}

struct Customer {
    shop: Arc<Shop>,
    number: u64,
    chance: StdRng,
    written: Written,
}

impl Customer {
    async fn write(mut self, closing: CancellationToken) -> Written {
        let mut sent: Vec<String> = Vec::new();
        for n in 1.. {
            let body = self.say(n);
            if self.chance.random_bool(0.3) {
                let (first, second) = (self.deliver(&body), self.deliver(&body));
                tokio::join!(first, second);
                self.written.repeats += 1;
            } else {
                self.deliver(&body).await;
            }
            sent.push(body);
            if self.chance.random_bool(0.2) {
                let old = self.chance.random_range(0..sent.len());
                self.deliver(&sent[old]).await;
                self.written.repeats += 1;
            }
            // Now a turn of many messages, now silence long enough for a draft.
            let silence = self.chance.random_range(if n % 3 == 0 { 500..1_200 } else { 50..250 });
            tokio::select! {
                () = closing.cancelled() => break,
                () = tokio::time::sleep(Duration::from_millis(silence)) => {}
            }
        }
        self.written
    }

    /// The webhook of the next message.
    fn say(&mut self, n: u64) -> String {
        let (who, now) = (self.number, self.shop.env.now().timestamp());
        let text = format!("customer {who}, question {n}: is delivery free for orders over 100 EUR?");
        let (id, body) = if who < ON_WHATSAPP {
            let id = format!("wamid.{who}.{n}");
            let from = format!("49151000000{who}");
            let message = json!({"from": from, "id": id, "timestamp": now.to_string(), "type": "text",
                "text": {"body": text}});
            let contacts = json!([{"profile": {"name": format!("Customer {who}")}, "wa_id": from}]);
            let body =
                whatsapp_of(WHATSAPP, "messages", json!({"contacts": contacts, "messages": [message]}));
            (id, body)
        } else {
            let chat = 770_000 + who;
            let person = json!({"id": chat, "first_name": format!("Customer {who}")});
            // Both sides of a chat draw from one line of numbers; the sandbox's begin at 1.
            let number = 1_000_000 + n;
            let message = json!({"message_id": number, "date": now, "text": text, "from": person,
                "chat": {"id": chat, "type": "private"}});
            (format!("{chat}:{number}"), json!({"update_id": who * 100_000 + n, "message": message}))
        };
        self.written.messages.push((id, text));
        Value::to_string(&body)
    }

    /// Delivers until the answer is 200.
    async fn deliver(&self, body: &str) {
        let (path, header) = if self.number < ON_WHATSAPP {
            let signature = signature::meta(APP_SECRET, body.as_bytes());
            (&self.shop.whatsapp.path, format!("x-hub-signature-256: {signature}"))
        } else {
            (&self.shop.telegram.path, format!("x-telegram-bot-api-secret-token: {HOOK_SECRET}"))
        };
        let mut hangs_up = self.shop.hangs_up(0.1);
        for _ in 0..600 {
            let address = self.shop.address();
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 {header}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let patience = if hangs_up {
                Duration::from_micros(rand::random_range(0..10_000))
            } else {
                Duration::from_secs(10)
            };
            hangs_up = false;
            match tokio::time::timeout(patience, post(address, &request)).await {
                Ok(Ok(Some(200))) => return,
                // Not stored, or nobody there: the messenger keeps it.
                Ok(Ok(Some(503) | None) | Err(_)) | Err(_) => {}
                Ok(Ok(Some(other))) => self.shop.complain(format!("a webhook was answered with {other}")),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.shop.complain(format!("nobody takes {body}"));
    }
}

/// The status of the answer; `None` when the connection ended before it.
async fn post(address: &str, request: &str) -> std::io::Result<Option<u16>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()))
}
