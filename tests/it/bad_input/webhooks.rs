//! Webhooks that prove nothing, or say nothing that can be kept.

use chrono::TimeDelta;
use serde_json::{Value, json};
use switchboard::domain::signature::{self, StandardKey};
use tonic::Code;

use super::world::{SECRET, World, said};
use crate::{
    conversation::payload::{self, written},
    support::both,
};

type Headers = Vec<(&'static str, String)>;

/// Acceptance cases 68, 71 and 72, and conformance 9: forged, expired, missing, for another channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_is_not_proven_or_not_readable_writes_nothing() {
    both(async |pair| {
        let world = World::start(&pair).await;
        for (what, path, headers, body, status, code, reason) in table(&world) {
            let before = world.rows().await;
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = world.post(&path, &headers, &body).await;
            let refusal = said(&answer);
            assert_eq!(
                (answer.status, refusal.code, refusal.reason.as_str()),
                (status, code, reason),
                "{what}: {}",
                answer.text()
            );
            assert!(!refusal.words.trim().is_empty(), "{what}");
            assert_eq!(world.rows().await, before, "{what}: something was written");
        }
        // And what is proven is taken, on the same server.
        let body = event("evt-1", "Call me back");
        let signed = standard(&world, &body, TimeDelta::zero());
        let headers: Vec<_> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("/webhooks/inbound/{}", world.webhook);
        let before = world.rows().await;
        let first = world.post(&path, &headers, &body).await;
        assert_eq!(first.status, 200, "{}", first.text());
        assert_eq!(world.post(&path, &headers, &body).await.json(), first.json());
        assert_eq!(world.rows().await["message"], before["message"] + 1);

        // The id of an event stands for one body.
        let other = event("evt-1", "Do not call me");
        let signed = standard(&world, &other, TimeDelta::zero());
        let headers: Vec<_> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let before = world.rows().await;
        let refused = world.post(&path, &headers, &other).await;
        assert_eq!((refused.status, said(&refused).reason.as_str()), (409, "ALREADY_EXISTS"));
        assert!(said(&refused).words.contains("event_id"));
        assert_eq!(world.rows().await, before);
        world.stop().await;
    })
    .await;
}

fn event(id: &str, text: &str) -> Vec<u8> {
    let event = json!({"event_id": id, "type": "message",
        "sender": {"scheme": "crm_contact", "value": "C-1"}, "content": {"text": text}});
    event.to_string().into_bytes()
}

/// Signed by the integrator, `age` ago.
fn standard(world: &World, body: &[u8], age: TimeDelta) -> Headers {
    let at = world.now() - age;
    let key = StandardKey::parse(&world.signing_secret).unwrap();
    vec![
        ("webhook-id", "delivery-1".to_owned()),
        ("webhook-timestamp", at.timestamp().to_string()),
        ("webhook-signature", key.sign("delivery-1", at, body)),
    ]
}

type Row = (&'static str, String, Headers, Vec<u8>, u16, Code, &'static str);

fn table(world: &World) -> Vec<Row> {
    let whatsapp = format!("/webhooks/whatsapp/{}", world.whatsapp);
    let telegram = format!("/webhooks/telegram/{}", world.telegram);
    let inbound = format!("/webhooks/inbound/{}", world.webhook);
    let text = written("15550009999", "wamid.new", 0, "hello").to_string().into_bytes();
    let update = json!({"update_id": 1, "message": {"message_id": 1, "date": payload::BEGIN,
        "chat": {"id": 5, "type": "private"}, "from": {"id": 5, "is_bot": false, "first_name": "O"},
        "text": "hi"}});
    let update = update.to_string().into_bytes();
    let hub = |secret: &str, body: &[u8]| vec![("x-hub-signature-256", signature::meta(secret, body))];
    let token = |secret: &str| vec![("x-telegram-bot-api-secret-token", secret.to_owned())];
    let unproven = |what, path: &String, headers, body: &[u8]| {
        (what, path.clone(), headers, body.to_vec(), 401, Code::Unauthenticated, "INVALID_SIGNATURE")
    };
    let missing = |what, path: String, headers, body: &[u8]| {
        (what, path, headers, body.to_vec(), 404, Code::NotFound, "NOT_FOUND")
    };
    let unreadable = |what, body: Value| {
        let body = body.to_string().into_bytes();
        let headers = standard(world, &body, TimeDelta::zero());
        (what, inbound.clone(), headers, body, 400, Code::InvalidArgument, "INVALID_FIELD")
    };
    let message = event("evt-9", "hi");
    let mut forged = standard(world, &message, TimeDelta::zero());
    forged[2].1 = format!("v1,{}", "A".repeat(43) + "=");
    let mut moved = standard(world, &message, TimeDelta::minutes(10));
    moved[1].1 = world.now().timestamp().to_string();
    let half = b"{\"object\": ".to_vec();

    vec![
        unproven("a forged signature", &whatsapp, hub("another", &text), &text),
        unproven("no signature", &whatsapp, vec![], &text),
        unproven("a signature of other bytes", &whatsapp, hub(SECRET, b"{}"), &text),
        unproven("two signatures", &whatsapp, [hub(SECRET, &text), hub(SECRET, &text)].concat(), &text),
        unproven("a wrong secret", &telegram, token("hooked"), &update),
        unproven("no secret", &telegram, vec![], &update),
        unproven(
            "signed too long ago",
            &inbound,
            standard(world, &message, TimeDelta::seconds(310)),
            &message,
        ),
        unproven(
            "signed in the future",
            &inbound,
            standard(world, &message, TimeDelta::seconds(-310)),
            &message,
        ),
        unproven("an old signature with a new time", &inbound, moved, &message),
        unproven("a forged standard signature", &inbound, forged, &message),
        unproven("no standard signature", &inbound, vec![], &message),
        missing(
            "a channel that nobody has",
            "/webhooks/whatsapp/chn_01h2xcejqtf2nbrexx3vqjhp41".into(),
            hub(SECRET, &text),
            &text,
        ),
        missing("no channel's id", "/webhooks/whatsapp/nonsense".into(), hub(SECRET, &text), &text),
        missing(
            "a channel that is off",
            format!("/webhooks/whatsapp/{}", world.off),
            hub(SECRET, &text),
            &text,
        ),
        missing(
            "a channel of another kind",
            format!("/webhooks/telegram/{}", world.whatsapp),
            token("hook"),
            &update,
        ),
        missing(
            "a messenger that nobody plays",
            format!("/webhooks/pigeon/{}", world.whatsapp),
            vec![],
            &text,
        ),
        (
            "half a body",
            whatsapp.clone(),
            hub(SECRET, &half),
            half,
            400,
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        unreadable("an event without an id", json!({"type": "message"})),
        unreadable("an event without a type", json!({"event_id": "e"})),
        unreadable(
            "a message without a sender",
            json!({"event_id": "e", "type": "message", "content": {"text": "x"}}),
        ),
        unreadable(
            "a message without content",
            json!({"event_id": "e", "type": "message", "sender": {"scheme": "a", "value": "b"}}),
        ),
        unreadable(
            "a status of no known kind",
            json!({"event_id": "e", "type": "status", "message_id": "m", "status": "lost"}),
        ),
        unreadable("a time that is none", json!({"event_id": "e", "type": "x", "occurred_at": "yesterday"})),
    ]
}
