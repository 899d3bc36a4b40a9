//! Where a channel's stored secrets go: nowhere that whoever changed the address was not trusted with them for.

use serde_json::{Value, json};
use tonic::Code;

use super::world::{World, said};
use crate::{
    conversation::payload::NUMBER,
    support::{both, rpc::Refusal},
};

/// A change of the bot's channel.
fn bot(world: &World, url: &str, secrets: Value) -> Value {
    let mut request = json!({"channelId": world.telegram, "telegram": {"apiBaseUrl": url}});
    if !secrets.is_null() {
        request["telegramSecrets"] = secrets;
    }
    request
}

fn number(world: &World, url: &str) -> Value {
    json!({"channelId": world.whatsapp, "whatsapp": {"phoneNumberId": NUMBER, "apiBaseUrl": url}})
}

async fn refused(world: &World, request: Value, fields: &[&str]) {
    let before = world.rows().await;
    let Refusal { code, reason, fields: named, .. } =
        world.grpc("UpdateChannel", &world.owner.token, request.clone()).await.unwrap_err();
    assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{request}");
    assert_eq!(named.len(), fields.len(), "{request}: {named:?}");
    for (named, field) in named.iter().zip(fields) {
        assert!(named.contains(field), "{request}: {named}");
    }
    assert_eq!(world.rows().await, before, "{request}: something was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_secrets_do_not_follow_an_account_to_another_host() {
    both(async |pair| {
        let world = World::start(&pair).await;
        const TOKEN: &str = "telegram_secrets.bot_token";
        const HOOK: &str = "telegram_secrets.webhook_secret";
        // World's channels are at http://127.0.0.1:9.
        for elsewhere in [
            "http://127.0.0.1:10",
            "https://127.0.0.1:9",
            "http://127.0.0.2:9/path",
            "http://localhost:9",
            "",
        ] {
            refused(&world, bot(&world, elsewhere, Value::Null), &[TOKEN, HOOK]).await;
            refused(&world, number(&world, elsewhere), &["whatsapp_secrets.access_token"]).await;
        }
        let only = json!({"botToken": "5550001111:AAnew"});
        refused(&world, bot(&world, "http://127.0.0.1:10", only.clone()), &[HOOK]).await;
        // A mask that leaves the secrets out leaves them ungiven.
        let mut masked = bot(&world, "http://127.0.0.1:10", only.clone());
        masked["updateMask"] = json!("telegram");
        refused(&world, masked, &[TOKEN, HOOK]).await;
        let mut checked = bot(&world, "http://127.0.0.1:10", Value::Null);
        checked["validateOnly"] = json!(true);
        refused(&world, checked, &[TOKEN, HOOK]).await;
        let body = json!({"telegram": {"apiBaseUrl": "http://127.0.0.1:10"}}).to_string();
        let path = format!("/v1/channels/{}", world.telegram);
        let rest = world.rest("PATCH", &path, &world.owner.token, Some(body.as_bytes())).await;
        assert_eq!((rest.status, said(&rest).code), (400, Code::InvalidArgument));
        assert!(said(&rest).words.contains(TOKEN), "{}", rest.text());

        let token = &world.owner.token;
        let all = json!({"botToken": "5550001111:AAnew", "webhookSecret": "hook2"});
        for fine in [
            // The same host, and names beside it.
            bot(&world, "http://127.0.0.1:9/bots", Value::Null),
            number(&world, "http://127.0.0.1:9/graph/"),
            json!({"channelId": world.telegram, "name": "Robot"}),
            json!({"channelId": world.telegram, "telegramSecrets": only}),
            bot(&world, "http://127.0.0.1:10", all),
            // An integrator's system gets signatures, not the secret.
            json!({"channelId": world.webhook, "webhook": {"url": "http://127.0.0.1:10/hook"}}),
        ] {
            let answer = world.grpc("UpdateChannel", token, fine.clone()).await;
            assert!(answer.is_ok(), "{fine}: {answer:?}");
        }
        world.stop().await;
    })
    .await;
}
