//! Floods of deliveries that prove nothing: those who send them are limited, and nobody else.

use switchboard::domain::signature;

use super::world::{SECRET, World};
use crate::{
    conversation::payload::{NUMBER, text, whatsapp_of},
    support::both,
};

const STRANGER: &str = "203.0.113.7";
const META: &str = "198.51.100.1";

/// The status of a delivery that comes from an address.
async fn deliver(world: &World, path: &str, from: &str, id: &str, secret: Option<&str>) -> u16 {
    let item = text("15550008888", id, 0, "hello");
    let body = whatsapp_of(NUMBER, "messages", serde_json::json!({"messages": [item]})).to_string();
    let signature = secret.map(|secret| signature::meta(secret, body.as_bytes()));
    let mut headers = vec![("x-forwarded-for", from)];
    headers.extend(signature.as_deref().map(|signature| ("x-hub-signature-256", signature)));
    world.post(path, &headers, body.as_bytes()).await.status
}

/// A shop that takes six deliveries an hour a channel; three came while it was set up.
const SETTINGS: [(&str, &str); 3] = [
    ("SWITCHBOARD_RATE_WEBHOOK", "6/1h"),
    ("SWITCHBOARD_RATE_PUBLIC", "20/1h"),
    ("SWITCHBOARD_TRUSTED_PROXIES", "127.0.0.0/8"),
];

/// What is not proven does not spend what the messenger may send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_without_proof_leaves_the_messenger_its_rate() {
    both(async |pair| {
        let world = World::with(&pair, &SETTINGS).await;
        let channel = format!("/webhooks/whatsapp/{}", world.whatsapp);
        for path in [channel.as_str(), "/api/v2"] {
            let before = world.rows().await;
            let mut answers = Vec::new();
            for number in 0..30 {
                let secret = Some("forged").filter(|_| number % 2 == 0);
                answers.push(deliver(&world, path, STRANGER, "wamid.x", secret).await);
            }
            assert_eq!(answers[..20], [401; 20], "{path}");
            assert_eq!(answers[20..], [429; 10], "{path}");
            assert_eq!(world.rows().await, before);
        }

        // The messenger's own deliveries come in, however they are addressed, and have their own limit.
        assert_eq!(deliver(&world, &channel, META, "wamid.1", Some(SECRET)).await, 200);
        assert_eq!(deliver(&world, "/api/v2", META, "wamid.2", Some(SECRET)).await, 200);
        assert_eq!(deliver(&world, &channel, META, "wamid.3", Some(SECRET)).await, 200);
        for (path, id) in [(channel.as_str(), "wamid.4"), ("/api/v2", "wamid.5")] {
            let before = world.rows().await;
            assert_eq!(deliver(&world, path, META, id, Some(SECRET)).await, 429, "{path}");
            assert_eq!(world.rows().await, before);
        }
        world.stop().await;
    })
    .await;
}

/// A tenant whose secret is wrong is refused what the messenger brings it, and spoils no other tenant's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_with_a_wrong_secret_cuts_off_no_other() {
    both(async |pair| {
        let world = World::with(&pair, &SETTINGS).await;
        let (wrong, right) = (&world.telegram, &world.whatsapp);
        let wrong = format!("/webhooks/telegram/{wrong}");
        for _ in 0..25 {
            deliver(&world, &wrong, META, "wamid.x", None).await;
        }
        assert_eq!(deliver(&world, &wrong, META, "wamid.x", None).await, 429);
        let right = format!("/webhooks/whatsapp/{right}");
        assert_eq!(deliver(&world, &right, META, "wamid.1", Some(SECRET)).await, 200);
        world.stop().await;
    })
    .await;
}
