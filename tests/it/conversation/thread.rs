//! The inbox: who has what, and nobody talks over anybody.

use chrono::TimeDelta;
use futures::future::join_all;
use prost::Message as _;
use switchboard::wire::conversation::v1;
use tonic::Code;

use super::{
    payload::written,
    shop::{Shop, reason},
};
use crate::support::both;

async fn begun(shop: &Shop) -> v1::Conversation {
    let channel = shop.whatsapp().await;
    shop.post(channel, &written("4915112345678", "wamid.1", 0, "hello")).await.unwrap();
    shop.thread().await.0.into()
}

fn assign(conversation: &v1::Conversation) -> v1::AssignConversationRequest {
    v1::AssignConversationRequest { conversation_id: conversation.id.clone(), precondition: None }
}

fn say(conversation: &v1::Conversation, text: &str) -> v1::SendMessageRequest {
    v1::SendMessageRequest {
        conversation_id: conversation.id.clone(),
        text: text.to_owned(),
        ..Default::default()
    }
}

/// Acceptance case 121: two assign at once, one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_operators_one_gets_the_conversation() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let conversation = begun(&shop).await;
        let all: Vec<_> = (0..8).map(|_| shop.colleague()).collect();
        let conversation = &conversation;
        let tried = all.iter().map(|operator| async move {
            operator.conversations().assign_conversation(assign(conversation)).await
        });
        let tried = join_all(tried).await;

        let won: Vec<_> = tried.iter().filter_map(|tried| tried.as_ref().ok()).collect();
        assert_eq!(won.len(), 1);
        let winner = &won[0].get_ref().assignee_id;
        for lost in tried.iter().filter_map(|tried| tried.as_ref().err()) {
            assert_eq!(
                (lost.code(), reason(lost).as_str()),
                (Code::FailedPrecondition, "ASSIGNED_TO_ANOTHER")
            );
        }
        assert_eq!(shop.thread().await.0.assignee_id.unwrap().to_string(), *winner);
    })
    .await;
}

/// Acceptance case 124, and what follows of it for the one open conversation.
#[tokio::test]
async fn a_conversation_ends_in_order_and_can_be_taken_up_again() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        shop.post(channel, &written("4915112345678", "wamid.1", 0, "hello")).await.unwrap();
        let id = shop.thread().await.0.id.to_string();
        let close = v1::CloseConversationRequest { conversation_id: id.clone(), expected_version: 0 };
        let resolve = v1::ResolveConversationRequest { conversation_id: id.clone(), expected_version: 0 };
        let reopen = v1::ReopenConversationRequest { conversation_id: id.clone(), expected_version: 0 };
        let mut wire = shop.conversations();

        assert_eq!(reason(&wire.close_conversation(close.clone()).await.unwrap_err()), "NOT_RESOLVED");
        assert_eq!(reason(&wire.reopen_conversation(reopen.clone()).await.unwrap_err()), "ALREADY_OPEN");
        let resolved = wire.resolve_conversation(resolve).await.unwrap().into_inner();
        assert!(resolved.resolve_time.is_some());
        let closed = wire.close_conversation(close).await.unwrap().into_inner();
        assert_eq!(closed.state(), v1::ConversationState::Closed);
        let open = wire.reopen_conversation(reopen.clone()).await.unwrap().into_inner();
        assert_eq!((open.state(), open.resolve_time), (v1::ConversationState::Open, None));

        let resolve = v1::ResolveConversationRequest { conversation_id: id, expected_version: open.version };
        wire.resolve_conversation(resolve.clone()).await.unwrap();
        shop.post(channel, &written("4915112345678", "wamid.2", 1, "me again")).await.unwrap();
        assert_eq!(reason(&wire.reopen_conversation(reopen).await.unwrap_err()), "ANOTHER_CONVERSATION_OPEN");
    })
    .await;
}

