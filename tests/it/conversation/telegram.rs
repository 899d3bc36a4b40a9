//! Telegram's updates, from webhook to rows.

use serde_json::{Value, json};
use switchboard::{
    domain::conversation::ChannelKind,
    error::Result,
    service::conversation::Received,
    store::{Settings, connect},
    wire::conversation::v1::{self, create_channel_request as create},
};

use super::{
    payload::BEGIN,
    shop::{Shop, count, raw, reason},
};
use crate::support::both;

const SECRET: &str = "hook";

/// A bot of a shop.
struct Bot {
    shop: Shop,
    channel: String,
}

impl Bot {
    async fn of(shop: Shop) -> Self {
        let secrets =
            v1::TelegramSecrets { bot_token: "5550001111:AAx".to_owned(), webhook_secret: SECRET.to_owned() };
        let request = v1::CreateChannelRequest {
            name: "Bot".to_owned(),
            account: Some(create::Account::Telegram(v1::TelegramAccount::default())),
            secrets: Some(create::Secrets::TelegramSecrets(secrets)),
            ..Default::default()
        };
        let created = shop.channels().create_channel(request).await.unwrap().into_inner();
        Self { shop, channel: created.channel.unwrap().id }
    }

    async fn post(&self, update: &Value) -> Result<Received> {
        let request = raw(&update.to_string(), "x-telegram-bot-api-secret-token", SECRET);
        self.shop.ingress.receive(ChannelKind::Telegram, &self.channel, &request).await
    }
}

/// `user` writes in `chat`; `number` is both the update's and the message's.
fn message(number: i64, chat: i64, user: i64, text: &str) -> Value {
    let kind = if chat < 0 { "supergroup" } else { "private" };
    json!({"update_id": 700_000_000 + number, "message": {
        "message_id": number, "date": BEGIN + number, "text": text,
        "chat": {"id": chat, "type": kind},
        "from": {"id": user, "is_bot": false, "first_name": format!("Oleg {user}")},
    }})
}

fn edited(number: i64, second: i64, text: &str) -> Value {
    let mut update = message(number, 5, 5, text);
    let mut message = update["message"].take();
    message["edit_date"] = (BEGIN + second).into();
    json!({"update_id": 710_000_000 + second, "edited_message": message})
}

/// Acceptance case 23: once, also after a restart and on another replica; conformance 24.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_taken_once_over_restarts_and_replicas() {
    both(async |pair| {
        let here = Bot::of(Shop::open(&pair).await).await;
        let settings = Settings { url: pair.database_url.clone(), pool: 4 };
        let store = connect(&settings, super::shop::clock()).await.unwrap();
        let there = Bot { shop: Shop::of(store, here.shop.tenant), channel: here.channel.clone() };
        let update = message(88, 5, 5, "Сколько стоит доставка?");
        let (one, two) = tokio::join!(here.post(&update), there.post(&update));
        assert_eq!(one.unwrap().new + two.unwrap().new, 1);
        let again = there.post(&update).await.unwrap();
        assert_eq!((again.new, again.duplicates), (0, 1));
        let (conversation, said) = here.shop.thread().await;
        assert_eq!((conversation.unread_count, said.len()), (1, 1));

        // After a quiet week the numbers start anywhere.
        let mut lower = message(89, 5, 5, "Are you there?");
        lower["update_id"] = 17.into();
        assert_eq!(here.post(&lower).await.unwrap().new, 1);
        assert_eq!(here.shop.thread().await.1.len(), 2);
    })
    .await;
}

/// Acceptance case 22: a group is one conversation, whoever writes in it; what nobody said is none.
#[tokio::test]
async fn a_group_is_one_conversation() {
    both(async |pair| {
        let bot = Bot::of(Shop::open(&pair).await).await;
        bot.post(&message(1, -1_001_234_567_890, 200_300, "hello")).await.unwrap();
        bot.post(&message(2, -1_001_234_567_890, 200_301, "hello to you")).await.unwrap();
        let (conversation, said) = bot.shop.thread().await;
        assert_eq!((conversation.chat.as_deref(), said.len()), (Some("-1001234567890"), 2));
        assert_eq!(said[1].details.as_ref().unwrap()["writer"], "Oleg 200301");
        assert_eq!(said[1].details.as_ref().unwrap()["chat_type"], "supergroup");
        assert_eq!(count(&pair, "customer", bot.shop.tenant).await, 1);

        let mut joined = message(3, -1_001_234_567_890, 200_302, "");
        joined["message"].as_object_mut().unwrap().remove("text");
        joined["message"]["new_chat_members"] = json!([]);
        for nothing in [joined, json!({}), json!({"update_id": 5, "poll_answer": {}})] {
            bot.post(&nothing).await.unwrap();
        }
        assert_eq!(bot.shop.thread().await.1.len(), 2);
    })
    .await;
}

/// Conformance 18: an edit changes the text and keeps the original; one that changes nothing is none.
#[tokio::test]
async fn an_edit_that_nobody_sees_is_none() {
    both(async |pair| {
        let bot = Bot::of(Shop::open(&pair).await).await;
        bot.post(&message(1, 5, 5, "How much?")).await.unwrap();
        let events = count(&pair, "event", bot.shop.tenant).await;
        bot.post(&edited(1, 10, "How much?")).await.unwrap();
        assert_eq!(count(&pair, "event", bot.shop.tenant).await, events);
        assert_eq!(count(&pair, "message_revision", bot.shop.tenant).await, 0);
        bot.post(&edited(1, 30, "How much to Kazan?")).await.unwrap();
        bot.post(&edited(1, 20, "How?")).await.unwrap();
        let said = bot.shop.thread().await.1;
        assert_eq!(said[0].text, "How much to Kazan?");
        assert_eq!(count(&pair, "message_revision", bot.shop.tenant).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_customer_who_shut_the_door_cannot_be_written_to() {
    both(async |pair| {
        let bot = Bot::of(Shop::open(&pair).await).await;
        bot.post(&message(1, 5, 5, "How much?")).await.unwrap();
        let door = |number: i64, old: &str, new: &str| {
            json!({"update_id": number, "my_chat_member": {"chat": {"id": 5, "type": "private"},
                "from": {"id": 5, "is_bot": false, "first_name": "Oleg"}, "date": BEGIN + number,
                "old_chat_member": {"status": old}, "new_chat_member": {"status": new}}})
        };
        let conversation_id = bot.shop.thread().await.0.id.to_string();
        let send = async || {
            let text = "Two left.".to_owned();
            let conversation_id = conversation_id.clone();
            let request = v1::SendMessageRequest { conversation_id, text, ..Default::default() };
            bot.shop.messages().send_message(request).await
        };
        bot.post(&door(10, "member", "kicked")).await.unwrap();
        assert_eq!(reason(&send().await.unwrap_err()), "CUSTOMER_UNREACHABLE");
        bot.post(&door(20, "kicked", "member")).await.unwrap();
        send().await.unwrap();
    })
    .await;
}
