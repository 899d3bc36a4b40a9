//! What customers write: once, in one conversation, whatever the delivery does.

use futures::future::join_all;
use serde_json::json;
use switchboard::{
    domain::{
        conversation::{Author, ChannelKind, Direction, State},
        signature,
    },
    wire::conversation::v1,
};

use super::{
    payload::{self, echo, item, text, whatsapp, whatsapp_of, written},
    shop::{APP_SECRET, Shop, count, raw},
};
use crate::support::both;

const IVO: &str = "4915112345678";

/// Conformance 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_comes_seven_times_sixteen_at_once_is_one_message() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let body = written(IVO, "wamid.1", 0, "Is the blue one in stock?");

        let mut new = 0;
        for _ in 0..7 {
            let all = join_all((0..16).map(|_| shop.post(channel, &body))).await;
            for received in all {
                let received = received.unwrap();
                assert_eq!(received.new + received.duplicates, 1);
                new += received.new;
            }
        }

        assert_eq!(new, 1);
        let (conversation, said) = shop.thread().await;
        assert_eq!((conversation.unread_count, conversation.message_count, said.len()), (1, 1, 1));
        assert_eq!(said[0].text, "Is the blue one in stock?");
        assert_eq!(count(&pair, "customer", shop.tenant).await, 1);
        // message.created and conversation.created, and the channel's own.
        assert_eq!(count(&pair, "event", shop.tenant).await, 3);
    })
    .await;
}

/// Conformance 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_messages_of_a_new_customer_at_once_are_one_customer_and_one_conversation() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let bodies: Vec<_> =
            (0..5).map(|n| written(IVO, &format!("wamid.{n}"), n, &format!("line {n}"))).collect();

        for received in join_all(bodies.iter().map(|body| shop.post(channel, body))).await {
            assert_eq!(received.unwrap().new, 1);
        }

        let (conversation, said) = shop.thread().await;
        assert_eq!((conversation.unread_count, conversation.message_count), (5, 5));
        assert_eq!(conversation.last_message_preview, "line 4");
        assert_eq!(
            said.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(),
            ["line 0", "line 1", "line 2", "line 3", "line 4"]
        );
        let mut seqs: Vec<_> = said.iter().map(|m| m.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, [1, 2, 3, 4, 5]);
        assert_eq!(count(&pair, "customer", shop.tenant).await, 1);
    })
    .await;
}

/// Acceptance case 27: no count is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_messages_at_once_are_fifty_unread() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        shop.post(channel, &written(IVO, "wamid.first", 0, "hello")).await.unwrap();
        let bodies: Vec<_> = (0..49).map(|n| written(IVO, &format!("wamid.{n}"), n, "more")).collect();
        for received in join_all(bodies.iter().map(|body| shop.post(channel, body))).await {
            received.unwrap();
        }
        let (conversation, said) = shop.thread().await;
        assert_eq!((conversation.unread_count, said.len()), (50, 50));
    })
    .await;
}

/// Conformance 6 and acceptance case 119: every entry, every item; what is unknown is kept.
#[tokio::test]
async fn all_items_of_a_batch_are_taken() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let mut body = whatsapp(json!({
            "contacts": [{"profile": {"name": "Ivo"}, "wa_id": IVO}],
            "messages": [text(IVO, "wamid.1", 0, "one"), text(IVO, "wamid.2", 1, "two")],
            "statuses": [
                {"id": "wamid.out1", "status": "sent", "timestamp": "1789990001", "recipient_id": IVO},
                {"id": "wamid.out1", "status": "delivered", "timestamp": "1789990002", "recipient_id": IVO},
                {"id": "wamid.out2", "status": "read", "timestamp": "1789990003", "recipient_id": IVO},
            ],
        }));
        let second = written("15551234567", "wamid.3", 2, "three")["entry"][0].clone();
        let unknown =
            whatsapp_of(payload::NUMBER, "account_alerts", json!({"alert": "x"}))["entry"][0].clone();
        body["entry"].as_array_mut().unwrap().extend([second, unknown]);

        let received = shop.post(channel, &body).await.unwrap();
        assert_eq!((received.new, received.duplicates), (7, 0));
        let again = shop.post(channel, &body).await.unwrap();
        assert_eq!((again.new, again.duplicates), (0, 7));

        let inbox = shop.inbox().await;
        assert_eq!(inbox.iter().map(|c| c.unread_count).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(count(&pair, "inbox", shop.tenant).await, 7);
        assert_eq!(count(&pair, "delivery", shop.tenant).await, 2);
    })
    .await;
}