#[tokio::test]
async fn a_missed_precondition_tells_what_is_now() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        shop.post(channel, &written("4915112345678", "wamid.1", 0, "hello")).await.unwrap();
        let seen: v1::Conversation = shop.thread().await.0.into();
        shop.post(channel, &written("4915112345678", "wamid.2", 5, "no, wait")).await.unwrap();

        let refused = async |precondition: v1::Precondition| {
            let mut request = say(&seen, "here you are");
            request.precondition = Some(precondition);
            shop.messages().send_message(request).await.map(tonic::Response::into_inner)
        };
        let last_message_id = seen.last_message_id.clone();
        for precondition in [
            v1::Precondition { expected_version: seen.version, ..Default::default() },
            v1::Precondition { last_message_id, ..Default::default() },
            v1::Precondition { assigned_to_me: true, ..Default::default() },
        ] {
            let status = refused(precondition).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "CONVERSATION_CHANGED"));
            let details = tonic_types::pb::Status::decode(status.details()).unwrap().details;
            let now = details.iter().find(|any| any.type_url.ends_with("v1.Conversation")).unwrap();
            let now = v1::Conversation::decode(now.value.as_slice()).unwrap();
            assert_eq!((now.version, now.last_message_preview.as_str()), (2, "no, wait"));
        }
        assert_eq!(shop.thread().await.1.len(), 2);

        let now: v1::Conversation = shop.thread().await.0.into();
        let good = v1::Precondition {
            expected_version: now.version,
            last_message_id: now.last_message_id,
            assigned_to_me: false,
            window_open: true,
        };
        assert_eq!(refused(good).await.unwrap().status(), v1::DeliveryStatus::Queued);
        let (after, _) = shop.thread().await;
        assert_eq!((after.unread_count, after.message_count), (0, 3));
    })
    .await;
}

/// Conformance 15, acceptance cases 31, 32 and 75, and the rest that keeps a message from going out.
#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_a_reason() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let conversation = begun(&shop).await;
        let send = async |request: v1::SendMessageRequest| {
            shop.messages()
                .send_message(request)
                .await
                .err()
                .map_or("ok".to_owned(), |status| reason(&status))
        };
        let sendability = async || {
            let request = v1::GetSendabilityRequest { conversation_id: conversation.id.clone() };
            shop.conversations().get_sendability(request).await.unwrap().into_inner()
        };
        let block = async |blocked| {
            let customer_id = conversation.customer_id.clone();
            let request = v1::BlockCustomerRequest { customer_id, blocked, ..Default::default() };
            shop.customers().block_customer(request).await.unwrap();
        };

        assert_eq!(send(say(&conversation, &"ж".repeat(4001))).await, "INVALID_FIELD");
        assert_eq!(send(say(&conversation, "  \n")).await, "INVALID_FIELD");
        let nowhere =
            v1::SendMessageRequest { conversation_id: "msg_1".to_owned(), ..say(&conversation, "x") };
        assert_eq!(send(nowhere).await, "INVALID_FIELD");
        let missing: switchboard::id::MessageId = shop.env.id();
        let quoting = v1::SendMessageRequest { reply_to_id: missing.to_string(), ..say(&conversation, "x") };
        assert_eq!(send(quoting).await, "NOT_FOUND");
        block(true).await;
        assert_eq!(send(say(&conversation, "hello")).await, "CUSTOMER_BLOCKED");
        assert_eq!(sendability().await.reason, "CUSTOMER_BLOCKED");
        block(false).await;
        assert!(sendability().await.sendable);

        shop.env.advance(TimeDelta::hours(22));
        assert_eq!(send(say(&conversation, &"ж".repeat(4000))).await, "ok");
        shop.env.advance(TimeDelta::hours(2));
        assert_eq!(send(say(&conversation, "hello")).await, "WINDOW_CLOSED");
        let closed = sendability().await;
        assert_eq!((closed.reason.as_str(), closed.window_expire_time.is_some()), ("WINDOW_CLOSED", true));
        assert_eq!(shop.thread().await.1.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_send_with_an_id_of_the_clients_own_happens_once() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let conversation = begun(&shop).await;
        let id: switchboard::id::MessageId = shop.env.id();
        let request = v1::SendMessageRequest { id: id.to_string(), ..say(&conversation, "two left") };
        let all = (0..6).map(|_| {
            let (shop, request) = (&shop, request.clone());
            async move { shop.messages().send_message(request).await }
        });
        for sent in join_all(all).await {
            assert_eq!(sent.unwrap().into_inner().id, id.to_string());
        }
        assert_eq!(shop.thread().await.1.len(), 2);
        let other = v1::SendMessageRequest { text: "three left".to_owned(), ..request };
        assert_eq!(shop.messages().send_message(other).await.unwrap_err().code(), Code::AlreadyExists);
    })
    .await;
}

