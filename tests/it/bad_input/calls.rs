//! Requests that are well-formed and wrong: the same refusal on both wires.

use serde_json::{Value, json};
use tonic::Code;

use super::world::{Said, World, refused, said};
use crate::support::both;

/// One wrong request, as gRPC and as REST.
struct Wrong {
    what: &'static str,
    method: &'static str,
    request: Value,
    rest: (&'static str, String, Value),
    token: String,
    code: Code,
    reason: &'static str,
    /// The field or the thing that the words must name.
    names: &'static str,
}

const INVALID: (Code, &str) = (Code::InvalidArgument, "INVALID_FIELD");

/// Acceptance cases 28, 31, 32, 33, 50, 52, 75 and 162, and the rest of what a request can get wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_request_is_refused_alike_on_both_wires_and_writes_nothing() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let stranger = world.app.sign_up("stranger@else.example").await;
        let viewer = world.app.join(&world.owner, "viewer@shop.example", "ROLE_VIEWER").await;
        let late = world.app.join(&world.owner, "late@shop.example", "ROLE_OPERATOR").await;
        world.sql("update session set expires_at = create_time where id = (select id from session order by id desc limit 1)").await;

        for wrong in table(&world, &stranger.token, &viewer.token, &late.token) {
            let before = world.rows().await;
            let (verb, path, body) = &wrong.rest;
            let bytes = body.to_string();
            let body = (*verb != "GET").then_some(bytes.as_bytes());
            let rest = world.rest(verb, path, &wrong.token, body).await;
            assert_ne!(rest.status / 100, 2, "{}: {}", wrong.what, rest.text());
            check(&wrong, "REST", &said(&rest));
            let answer = world.grpc(wrong.method, &wrong.token, wrong.request.clone()).await;
            let refusal = answer.err().unwrap_or_else(|| panic!("{}: not refused over gRPC", wrong.what));
            check(&wrong, "gRPC", &refused(refusal));
            assert_eq!(world.rows().await, before, "{}: something was written", wrong.what);
        }
        world.stop().await;
    })
    .await;
}