/// Conformance 9 and 10: proven on the raw bytes, or refused with nothing written.
#[tokio::test]
async fn a_request_that_is_not_proven_changes_nothing() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await.to_string();
        let body = written(IVO, "wamid.1", 0, "hello 😀").to_string();
        let good = signature::meta(APP_SECRET, body.as_bytes());
        let receive = async |kind, channel: &str, body: &str, header, value: &str| {
            let received = shop.ingress.receive(kind, channel, &raw(body, header, value)).await;
            received.err().map_or("stored", |error| error.reason())
        };
        const SIGNED: &str = "x-hub-signature-256";
        use ChannelKind::{Telegram, Whatsapp};

        let forged = signature::meta("another", body.as_bytes());
        assert_eq!(receive(Whatsapp, &channel, &body, SIGNED, &forged).await, "INVALID_SIGNATURE");
        assert_eq!(receive(Whatsapp, &channel, &body, SIGNED, "sha256=00").await, "INVALID_SIGNATURE");
        assert_eq!(receive(Whatsapp, &channel, &body, "x-other", "1").await, "INVALID_SIGNATURE");
        let other = body.replace("hello", "hullo");
        assert_eq!(receive(Whatsapp, &channel, &other, SIGNED, &good).await, "INVALID_SIGNATURE");
        assert_eq!(receive(Telegram, &channel, &body, SIGNED, &good).await, "NOT_FOUND");
        assert_eq!(receive(Whatsapp, "chn_nonsense", &body, SIGNED, &good).await, "NOT_FOUND");
        let broken = signature::meta(APP_SECRET, b"[1, 2");
        assert_eq!(receive(Whatsapp, &channel, "[1, 2", SIGNED, &broken).await, "INVALID_FIELD");
        assert!(shop.inbox().await.is_empty());
        assert_eq!(count(&pair, "inbox", shop.tenant).await, 0);

        // The same bytes in another spelling, signed as they are.
        let escaped = body.replace('😀', "\\ud83d\\ude00");
        let signed = signature::meta(APP_SECRET, escaped.as_bytes());
        assert_eq!(receive(Whatsapp, &channel, &escaped, SIGNED, &signed).await, "stored");
        assert_eq!(shop.thread().await.1[0].text, "hello 😀");

        let off = v1::SetChannelEnabledRequest { channel_id: channel.clone(), ..Default::default() };
        shop.channels().set_channel_enabled(off).await.unwrap();
        assert_eq!(receive(Whatsapp, &channel, &body, SIGNED, &good).await, "NOT_FOUND");
    })
    .await;
}

/// Conformance 11.
#[tokio::test]
async fn what_is_for_another_account_goes_to_quarantine() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let other = Shop::in_store(&pair, shop.store.clone()).await;
        let channel = shop.whatsapp().await;
        other.whatsapp().await;
        let items = json!({"messages": [text(IVO, "wamid.1", 0, "hello")]});
        let received = shop.post(channel, &whatsapp_of("99999", "messages", items)).await.unwrap();

        assert_eq!(received.new, 1);
        assert!(shop.inbox().await.is_empty());
        assert!(other.inbox().await.is_empty());
        assert_eq!(count(&pair, "inbox", shop.tenant).await, 1);
        assert_eq!(count(&pair, "inbox", other.tenant).await, 0);
    })
    .await;
}

/// Conformance 17.
#[tokio::test]
async fn an_echo_is_external_and_opens_no_window() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        shop.post(channel, &written(IVO, "wamid.1", 0, "hello")).await.unwrap();
        let before = shop.thread().await.0;
        shop.post(channel, &echo(IVO, "wamid.echo", 60, "I will call you")).await.unwrap();

        let (after, said) = shop.thread().await;
        assert_eq!((said[1].author, said[1].direction), (Author::External, Direction::Outbound));
        assert_eq!(after.state, State::WaitingCustomer);
        assert_eq!(after.window_expires_at, before.window_expires_at);
        assert_eq!(after.last_inbound_id, before.last_inbound_id);
        assert_eq!(after.unread_count, 1);
        assert_eq!(after.last_message_preview, "I will call you");
    })
    .await;
}