/// Acceptance case 33, for conversations and messages, in both directions.
#[tokio::test]
async fn lists_go_on_without_gap_or_repeat() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        for n in 0..23 {
            let from = format!("49151{:04}", n % 11);
            let body = written(&from, &format!("wamid.{n}"), n, &format!("line {n}"));
            shop.post(channel, &body).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut request = v1::ListConversationsRequest { page_size: 4, ..Default::default() };
        loop {
            let page = shop.conversations().list_conversations(request.clone()).await.unwrap().into_inner();
            assert_eq!(page.customers.len(), page.conversations.len());
            seen.extend(page.conversations.into_iter().map(|c| c.last_message_preview));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(seen, (12..23).rev().map(|n| format!("line {n}")).collect::<Vec<_>>());
        request.page_token = "x".to_owned();
        let refused = shop.conversations().list_conversations(request).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");

        let busiest = shop.inbox().await[0].clone();
        for oldest_first in [false, true] {
            let mut request = v1::ListMessagesRequest {
                conversation_id: busiest.id.to_string(),
                page_size: 1,
                oldest_first,
                ..Default::default()
            };
            let mut seqs = Vec::new();
            loop {
                let page = shop.messages().list_messages(request.clone()).await.unwrap().into_inner();
                seqs.extend(page.messages.iter().map(|message| message.seq));
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            let mut all: Vec<i64> = (1..=busiest.message_count).collect();
            if !oldest_first {
                all.reverse();
            }
            assert!(all.len() > 1);
            assert_eq!(seqs, all);
        }
    })
    .await;
}

/// Acceptance case 122, as far as assigning and releasing go, and what lists show of it.
#[tokio::test]
async fn filters_and_reading() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let conversation = begun(&shop).await;
        let list = async |request: v1::ListConversationsRequest| {
            shop.conversations().list_conversations(request).await.unwrap().into_inner().conversations.len()
        };
        let mine = v1::ListConversationsRequest { assignee_id: "me".to_owned(), ..Default::default() };
        assert_eq!(list(mine.clone()).await, 0);
        shop.conversations().assign_conversation(assign(&conversation)).await.unwrap();
        assert_eq!(list(mine).await, 1);
        let state = v1::ConversationState::Assigned.into();
        assert_eq!(list(v1::ListConversationsRequest { state, ..Default::default() }).await, 1);
        let state = v1::ConversationState::Open.into();
        assert_eq!(list(v1::ListConversationsRequest { state, ..Default::default() }).await, 0);
        let channel_id = conversation.channel_id.clone();
        assert_eq!(list(v1::ListConversationsRequest { channel_id, ..Default::default() }).await, 1);

        let earlier: switchboard::id::MessageId = shop.env.id();
        let read = |last_message_id: String| v1::MarkConversationReadRequest {
            conversation_id: conversation.id.clone(),
            last_message_id,
        };
        let mut wire = shop.conversations();
        let stale = wire.mark_conversation_read(read(earlier.to_string())).await.unwrap();
        assert_eq!(stale.get_ref().unread_count, 1);
        let done = wire.mark_conversation_read(read(conversation.last_message_id.clone())).await.unwrap();
        assert_eq!(done.get_ref().unread_count, 0);
        let release =
            v1::ReleaseConversationRequest { conversation_id: conversation.id.clone(), expected_version: 0 };
        let released = wire.release_conversation(release).await.unwrap().into_inner();
        assert_eq!((released.state(), released.assignee_id.as_str()), (v1::ConversationState::Open, ""));
    })
    .await;
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let other = Shop::in_store(&pair, shop.store.clone()).await;
        let conversation = begun(&shop).await;
        let message = conversation.last_message_id.clone();
        let id = conversation.id.clone();

        let get = v1::GetConversationRequest { conversation_id: id.clone() };
        assert_eq!(other.conversations().get_conversation(get).await.unwrap_err().code(), Code::NotFound);
        let list = v1::ListMessagesRequest { conversation_id: id, ..Default::default() };
        assert_eq!(other.messages().list_messages(list).await.unwrap_err().code(), Code::NotFound);
        let get = v1::GetMessageRequest { message_id: message };
        assert_eq!(other.messages().get_message(get).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(
            other.messages().send_message(say(&conversation, "x")).await.unwrap_err().code(),
            Code::NotFound
        );
        let refused = other.conversations().assign_conversation(assign(&conversation)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        let get = v1::GetCustomerRequest { customer_id: conversation.customer_id };
        assert_eq!(other.customers().get_customer(get).await.unwrap_err().code(), Code::NotFound);
    })
    .await;
}
