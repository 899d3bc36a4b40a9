//! From promise to messenger: accepted, refused, or nobody knows.

use serde_json::json;
use switchboard::{
    ai::{Ai, Switches},
    auth::TenantScope,
    domain::delivery::DeliveryStatus,
    id::{ChannelId, JobId},
    jobs::{Context, Failure, Job, send_message::SendMessage},
    sandbox::{Behaviour, FailNext, RateLimit},
    store::conversation as rows,
    wire::conversation::v1,
};
use tokio_util::sync::CancellationToken;

use super::{
    payload::{status, written},
    shop::{Shop, count, reason, sandbox},
};
use crate::support::both;

pub fn context(shop: &Shop, job: JobId, tries: i16) -> Context {
    Context {
        scope: TenantScope::of_job(shop.tenant, job),
        job,
        kind: SendMessage::NAME,
        tries,
        max_tries: SendMessage::MAX_TRIES,
        store: shop.store.clone(),
        keys: shop.keys.clone(),
        http: shop.http.clone(),
        ai: Ai::Offline,
        switches: Switches::default(),
        public_url: "https://chat.example".into(),
        env: shop.env.clone(),
        cancelled: CancellationToken::new(),
        begun: Default::default(),
    }
}

pub async fn run(shop: &Shop, message: &rows::Message) -> Result<(), Failure> {
    let cx = context(shop, shop.env.id(), 0);
    SendMessage { message: message.id, attempt: message.attempt }.run(&cx).await
}

/// A customer wrote, and an operator answered: the answer waits to go out.
pub async fn answered(shop: &Shop, channel: ChannelId) -> rows::Message {
    shop.post(channel, &written("4915112345678", "wamid.1", 0, "hello")).await.unwrap();
    answer(shop).await
}

/// An operator answers in the only conversation.
pub async fn answer(shop: &Shop) -> rows::Message {
    let conversation_id = shop.thread().await.0.id.to_string();
    let request =
        v1::SendMessageRequest { conversation_id, text: "Yes, two left.".to_owned(), ..Default::default() };
    let sent = shop.messages().send_message(request).await.unwrap().into_inner();
    assert_eq!(sent.status(), v1::DeliveryStatus::Queued);
    shop.message(sent.id.parse().unwrap()).await
}

fn failing(code: i64) -> Behaviour {
    Behaviour { fail_next: Some(FailNext { count: 1, code, after: 0 }), silent: true, ..Behaviour::default() }
}

pub fn quiet() -> Behaviour {
    Behaviour { silent: true, ..Behaviour::default() }
}

#[tokio::test]
async fn an_accepted_message_is_sent_once() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        sandbox.behave(quiet());
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = answered(&shop, channel).await;
        // The draft that the customer's message asked for, and this.
        assert_eq!(count(&pair, "job", shop.tenant).await, 2);

        run(&shop, &message).await.unwrap();
        // A ticket that comes twice, and a job that is run again.
        run(&shop, &message).await.unwrap();

        let sent = sandbox.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].recipient.as_str(), sent[0].text.as_str()), ("4915112345678", "Yes, two left."));
        assert_eq!(sent[0].correlation, Some(message.id.to_string()));
        let message = shop.message(message.id).await;
        assert_eq!(message.status, Some(DeliveryStatus::Sent));
        assert_eq!(message.external_id.as_deref(), Some(sent[0].external_id.as_str()));
        let channel = shop.store.of(shop.scope()).channels().get(channel).await.unwrap();
        assert_eq!(channel.health.as_str(), "ok");
    })
    .await;
}

/// Conformance 4: reports climb a lattice, in any order.
#[tokio::test]
async fn reports_raise_a_message_and_never_lower_it() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        sandbox.behave(quiet());
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = answered(&shop, channel).await;
        run(&shop, &message).await.unwrap();
        let external_id = sandbox.sent()[0].external_id.clone();
        let report = async |word: &str| {
            let body = status(&external_id, word, 100, json!({"recipient_id": "4915112345678"}));
            assert_eq!(shop.post(channel, &body).await.unwrap().new, 1);
            shop.message(message.id).await.status.unwrap()
        };

        assert_eq!(report("read").await, DeliveryStatus::Read);
        assert_eq!(report("sent").await, DeliveryStatus::Read);
        assert_eq!(report("delivered").await, DeliveryStatus::Read);
        assert_eq!(report("failed").await, DeliveryStatus::Failed);
    })
    .await;
}

