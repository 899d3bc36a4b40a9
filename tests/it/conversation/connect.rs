//! Telling a messenger where its webhooks go.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::{
    id::{ChannelId, JobId},
    jobs::{Failure, Job, connect_channel::ConnectChannel},
    sandbox::{Behaviour, FailNext, Inbound, Provider, RateLimit, Running},
    store::conversation as rows,
    wire::conversation::v1::{self, create_channel_request as create, update_channel_request as update},
};

use super::{
    sending::context,
    shop::{PUBLIC_URL, Shop, count, sandbox},
};
use crate::{
    support::{Server, both},
    transcoding::client,
};

const BOT: &str = "5550001111";

async fn bot(shop: &Shop, url: &str, token: &str) -> ChannelId {
    let account = v1::TelegramAccount { api_base_url: url.to_owned() };
    let secrets = v1::TelegramSecrets { bot_token: token.to_owned(), ..Default::default() };
    let request = v1::CreateChannelRequest {
        name: "Bot".to_owned(),
        account: Some(create::Account::Telegram(account)),
        secrets: Some(create::Secrets::TelegramSecrets(secrets)),
        ..Default::default()
    };
    let created = shop.channels().create_channel(request).await.unwrap().into_inner();
    created.channel.unwrap().id.parse().unwrap()
}

async fn run(shop: &Shop, channel: ChannelId, tries: i16) -> Result<(), Failure> {
    let job: JobId = shop.env.id();
    ConnectChannel { channel }.run(&context(shop, job, tries)).await
}

async fn row(shop: &Shop, channel: ChannelId) -> rows::Channel {
    shop.store.of(shop.scope()).channels().get(channel).await.unwrap()
}

/// The address that the sandbox has for a bot.
async fn known(sandbox: &Running, token: &str) -> String {
    let path = format!("/bot{token}/getWebhookInfo");
    let answer = client::send(sandbox.addr, "POST", &path, &[], Some(b"{}")).await;
    answer.json()["result"]["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_bot_is_told_where_to_post() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let token = format!("{BOT}:AAx");
        let channel = bot(&shop, sandbox.url(), &token).await;
        assert_eq!(count(&pair, "job", shop.tenant).await, 1);
        assert_eq!(row(&shop, channel).await.health.as_str(), "unknown");
        assert_eq!(known(&sandbox, &token).await, "");

        // A job may run more than once.
        for _ in 0..2 {
            run(&shop, channel, 0).await.unwrap();
        }
        assert_eq!(known(&sandbox, &token).await, format!("{PUBLIC_URL}/webhooks/telegram/{channel}"));
        assert_eq!(row(&shop, channel).await.health.as_str(), "ok");
        // The channel's creation, and its health.
        assert_eq!(count(&pair, "event", shop.tenant).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_channel_shows_that_its_messenger_was_not_told() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let revoked = bot(&shop, sandbox.url(), "111:revoked").await;
        run(&shop, revoked, 0).await.unwrap();
        let seen = row(&shop, revoked).await;
        assert_eq!((seen.health.as_str(), seen.health_reason.as_deref()), ("broken", Some("TOKEN_INVALID")));

        let channel = bot(&shop, sandbox.url(), &format!("{BOT}:AAx")).await;
        let limit = Some(RateLimit { count: 1, retry_after: 7 });
        sandbox.behave(Behaviour { rate_limit: limit, ..Behaviour::default() });
        let waits = run(&shop, channel, 0).await;
        assert!(
            matches!(waits, Err(Failure::Retry { after: Some(after), .. }) if after.as_secs() == 7),
            "{waits:?}"
        );
        assert_eq!(row(&shop, channel).await.health.as_str(), "unknown");
        sandbox.behave(Behaviour { outage: true, ..Behaviour::default() });
        run(&shop, channel, ConnectChannel::MAX_TRIES - 1).await.unwrap();
        let seen = row(&shop, channel).await;
        assert_eq!(
            (seen.health.as_str(), seen.health_reason.as_deref()),
            ("broken", Some("WEBHOOK_REFUSED"))
        );
        let fail_next = Some(FailNext { count: 1, code: 400, after: 0 });
        sandbox.behave(Behaviour { fail_next, ..Behaviour::default() });
        run(&shop, channel, 0).await.unwrap();
        assert_eq!(row(&shop, channel).await.health_reason.as_deref(), Some("WEBHOOK_REFUSED"));

        // Whoever repairs it tests it: that tells the messenger too.
        let test = v1::TestChannelRequest { channel_id: channel.to_string() };
        let answer = shop.channels().test_channel(test.clone()).await.unwrap().into_inner();
        assert!(answer.ok, "{answer:?}");
        assert_eq!(answer.channel.unwrap().health(), v1::ChannelHealth::Ok);
        assert!(known(&sandbox, &format!("{BOT}:AAx")).await.ends_with(&channel.to_string()));
        let fail_next = Some(FailNext { count: 1, code: 400, after: 1 });
        sandbox.behave(Behaviour { fail_next, ..Behaviour::default() });
        let answer = shop.channels().test_channel(test).await.unwrap().into_inner();
        assert_eq!((answer.ok, answer.reason.as_str()), (false, "WEBHOOK_REFUSED"));
    })
    .await;
}

