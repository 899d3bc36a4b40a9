//! The generic webhook: a format and a signature of our own.

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use switchboard::{
    channels::RawRequest,
    domain::{conversation::ChannelKind, signature::StandardKey},
    error::{Error, Result},
    service::conversation::Received,
    wire::conversation::v1,
};

use super::shop::{Shop, count, raw};
use crate::support::both;

/// A system of the tenant's own, and what it signs with.
pub struct Integrator {
    pub shop: Shop,
    channel: v1::Channel,
    key: StandardKey,
}

impl Integrator {
    async fn of(shop: Shop) -> Self {
        Self::at(shop, String::new()).await
    }

    /// One that messages are posted to.
    pub async fn at(shop: Shop, url: String) -> Self {
        let request = v1::CreateChannelRequest {
            name: "CRM".to_owned(),
            account: Some(v1::create_channel_request::Account::Webhook(v1::WebhookAccount { url })),
            ..Default::default()
        };
        let created = shop.channels().create_channel(request).await.unwrap().into_inner();
        let key = StandardKey::parse(&created.generated_secrets["signing_secret"]).unwrap();
        Self { shop, channel: created.channel.unwrap(), key }
    }

    fn signed(&self, event: &Value) -> RawRequest {
        let (body, id) = (event.to_string(), event["event_id"].as_str().unwrap().to_owned());
        let now = self.shop.env.now();
        let mut request = raw(&body, "webhook-id", &id);
        request.headers.insert("webhook-timestamp", now.timestamp().to_string().parse().unwrap());
        let signature = self.key.sign(&id, now, body.as_bytes());
        request.headers.insert("webhook-signature", signature.parse().unwrap());
        request
    }

    async fn receive(&self, request: &RawRequest) -> Result<Received> {
        self.shop.ingress.receive(ChannelKind::Webhook, &self.channel.id, request).await
    }

    pub async fn post(&self, event: &Value) -> Result<Received> {
        self.receive(&self.signed(event)).await
    }
}

pub fn message(event_id: &str, external_id: &str, text: &str) -> Value {
    json!({
        "event_id": event_id, "type": "message", "external_message_id": external_id,
        "sender": {"scheme": "crm_contact", "value": "C-4711", "display_name": "Mara"},
        "occurred_at": "2026-09-20T10:11:12Z", "content": {"text": text},
    })
}

/// What an integrator signs arrives; its repeats are known, and answered with our name of the message.
#[tokio::test]
async fn an_integrators_message_arrives() {
    both(async |pair| {
        let crm = Integrator::of(Shop::open(&pair).await).await;
        assert_eq!(crm.channel.webhook_path, format!("/webhooks/inbound/{}", crm.channel.id));
        let request = crm.signed(&message("evt-1", "x-991", "Call me back"));

        let received = crm.receive(&request).await.unwrap();
        assert_eq!((received.new, received.duplicates), (1, 0));
        let again = crm.receive(&request).await.unwrap();
        assert_eq!((again.new, again.duplicates), (0, 1));
        let said = crm.shop.thread().await.1;
        assert_eq!((said.len(), said[0].text.as_str()), (1, "Call me back"));
        let receipt = json!({"ok": true, "message_id": said[0].id.to_string()});
        assert_eq!((&received.receipt, &again.receipt), (&receipt, &receipt));

        crm.shop.env.advance(TimeDelta::minutes(6));
        assert!(matches!(crm.receive(&request).await, Err(Error::Credentials { .. })));
    })
    .await;
}

/// The same event with another body is refused, and nothing changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_id_stands_for_one_body() {
    both(async |pair| {
        let crm = Integrator::of(Shop::open(&pair).await).await;
        crm.post(&message("evt-1", "x-991", "Call me back")).await.unwrap();
        let rows = async || {
            let mut rows = Vec::new();
            for table in ["inbox", "message", "conversation", "event", "job"] {
                rows.push(count(&pair, table, crm.shop.tenant).await);
            }
            rows
        };
        let before = rows().await;

        let status = json!({"event_id": "evt-1", "type": "status", "message_id": "msg_x", "status": "read"});
        for other in [
            message("evt-1", "x-991", "Do not call me"),
            message("evt-1", "x-992", "Call me back"),
            status,
            json!({"event_id": "evt-1", "type": "weather"}),
        ] {
            let refused = crm.post(&other).await.unwrap_err();
            assert!(matches!(refused, Error::Exists { .. }), "{other}: {refused:?}");
        }
        assert_eq!(rows().await, before);
        assert_eq!(crm.shop.thread().await.0.message_count, 1);

        // Two bodies at the same moment: one of them stands.
        let bodies: Vec<_> = (0..8).map(|n| message("evt-2", &format!("y-{n}"), "which?")).collect();
        let tried = join_all(bodies.iter().map(|body| crm.post(body))).await;
        assert_eq!(tried.iter().filter(|tried| tried.is_ok()).count(), 1, "{tried:?}");
        assert_eq!(crm.shop.thread().await.0.message_count, 2);
        // Another channel's events are other events.
        let other = Integrator::of(crm.shop.clone()).await;
        other.post(&message("evt-1", "x-1", "I am new")).await.unwrap();
        assert_eq!(crm.shop.inbox().await.len(), 2);
    })
    .await;
}
