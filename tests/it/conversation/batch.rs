//! One delivery with everything in it, as often and as much at once as a messenger likes.

use futures::future::join_all;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use switchboard::{domain::delivery::DeliveryStatus, wire::conversation::v1};

use super::{
    payload::{self, BEGIN, status, text, whatsapp, whatsapp_of, written},
    shop::{Shop, count, sandbox},
};
use crate::support::both;

const IVO: &str = "4915112345678";

/// Two messages of a new customer, an edit and a reaction, a kind that nobody knows, three reports and a
/// field that nobody knows.
fn everything() -> Value {
    let at = |second: i64| (BEGIN + second).to_string();
    let mut body = whatsapp(json!({
        "contacts": [{"profile": {"name": "Ivo"}, "wa_id": IVO}],
        "messages": [
            text(IVO, "wamid.1", 0, "one"),
            text(IVO, "wamid.2", 1, "two"),
            {"from": IVO, "id": "wamid.3", "timestamp": at(2), "type": "edit",
             "edit": {"original_message_id": "wamid.2", "message": {"type": "text", "text": {"body": "2"}}}},
            {"from": IVO, "id": "wamid.4", "timestamp": at(3), "type": "reaction",
             "reaction": {"message_id": "wamid.1", "emoji": "👍"}},
            {"from": IVO, "id": "wamid.5", "timestamp": at(4), "type": "hologram", "hologram": {"x": 1}},
        ],
        "statuses": [
            {"id": "wamid.out1", "status": "sent", "timestamp": at(1), "recipient_id": IVO},
            {"id": "wamid.out1", "status": "read", "timestamp": at(2), "recipient_id": IVO},
            {"id": "wamid.out2", "status": "delivered", "timestamp": at(3), "recipient_id": IVO},
        ],
    }));
    let alert = whatsapp_of(payload::NUMBER, "account_alerts", json!({"alert": "x"}))["entry"][0].clone();
    body["entry"].as_array_mut().unwrap().push(alert);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_comes_eight_times_at_once_is_stored_once() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let body = everything();

        let all = join_all((0..8).map(|_| shop.post(channel, &body))).await;
        let new: usize = all.into_iter().map(|received| received.unwrap().new).sum();

        assert_eq!(new, 9);
        assert_eq!(count(&pair, "inbox", shop.tenant).await, 9);
        assert_eq!(count(&pair, "delivery", shop.tenant).await, 2);
        assert_eq!(count(&pair, "customer", shop.tenant).await, 1);
        assert_eq!(count(&pair, "message_revision", shop.tenant).await, 1);
        let (conversation, said) = shop.thread().await;
        // What nobody understands is kept as it came: with its message, or at the gate.
        let odd = said.iter().find(|message| message.kind == "unsupported").expect("the hologram");
        assert_eq!(odd.raw.as_ref().unwrap()["hologram"], json!({"x": 1}));
        let kept = "(select * from inbox where outcome = 'unsupported' and body is not null) kept";
        assert_eq!(count(&pair, kept, shop.tenant).await, 1);
        let said: Vec<_> = said.iter().filter(|message| message.kind == "text").collect();
        assert_eq!(said.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["one", "2"]);
        assert_eq!(said[0].reactions(), [("customer".to_owned(), "👍".to_owned())]);
        assert_eq!(i64::from(conversation.unread_count), conversation.message_count);
    })
    .await;
}

/// Conformance 4: whatever the order, the greatest report stands, with its reason.
#[tokio::test]
async fn every_order_of_reports_ends_alike() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        shop.post(channel, &written(IVO, "wamid.1", 0, "hello")).await.unwrap();
        let conversation_id = shop.thread().await.0.id.to_string();
        let mut number = 0;
        for (words, end) in [
            (&["sent", "delivered", "read", "failed"][..], DeliveryStatus::Failed),
            (&["sent", "delivered", "read"][..], DeliveryStatus::Read),
            (&["sent", "delivered"][..], DeliveryStatus::Delivered),
        ] {
            for order in orders(words) {
                number += 1;
                let text = format!("message {number}");
                let request = v1::SendMessageRequest {
                    conversation_id: conversation_id.clone(),
                    text,
                    ..Default::default()
                };
                let sent = shop.messages().send_message(request).await.unwrap().into_inner();
                let external_id = format!("wamid.out{number}");
                for (second, word) in order.iter().enumerate() {
                    let mut more = json!({"recipient_id": IVO, "biz_opaque_callback_data": sent.id});
                    if *word == "failed" {
                        more["errors"] = json!([{"code": 131_026, "title": "Undeliverable"}]);
                    }
                    let report = status(&external_id, word, i64::try_from(second).unwrap(), more);
                    shop.post(channel, &report).await.unwrap();
                }
                let message = shop.message(sent.id.parse().unwrap()).await;
                assert_eq!(message.status, Some(end), "{order:?}");
                assert_eq!(message.external_id.as_deref(), Some(external_id.as_str()), "{order:?}");
                let reason = (end == DeliveryStatus::Failed).then_some("RECIPIENT_UNREACHABLE");
                assert_eq!(message.failure_reason.as_deref(), reason, "{order:?}");
            }
        }
    })
    .await;
}

/// Every order of a few words.
fn orders<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
    if words.len() < 2 {
        return vec![words.to_vec()];
    }
    let mut all = Vec::new();
    for at in 0..words.len() {
        let mut rest = words.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|order| [vec![first], order].concat()));
    }
    all
}

/// New customers by the dozen, each writing on several deliveries at once: one customer and one open
/// conversation each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_writes_at_once_gets_one_conversation_each() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let mut bodies: Vec<_> = (0..12)
            .flat_map(|customer| {
                let from = format!("4915100000{customer:02}");
                (0..4).map(move |n| written(&from, &format!("wamid.{customer}.{n}"), n, "hello"))
            })
            .collect();
        bodies.shuffle(&mut StdRng::seed_from_u64(7));
        for received in join_all(bodies.iter().map(|body| shop.post(channel, body))).await {
            assert_eq!(received.unwrap().new, 1);
        }
        let inbox = shop.inbox().await;
        assert_eq!(inbox.len(), 12);
        assert!(inbox.iter().all(|conversation| conversation.unread_count == 4), "{inbox:?}");
        assert_eq!(count(&pair, "customer", shop.tenant).await, 12);
    })
    .await;
}
