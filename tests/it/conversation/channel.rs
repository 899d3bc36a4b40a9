//! Connecting accounts.

use serde_json::json;
use switchboard::{
    sandbox::{Behaviour, FailNext},
    wire::conversation::v1::{self, create_channel_request as create, update_channel_request as update},
};
use tonic::Code;

use super::{
    payload::written,
    shop::{Shop, count, reason, sandbox},
};
use crate::support::both;

fn telegram(token: &str) -> v1::CreateChannelRequest {
    let secrets = v1::TelegramSecrets { bot_token: token.to_owned(), ..Default::default() };
    v1::CreateChannelRequest {
        name: "Bot".to_owned(),
        account: Some(create::Account::Telegram(v1::TelegramAccount::default())),
        secrets: Some(create::Secrets::TelegramSecrets(secrets)),
        ..Default::default()
    }
}

#[tokio::test]
async fn secrets_are_written_and_never_read() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let created = shop.channels().create_channel(telegram("111:AAbb_c")).await.unwrap().into_inner();
        assert!(created.generated_secrets["webhook_secret"].len() >= 32);
        let channel = created.channel.unwrap();
        assert_eq!(channel.kind(), v1::ChannelKind::Telegram);
        assert_eq!(channel.webhook_path, format!("/webhooks/telegram/{}", channel.id));

        let get = v1::GetChannelRequest { channel_id: channel.id.clone() };
        let shown = format!("{:?}", shop.channels().get_channel(get).await.unwrap().into_inner());
        assert!(!shown.contains("AAbb_c") && !shown.contains(&created.generated_secrets["webhook_secret"]));
        let id = channel.id.parse().unwrap();
        let row = shop.store.of(shop.scope()).channels().get(id).await.unwrap();
        assert!(!String::from_utf8_lossy(&row.secrets).contains("AAbb_c"));

        let again = shop.channels().create_channel(telegram("111:AAother")).await.unwrap_err();
        assert_eq!(again.code(), Code::AlreadyExists);
        let listed = shop.channels().list_channels(v1::ListChannelsRequest::default()).await.unwrap();
        assert_eq!(listed.get_ref().channels.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_an_account_is_refused() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let refused = async |request: v1::CreateChannelRequest| {
            let status = shop.channels().create_channel(request).await.unwrap_err();
            (status.code(), reason(&status))
        };
        let invalid = (Code::InvalidArgument, "INVALID_FIELD".to_owned());

        assert_eq!(refused(telegram("no token")).await, invalid);
        assert_eq!(refused(v1::CreateChannelRequest { account: None, ..telegram("1:a") }).await, invalid);
        assert_eq!(
            refused(v1::CreateChannelRequest { name: " ".to_owned(), ..telegram("1:a") }).await,
            invalid
        );
        assert_eq!(
            refused(v1::CreateChannelRequest { id: "con_1".to_owned(), ..telegram("1:a") }).await,
            invalid
        );
        let other = Some(create::Secrets::WebhookSecrets(v1::WebhookSecrets::default()));
        assert_eq!(refused(v1::CreateChannelRequest { secrets: other, ..telegram("1:a") }).await, invalid);
        let checked = v1::CreateChannelRequest { validate_only: true, ..telegram("1:a") };
        assert_eq!(shop.channels().create_channel(checked).await.unwrap().into_inner().channel, None);
        let listed = shop.channels().list_channels(v1::ListChannelsRequest::default()).await.unwrap();
        assert!(listed.get_ref().channels.is_empty());
        // Checking finds what only the database knows, and leaves nothing there.
        shop.channels().create_channel(telegram("1:a")).await.unwrap();
        let before = count(&pair, "event", shop.tenant).await;
        let taken = v1::CreateChannelRequest { validate_only: true, ..telegram("1:b") };
        assert_eq!(refused(taken).await, (Code::AlreadyExists, "ALREADY_EXISTS".to_owned()));
        let free = v1::CreateChannelRequest { validate_only: true, ..telegram("2:b") };
        shop.channels().create_channel(free).await.unwrap();
        assert_eq!(count(&pair, "event", shop.tenant).await, before);
        assert_eq!(count(&pair, "channel", shop.tenant).await, 1);
        assert_eq!(count(&pair, "job", shop.tenant).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let rename = v1::UpdateChannelRequest {
            channel_id: channel.to_string(),
            name: "Shop".to_owned(),
            expected_version: 1,
            ..Default::default()
        };
        let renamed = shop.channels().update_channel(rename.clone()).await.unwrap().into_inner();
        assert_eq!((renamed.name.as_str(), renamed.version), ("Shop", 2));
        let stale = shop.channels().update_channel(rename).await.unwrap_err();
        assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "VERSION_MISMATCH"));

        let secrets = v1::WhatsappSecrets { access_token: "new".to_owned(), ..Default::default() };
        let rotate = v1::UpdateChannelRequest {
            channel_id: channel.to_string(),
            secrets: Some(update::Secrets::WhatsappSecrets(secrets)),
            ..Default::default()
        };
        shop.channels().update_channel(rotate).await.unwrap();
        // The app secret is still the old one.
        assert_eq!(shop.post(channel, &written("49151", "wamid.1", 0, "hi")).await.unwrap().new, 1);
        let row = shop.store.of(shop.scope()).channels().get(channel).await.unwrap();
        let secrets = shop.store.of(shop.scope()).channels().open_secrets(&shop.keys, &row).await.unwrap();
        assert_eq!(
            (&secrets["access_token"], &secrets["app_secret"]),
            (&json!("new"), &json!("test-app-secret"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_test_tells_whether_the_messenger_accepts_us() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let sandbox = sandbox().await;
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let test = v1::TestChannelRequest { channel_id: channel.to_string() };
        let answer = shop.channels().test_channel(test.clone()).await.unwrap().into_inner();
        assert!(answer.ok, "{answer:?}");
        assert_eq!(answer.channel.unwrap().health(), v1::ChannelHealth::Ok);

        let fail_next = Some(FailNext { count: 1, code: 190, after: 0 });
        sandbox.behave(Behaviour { fail_next, ..Behaviour::default() });
        let answer = shop.channels().test_channel(test).await.unwrap().into_inner();
        assert_eq!((answer.ok, answer.reason.as_str()), (false, "TOKEN_INVALID"));
        let channel = answer.channel.unwrap();
        assert_eq!(
            (channel.health(), channel.health_reason.as_str()),
            (v1::ChannelHealth::Broken, "TOKEN_INVALID")
        );
    })
    .await;
}

#[tokio::test]
async fn another_tenants_channel_is_not_there() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let other = Shop::in_store(&pair, shop.store.clone()).await;
        let channel_id = shop.whatsapp().await.to_string();
        let get = v1::GetChannelRequest { channel_id: channel_id.clone() };
        assert_eq!(other.channels().get_channel(get).await.unwrap_err().code(), Code::NotFound);
        let off = v1::SetChannelEnabledRequest { channel_id, ..Default::default() };
        assert_eq!(other.channels().set_channel_enabled(off).await.unwrap_err().code(), Code::NotFound);
    })
    .await;
}
