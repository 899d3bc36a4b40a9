//! The one address for all WhatsApp numbers, where a body is looked at before anybody has proven anything.

use serde_json::{Value, json};
use switchboard::domain::signature;
use tonic::Code;

use super::world::{SECOND_NUMBER, SECRET, World, connected, said};
use crate::{
    conversation::payload::{self, BEGIN},
    support::{app::Person, both},
    transcoding::client::Answer,
};

const PATH: &str = "/api/v2";
const CONTESTED: &str = "830000000000009";

/// Posts a body, signed by an app of that secret.
async fn signed(world: &World, body: &Value, secret: &str) -> Answer {
    let body = body.to_string();
    let signature = signature::meta(secret, body.as_bytes());
    world.post(PATH, &[("x-hub-signature-256", &signature)], body.as_bytes()).await
}

fn text_for(number: &str, id: &str, words: &str) -> Value {
    let text = payload::text("15550007777", id, 0, words);
    payload::whatsapp_of(number, "messages", json!({"messages": [text]}))
}

/// The newest words of each conversation.
async fn heard(world: &World, owner: &Person) -> Vec<String> {
    let listed = world.app.ok("ListConversations", owner, json!({})).await;
    let shown = |row: &Value| row["lastMessagePreview"].as_str().unwrap().to_owned();
    listed["conversations"].as_array().unwrap().iter().map(shown).collect()
}

/// Whoever claims a number first, its deliveries reach the tenant whose secret signed them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_on_anothers_number_takes_nothing_away() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let thief = world.app.sign_up("thief@else.example").await;
        connected(&world.app, &thief, CONTESTED, "thiefs-secret").await;
        connected(&world.app, &thief, SECOND_NUMBER, "thiefs-secret").await;
        connected(&world.app, &world.owner, CONTESTED, SECRET).await;

        let answer = signed(&world, &text_for(CONTESTED, "wamid.a", "for the owner"), SECRET).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "EVENT_RECEIVED"));
        assert!(heard(&world, &world.owner).await.contains(&"for the owner".to_owned()));
        assert_eq!(heard(&world, &thief).await, Vec::<String>::new());

        // The owner's part of a body is not spoilt by a number of the thief's in it.
        let mut both = text_for(CONTESTED, "wamid.b", "still for the owner");
        let other = text_for(SECOND_NUMBER, "wamid.c", "not for the thief");
        both["entry"].as_array_mut().unwrap().push(other["entry"][0].clone());
        assert_eq!(signed(&world, &both, SECRET).await.status, 200);
        assert!(heard(&world, &world.owner).await.contains(&"still for the owner".to_owned()));
        assert_eq!(heard(&world, &thief).await, Vec::<String>::new());

        let answer = signed(&world, &text_for(CONTESTED, "wamid.d", "forged"), "thiefs-secret").await;
        assert_eq!(answer.status, 200);
        assert_eq!(heard(&world, &thief).await, ["forged"]);
        assert!(!heard(&world, &world.owner).await.contains(&"forged".to_owned()));

        let before = world.rows().await;
        let refused = signed(&world, &text_for(CONTESTED, "wamid.e", "x"), "nobodys-secret").await;
        assert_eq!((refused.status, said(&refused).reason.as_str()), (401, "INVALID_SIGNATURE"));
        assert_eq!(world.rows().await, before);
        world.stop().await;
    })
    .await;
}

/// What proves nothing is not looked up, and what names many is looked up only so far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unproven_body_cannot_make_us_work() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let before = world.rows().await;
        let unsigned = text_for("899999999999999", "wamid.a", "x").to_string();
        let refused = world.post(PATH, &[], unsigned.as_bytes()).await;
        let words = said(&refused);
        // Not 404: nobody asked whose number it is.
        assert_eq!((refused.status, words.reason.as_str()), (401, "INVALID_SIGNATURE"), "{words:?}");
        assert!(words.words.contains("X-Hub-Signature-256"), "{words:?}");

        let naming = |count: u64| {
            let changes: Vec<_> = (0..count)
                .map(|number| text_for(&(BEGIN as u64 + number).to_string(), "wamid.a", "x"))
                .map(|body| body["entry"][0].clone())
                .collect();
            json!({"object": "whatsapp_business_account", "entry": changes})
        };
        for (count, status, code) in [(50, 404, Code::NotFound), (51, 400, Code::InvalidArgument)] {
            let refused = signed(&world, &naming(count), SECRET).await;
            assert_eq!((refused.status, said(&refused).code), (status, code), "{count}");
        }
        assert_eq!(world.rows().await, before);
        world.stop().await;
    })
    .await;
}