fn check(wrong: &Wrong, wire: &str, said: &Said) {
    let Wrong { what, code, reason, names, .. } = wrong;
    assert_eq!((said.code, said.reason.as_str()), (*code, *reason), "{what} over {wire}: {said:?}");
    assert!(said.words.contains(names), "{what} over {wire} does not name {names}: {said:?}");
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn table(world: &World, stranger: &str, viewer: &str, late: &str) -> Vec<Wrong> {
    let owner = world.owner.token.as_str();
    let forged = format!("sbs_{}", "a".repeat(43));
    let send = |what, conversation: &str, body: Value, token: &str, verdict: (Code, &'static str), names| {
        let mut request = body.clone();
        request["conversationId"] = conversation.into();
        Wrong {
            what,
            method: "SendMessage",
            request,
            rest: ("POST", format!("/v1/conversations/{conversation}/messages"), body),
            token: token.to_owned(),
            code: verdict.0,
            reason: verdict.1,
            names,
        }
    };
    let create = |what, body: Value, names| Wrong {
        what,
        method: "CreateChannel",
        request: body.clone(),
        rest: ("POST", "/v1/channels".to_owned(), body),
        token: owner.to_owned(),
        code: INVALID.0,
        reason: INVALID.1,
        names,
    };
    let draft = |what, token: &str, code, reason, names| Wrong {
        what,
        method: "GenerateSuggestion",
        request: json!({"conversationId": world.open.conversation}),
        rest: (
            "POST",
            format!("/v1/conversations/{}:generateSuggestion", world.open.conversation),
            json!({}),
        ),
        token: token.to_owned(),
        code,
        reason,
        names,
    };
    let list = |what, request: Value, query: &str, names| Wrong {
        what,
        method: "ListConversations",
        request,
        rest: ("GET", format!("/v1/conversations?{query}"), json!({})),
        token: owner.to_owned(),
        code: INVALID.0,
        reason: INVALID.1,
        names,
    };
    let hello = || json!({"text": "hello"});
    let open = world.open.conversation.as_str();
    let rejected = |reason| (Code::FailedPrecondition, reason);
    let unproven = (Code::Unauthenticated, "INVALID_TOKEN");
    let missing = (Code::NotFound, "NOT_FOUND");
    let nobodys = "con_01h2xcejqtf2nbrexx3vqjhp41";

    vec![
        send(
            "a message id for a conversation's",
            &world.open.message,
            hello(),
            owner,
            INVALID,
            "conversation",
        ),
        send("no id at all", "nonsense", hello(), owner, INVALID, "conversation_id"),
        send("an id that nobody has", nobodys, hello(), owner, missing, "conversation"),
        send(
            "a wrong prefix of an optional id",
            open,
            json!({"text": "x", "id": open}),
            owner,
            INVALID,
            "id",
        ),
        send(
            "a wrong prefix inside",
            open,
            json!({"text": "x", "precondition": {"lastMessageId": open}}),
            owner,
            INVALID,
            "precondition.last_message_id",
        ),
        send("4,001 characters", open, json!({"text": "ж".repeat(4001)}), owner, INVALID, "text"),
        send("no text", open, json!({"text": ""}), owner, INVALID, "text"),
        send("only spaces", open, json!({"text": "  \n\t"}), owner, INVALID, "text"),
        send(
            "an answer to another conversation's message",
            open,
            json!({"text": "x", "replyToId": world.closed.message}),
            owner,
            missing,
            "message",
        ),
        send("a closed window", &world.closed.conversation, hello(), owner, rejected("WINDOW_CLOSED"), ""),
        send(
            "a blocked customer",
            &world.blocked.conversation,
            hello(),
            owner,
            rejected("CUSTOMER_BLOCKED"),
            "",
        ),
        send(
            "a channel that is off",
            &world.unplugged.conversation,
            hello(),
            owner,
            rejected("CHANNEL_DISABLED"),
            "",
        ),
        send("another tenant's token", open, hello(), stranger, missing, "conversation"),
        send(
            "a role that may only read",
            open,
            hello(),
            viewer,
            (Code::PermissionDenied, "PERMISSION_REQUIRED"),
            "MANAGE_CONVERSATIONS",
        ),
        send("no credential", open, hello(), "", (Code::Unauthenticated, "UNAUTHENTICATED"), "sign in"),
        send("a forged token", open, hello(), &forged, unproven, "token"),
        send("an expired session", open, hello(), late, unproven, "token"),
        send("a token of no known shape", open, hello(), "abc", unproven, "token"),
        draft(
            "a draft for whom may only read",
            viewer,
            Code::PermissionDenied,
            "PERMISSION_REQUIRED",
            "MANAGE_CONVERSATIONS",
        ),
        draft("a draft for a stranger", stranger, missing.0, missing.1, "conversation"),
        create("no account", json!({"name": "x"}), "account"),
        create("no name", json!({"webhook": {}}), "name"),
        create(
            "secrets of another kind",
            json!({"name": "x", "webhook": {}, "telegramSecrets": {"botToken": "1:a"}}),
            "secrets",
        ),
        create(
            "a token that is none",
            json!({"name": "x", "telegram": {}, "telegramSecrets": {"botToken": "abc"}}),
            "bot_token",
        ),
        create(
            "a number that is none",
            json!({"name": "x", "whatsapp": {"phoneNumberId": "+49 151"}}),
            "phone_number_id",
        ),
        create("an id of another kind", json!({"id": open, "name": "x", "webhook": {}}), "id"),
        list("a negative page", json!({"pageSize": -1}), "page_size=-1", "page_size"),
        list("a page token that is none", json!({"pageToken": "xx"}), "page_token=xx", "page_token"),
        list("a state that is none", json!({"state": 99}), "state=99", "state"),
        list("a channel id that is none", json!({"channelId": "chn_1"}), "channel_id=chn_1", "channel_id"),
    ]
}