/// The messenger is told again when the account changed or comes back, and only then.
#[tokio::test]
async fn what_changes_about_an_account_is_told() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = bot(&shop, sandbox.url(), &format!("{BOT}:AAx")).await;
        let jobs = async || count(&pair, "job", shop.tenant).await;
        let update = async |request: v1::UpdateChannelRequest| {
            shop.channels().update_channel(request).await.unwrap();
        };
        let enable = async |enabled| {
            let channel_id = channel.to_string();
            let request = v1::SetChannelEnabledRequest { channel_id, enabled, ..Default::default() };
            shop.channels().set_channel_enabled(request).await.unwrap();
        };
        let request = v1::UpdateChannelRequest { channel_id: channel.to_string(), ..Default::default() };
        update(v1::UpdateChannelRequest { name: "Shop".to_owned(), ..request.clone() }).await;
        assert_eq!(jobs().await, 1);
        let secret = v1::TelegramSecrets { webhook_secret: "new".to_owned(), ..Default::default() };
        let secrets = Some(update::Secrets::TelegramSecrets(secret));
        let rotate = v1::UpdateChannelRequest { secrets, ..request };
        update(v1::UpdateChannelRequest { validate_only: true, ..rotate.clone() }).await;
        assert_eq!(jobs().await, 1);
        update(rotate).await;
        assert_eq!(jobs().await, 2);

        enable(false).await;
        assert_eq!(jobs().await, 2);
        run(&shop, channel, 0).await.unwrap();
        assert_eq!(
            known(&sandbox, &format!("{BOT}:AAx")).await,
            "",
            "a channel that is off is not connected"
        );
        enable(true).await;
        assert_eq!(jobs().await, 3);
        // Meta's webhook address is a matter of the app's owner.
        shop.whatsapp_at(sandbox.url()).await;
        assert_eq!(jobs().await, 3);
    })
    .await;
}

/// From creating a bot to the first message, with nobody telling Telegram anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_receives_once_it_is_created() {
    both(async |pair| {
        let sandbox = sandbox().await;
        let server = Server::start(&pair, &[("SWITCHBOARD_ALLOW_PRIVATE_TARGETS", "true")]).await;
        let address = server.address().parse().unwrap();
        let call = async |verb: &str, path: &str, token: &str, body: Option<Value>| {
            let bearer = format!("Bearer {token}");
            let mut headers = vec![("content-type", "application/json")];
            if !token.is_empty() {
                headers.push(("authorization", &bearer));
            }
            let body = body.map(|body| body.to_string());
            let answer =
                client::send(address, verb, path, &headers, body.as_deref().map(str::as_bytes)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            answer.json()
        };
        let account = json!({"email": "ann@shop.example", "password": "Correct-horse-9"});
        let signed_up = call("POST", "/v1/auth:signUp", "", Some(account)).await;
        let token = signed_up["sessionToken"].as_str().unwrap().to_owned();
        let channel = json!({"name": "Bot", "telegram": {"apiBaseUrl": sandbox.url()},
            "telegramSecrets": {"botToken": format!("{BOT}:AAx")}});
        let created = call("POST", "/v1/channels", &token, Some(channel)).await;
        let path = format!("/v1/channels/{}", created["channel"]["id"].as_str().unwrap());
        for waited in 0.. {
            let health = call("GET", &path, &token, None).await["health"].clone();
            if health == "CHANNEL_HEALTH_OK" {
                break;
            }
            assert!(waited < 600, "after 30 s the channel is {health}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        let hello = json!({"channel": "telegram", "account": BOT, "from": "77", "text": "Hello?"});
        let hello: Inbound = serde_json::from_value(hello).unwrap();
        assert_eq!(hello.channel, Provider::Telegram);
        let delivered = sandbox.inbound(vec![hello]).await;
        assert_eq!(delivered[0].accepted, 1, "{:?}", delivered[0].last_status);
        let inbox = call("GET", "/v1/conversations", &token, None).await;
        assert_eq!(inbox["conversations"][0]["lastMessagePreview"], "Hello?");
    })
    .await;
}