/// Acceptance case 26.
#[tokio::test]
async fn a_message_after_the_end_begins_a_new_conversation() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        shop.post(channel, &written(IVO, "wamid.1", 0, "hello")).await.unwrap();
        shop.post(channel, &written(IVO, "wamid.2", 1, "anyone?")).await.unwrap();
        let first = shop.thread().await.0;
        assert_eq!(first.unread_count, 2);
        let resolve =
            v1::ResolveConversationRequest { conversation_id: first.id.to_string(), ..Default::default() };
        shop.conversations().resolve_conversation(resolve).await.unwrap();

        shop.post(channel, &written(IVO, "wamid.3", 2, "one more thing")).await.unwrap();
        let inbox = shop.inbox().await;
        assert_eq!(inbox.len(), 2);
        assert_eq!((inbox[0].unread_count, inbox[0].state, inbox[0].message_count), (1, State::Open, 1));
        assert_eq!(inbox[0].customer_id, first.customer_id);
        assert_eq!(inbox[1].state, State::Resolved);
    })
    .await;
}

/// Acceptance cases 25 and 118.
#[tokio::test]
async fn a_customer_without_a_name_gets_the_end_of_the_number() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let body = whatsapp(json!({"messages": [text("5219991992696", "wamid.1", 0, "hola")]}));
        shop.post(channel, &body).await.unwrap();

        let customers = shop.customers().list_customers(v1::ListCustomersRequest::default()).await.unwrap();
        let customer = &customers.get_ref().customers[0];
        assert_eq!((customer.display_name.as_str(), customer.phone.as_str()), ("User 2696", "529991992696"));
        let get = v1::GetCustomerRequest { customer_id: customer.id.clone() };
        let customer = shop.customers().get_customer(get).await.unwrap().into_inner();
        assert_eq!(customer.identities[0].value, "5219991992696");
    })
    .await;
}

/// Conformance 16: one customer, three names.
#[tokio::test]
async fn names_of_one_person_gather() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let user = "DE.7712049930012345";
        let message = |id: &str, second: i64, phone: Option<&str>| {
            let time = (payload::BEGIN + second).to_string();
            let mut message =
                json!({"from_user_id": user, "id": id, "timestamp": time, "type": "text", "text": {"body": "hi"}});
            let mut contact = json!({"profile": {"name": "Lena"}, "user_id": user});
            if let Some(phone) = phone {
                message["from"] = phone.into();
                contact["wa_id"] = phone.into();
            }
            whatsapp(json!({"contacts": [contact], "messages": [message]}))
        };
        shop.post(channel, &message("wamid.1", 0, None)).await.unwrap();
        shop.post(channel, &message("wamid.2", 1, Some(IVO))).await.unwrap();
        let moved = json!({"type": "user_changed_number", "body": "moved", "wa_id": "4915187654321"});
        shop.post(channel, &item(IVO, "wamid.3", 2, "system", moved)).await.unwrap();
        shop.post(channel, &written("4915187654321", "wamid.4", 3, "it is me")).await.unwrap();

        let (conversation, said) = shop.thread().await;
        assert_eq!(said.len(), 3);
        let get = v1::GetCustomerRequest { customer_id: conversation.customer_id.to_string() };
        let customer = shop.customers().get_customer(get).await.unwrap().into_inner();
        assert_eq!(customer.display_name, "Lena");
        let mut names: Vec<_> = customer.identities.iter().map(|name| name.value.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["4915112345678", "4915187654321", user]);
    })
    .await;
}

/// A blocked customer's words are kept, and nobody is called.
#[tokio::test]
async fn a_blocked_customer_opens_nothing() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        shop.post(channel, &written(IVO, "wamid.1", 0, "hello")).await.unwrap();
        let before = shop.thread().await.0;
        let jobs = count(&pair, "job", shop.tenant).await;
        let block = v1::BlockCustomerRequest {
            customer_id: before.customer_id.to_string(),
            blocked: true,
            reason: "spam".to_owned(),
            expected_version: 0,
        };
        assert!(shop.customers().block_customer(block).await.unwrap().get_ref().blocked);
        let resolve =
            v1::ResolveConversationRequest { conversation_id: before.id.to_string(), ..Default::default() };
        shop.conversations().resolve_conversation(resolve).await.unwrap();

        assert_eq!(shop.post(channel, &written(IVO, "wamid.2", 9, "buy this")).await.unwrap().new, 1);
        let (after, said) = shop.thread().await;
        assert_eq!((after.state, after.unread_count), (State::Resolved, 1));
        assert_eq!((said.len(), said[1].text.as_str()), (2, "buy this"));
        assert_eq!(count(&pair, "job", shop.tenant).await, jobs);
    })
    .await;
}