/// Conformance 5: with our own id in it or without.
#[tokio::test]
async fn a_report_that_comes_before_the_answer_is_joined_later() {
    both(async |pair| {
        for more in [json!({}), json!({"biz_opaque_callback_data": "ours"})] {
            let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
            sandbox.behave(quiet());
            let channel = shop.whatsapp_at(sandbox.url()).await;
            let message = answered(&shop, channel).await;
            let mut more = more.clone();
            let names_us = more.get("biz_opaque_callback_data").is_some();
            if names_us {
                more["biz_opaque_callback_data"] = message.id.to_string().into();
            }
            // What the sandbox will call its first message.
            let early = status("wamid.OUT00000001", "delivered", 100, more);
            assert_eq!(shop.post(channel, &early).await.unwrap().new, 1);
            let waiting = shop.message(message.id).await.status;
            assert_eq!(
                waiting,
                Some(if names_us { DeliveryStatus::Delivered } else { DeliveryStatus::Queued })
            );

            run(&shop, &message).await.unwrap();
            if !names_us {
                assert_eq!(sandbox.sent()[0].external_id, "wamid.OUT00000001");
            }
            let message = shop.message(message.id).await;
            assert_eq!(message.status, Some(DeliveryStatus::Delivered));
            assert_eq!(message.external_id.as_deref(), Some("wamid.OUT00000001"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_has_a_reason_and_can_be_tried_again_by_hand() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = answered(&shop, channel).await;
        sandbox.behave(failing(131_026));
        run(&shop, &message).await.unwrap();
        let failed = shop.message(message.id).await;
        assert_eq!(failed.status, Some(DeliveryStatus::Failed));
        assert_eq!(failed.failure_reason.as_deref(), Some("RECIPIENT_UNREACHABLE"));

        let retry = v1::RetryMessageRequest { message_id: message.id.to_string(), ..Default::default() };
        let again = shop.messages().retry_message(retry.clone()).await.unwrap().into_inner();
        assert_eq!((again.status(), again.attempt), (v1::DeliveryStatus::Queued, 2));
        sandbox.behave(quiet());
        // The first attempt's job comes back: it is over.
        run(&shop, &message).await.unwrap();
        assert!(sandbox.sent().is_empty());
        run(&shop, &shop.message(message.id).await).await.unwrap();
        assert_eq!(sandbox.sent()[0].correlation, Some(format!("{}:2", message.id)));
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Sent));
        let refused = shop.messages().retry_message(retry).await.unwrap_err();
        assert_eq!(reason(&refused), "MESSAGE_NOT_FAILED");
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_waited_for() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = answered(&shop, channel).await;
        let rate_limit = Some(RateLimit { count: 1, retry_after: 7 });
        sandbox.behave(Behaviour { rate_limit, silent: true, ..Behaviour::default() });
        let job: JobId = shop.env.id();
        let send = SendMessage { message: message.id, attempt: 1 };

        let waits = send.run(&context(&shop, job, 0)).await;
        assert!(
            matches!(waits, Err(Failure::Retry { after: Some(after), .. }) if after.as_secs() == 7),
            "{waits:?}"
        );
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Queued));
        send.run(&context(&shop, job, 1)).await.unwrap();
        assert_eq!(shop.message(message.id).await.status, Some(DeliveryStatus::Sent));
        assert_eq!(sandbox.sent().len(), 1);
    })
    .await;
}

/// Conformance 19.
#[tokio::test]
async fn a_revoked_token_breaks_the_channel() {
    both(async |pair| {
        let (shop, sandbox) = (Shop::open(&pair).await, sandbox().await);
        let channel = shop.whatsapp_at(sandbox.url()).await;
        let message = answered(&shop, channel).await;
        sandbox.behave(failing(190));
        run(&shop, &message).await.unwrap();
        let row = shop.store.of(shop.scope()).channels().get(channel).await.unwrap();
        assert_eq!((row.health.as_str(), row.health_reason.as_deref()), ("broken", Some("TOKEN_INVALID")));
        assert_eq!(shop.message(message.id).await.failure_reason.as_deref(), Some("TOKEN_INVALID"));

        let conversation_id = message.conversation_id.to_string();
        let request = v1::SendMessageRequest { conversation_id, text: "x".to_owned(), ..Default::default() };
        assert_eq!(reason(&shop.messages().send_message(request).await.unwrap_err()), "CHANNEL_BROKEN");
    })
    .await;
}
