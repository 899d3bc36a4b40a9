use super::*;
use crate::channels::whatsapp_accounts;
use crate::domain::{
    delivery::{DeliveryStatus, Reason},
    inbound::{DeliveryUpdate, Identity, InboundMessage, MessageKind, scheme},
};

macro_rules! example {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/channels/", $name, ".json"))
    };
}

/// A change's `value` in the envelope that it comes in.
fn enveloped(value: &str) -> String {
    let mut value: Value = serde_json::from_str(value).unwrap();
    value["metadata"] = json!({"phone_number_id": "810000000000007"});
    let change = json!({"field": "messages", "value": value});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).to_string()
}

fn message(what: What) -> InboundMessage {
    match what {
        What::Message(message) => message,
        other => panic!("no message: {other:?}"),
    }
}

fn status(what: What) -> DeliveryUpdate {
    match what {
        What::Status(status) => status,
        other => panic!("no status: {other:?}"),
    }
}

fn ivo() -> Vec<Identity> {
    vec![Identity::new(scheme::WHATSAPP_USER, "DE.5550001"), Identity::new(scheme::WHATSAPP, "4915112345678")]
}

fn oleg() -> Vec<Identity> {
    vec![Identity::new(scheme::TELEGRAM, "5012345678")]
}

#[test]
fn example_1_text_from_someone_without_a_phone() {
    let fact = only(&whatsapp(), example!("01-whatsapp-text"));
    assert_eq!(fact.account.as_deref(), Some("810000000000007"));
    assert_eq!(fact.at.unwrap().timestamp(), 1_789_990_001);
    assert_eq!(fact.dedupe_key, "message:wamid.EXAMPLE0001");
    assert!(whatsapp().owns(&fact) && fact.raw.is_none());
    let message = message(fact.what);
    assert_eq!(message.from, [Identity::new(scheme::WHATSAPP_USER, "DE.7712049930012345")]);
    assert_eq!((message.name.as_deref(), message.username.as_deref()), (Some("Lena"), Some("lena.k")));
    assert_eq!(message.text.as_deref(), Some("Is the blue one in stock? 😀"));
    assert_eq!(message.kind, MessageKind::Text);
}

/// Channel conformance 6, and example 2: nothing of a batch is lost, and its order is kept.
#[test]
fn example_2_every_item_of_a_batch() {
    let facts = facts(&whatsapp(), example!("02-whatsapp-batch"));
    let [first, second, third] = <[Fact; 3]>::try_from(facts).unwrap();
    let first = message(first.what);
    assert_eq!((first.external_id.as_str(), first.text.as_deref()), ("wamid.EXAMPLE0002", Some("front")));
    assert_eq!(first.from, ivo());
    assert_eq!(first.attachments[0].external_id.as_deref(), Some("301000000000001"));
    assert_eq!(first.attachments[0].mime.as_deref(), Some("image/jpeg"));
    assert_eq!(message(second.what).external_id, "wamid.EXAMPLE0003");
    assert_eq!(third.dedupe_key, "status:wamid.OUT0007:read");
    let read = status(third.what);
    assert_eq!((read.status, read.correlation.as_deref()), (DeliveryStatus::Read, Some("msg_01J8ZK")));
    assert_eq!((read.external_id.as_deref(), read.attempt), (Some("wamid.OUT0007"), Some(1)));
    assert_eq!(read.to, ivo());
}

#[test]
fn example_3_a_failure_has_a_reason() {
    let failed = status(what(&whatsapp(), example!("03-whatsapp-window-closed")));
    assert_eq!((failed.status, failed.reason), (DeliveryStatus::Failed, Some(Reason::WindowClosed)));
    assert!(failed.detail.unwrap().contains("More than 24 hours have passed"));
}

#[test]
fn examples_4_to_6_choice_reaction_and_new_number() {
    let chosen = message(what(&whatsapp(), &enveloped(example!("04-whatsapp-list-reply"))));
    assert_eq!((chosen.kind, chosen.text.as_deref()), (MessageKind::Button, Some("Tue 10:00")));
    assert_eq!(chosen.reply_to.as_deref(), Some("wamid.OUT0009"));
    assert_eq!(chosen.details.unwrap()["interactive"]["list_reply"]["id"], "slot_tue_10");

    let reaction = what(&whatsapp(), &enveloped(example!("05-whatsapp-reaction-removed")));
    let target_external_id = "wamid.OUT0009".to_owned();
    assert_eq!(reaction, What::Reaction { target_external_id, emoji: None, from: ivo() });

    let moved = what(&whatsapp(), &enveloped(example!("06-whatsapp-number-change")));
    let from = vec![Identity::new(scheme::WHATSAPP, "4915112345678")];
    let to = vec![Identity::new(scheme::WHATSAPP, "4915187654321")];
    assert_eq!(moved, What::IdentityChanged { from, to });
}

/// Channel conformance 17.
#[test]
fn example_7_an_echo_is_not_a_customers_message() {
    let What::Echo(echo) = what(&whatsapp(), example!("07-whatsapp-echo")) else { panic!("no echo") };
    assert_eq!(echo.from, [Identity::new(scheme::WHATSAPP, "4915112345678")]);
    assert_eq!(echo.text.as_deref(), Some("I will call you in 5 minutes"));
}

#[test]
fn whatsapp_edits_and_revokes_name_the_original() {
    let item = |kind: &str, content: Value| {
        let mut item = json!({"from": "4915112345678", "id": "wamid.E", "timestamp": "1", "type": kind});
        item[kind] = content;
        enveloped(&json!({"messages": [item]}).to_string())
    };
    let from = vec![Identity::new(scheme::WHATSAPP, "4915112345678")];
    let edited =
        json!({"original_message_id": "wamid.1", "message": {"type": "text", "text": {"body": "two"}}});
    let external_id = "wamid.1".to_owned();
    let expected =
        What::Edit { external_id: external_id.clone(), text: Some("two".to_owned()), from: from.clone() };
    assert_eq!(what(&whatsapp(), &item("edit", edited)), expected);
    let revoked = what(&whatsapp(), &item("revoke", json!({"original_message_id": "wamid.1"})));
    assert_eq!(revoked, What::Revoke { external_id, from });
}

/// Acceptance case 24.
#[test]
fn whatsapp_as_the_seed_read_it() {
    let value = r#"{"contacts":[{"profile":{"name":"Test User"},"wa_id":"15551234567"}],"messages":[
        {"from":"15551234567","id":"wamid.test123","timestamp":"1789990001","type":"text","text":{"body":"Hello"}},
        {"from":"15551234567","id":"wamid.b","timestamp":"1789990002","type":"interactive",
         "interactive":{"type":"button_reply","button_reply":{"id":"y","title":"Yes"}}}]}"#;
    let facts = facts(&whatsapp(), &enveloped(value));
    let [hello, button] = <[Fact; 2]>::try_from(facts).unwrap();
    let hello = message(hello.what);
    assert_eq!((hello.external_id.as_str(), hello.name.as_deref()), ("wamid.test123", Some("Test User")));
    assert_eq!(message(button.what).text.as_deref(), Some("Yes"));

    let other = json!({"object": "instagram", "entry": []}).to_string();
    let fact = only(&whatsapp(), &other);
    assert_eq!(fact.what, What::Unsupported { kind: "envelope".to_owned() });
    assert_eq!(fact.raw.unwrap()["object"], "instagram");
}

/// Channel conformance 6 and 11: the rest of a batch is handled, the unknown is kept, the account is told.
#[test]
fn what_is_not_understood_is_kept() {
    let value = json!({"messages": [
        {"from": "1", "id": "wamid.p", "timestamp": "5", "type": "hologram", "hologram": {"x": 1}},
        {"id": "wamid.nobody", "timestamp": "5", "type": "text", "text": {"body": "x"}},
        "not an object",
        {"from": "1", "id": "wamid.t", "type": "text", "text": {"body": "ok"}, "timestamp": "not a time"},
    ], "statuses": [{"id": "wamid.o", "status": "teleported"}], "calls": [{"id": "c"}]});
    let facts = facts(&whatsapp(), &enveloped(&value.to_string()));
    let kinds: Vec<_> = facts
        .iter()
        .map(|fact| match &fact.what {
            What::Message(message) => message.kind.as_str().to_owned(),
            What::Unsupported { kind } => format!("? {kind}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["? messages.calls", "unsupported", "? messages", "? messages", "text", "? statuses"]);
    assert!(facts.iter().all(|fact| (fact.raw.is_some()) != (fact.dedupe_key == "message:wamid.t")));
    assert_eq!(facts[1].raw.as_ref().unwrap()["hologram"]["x"], 1);
    assert_eq!(facts[4].at, None);

    let foreign = example!("02-whatsapp-batch").replacen("810000000000007", "999", 1);
    let facts = self::facts(&whatsapp(), &foreign);
    assert_eq!(facts.iter().map(|fact| whatsapp().owns(fact)).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(facts[0].raw.as_ref().unwrap()["id"], "wamid.EXAMPLE0002");
    assert_eq!(whatsapp_accounts(foreign.as_bytes()).unwrap(), ["810000000000007", "999"]);

    let template = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [
        {"field": "message_template_status_update", "value": {"event": "APPROVED"}}]}]});
    let fact = only(&whatsapp(), &template.to_string());
    assert_eq!(fact.what, What::Unsupported { kind: "message_template_status_update".to_owned() });
}

#[test]
fn the_same_bytes_have_the_same_keys() {
    for body in [example!("02-whatsapp-batch").to_owned(), enveloped(r#"{"calls":[{"id":"c"}]}"#)] {
        let keys =
            |body: &str| facts(&whatsapp(), body).into_iter().map(|fact| fact.dedupe_key).collect::<Vec<_>>();
        assert_eq!(keys(&body), keys(&body));
    }
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in ["", "null", "[]", "{\"a\":", "\u{feff}{}"] {
        assert!(whatsapp().parse(body.as_bytes()).is_err(), "{body}");
        assert!(telegram().parse(body.as_bytes()).is_err(), "{body}");
        assert!(webhook().parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn example_9_a_telegram_message_quotes_ours() {
    let fact = only(&telegram(), example!("09-telegram-message"));
    assert_eq!((fact.dedupe_key.as_str(), fact.at.unwrap().timestamp()), ("update:700100201", 1_789_990_500));
    let message = message(fact.what);
    assert_eq!(message.from, oleg());
    assert_eq!(
        (message.external_id.as_str(), message.reply_to.as_deref()),
        ("5012345678:88", Some("5012345678:85"))
    );
    assert_eq!((message.conversation.as_deref(), message.group), (Some("5012345678"), false));
    assert_eq!(message.text.as_deref(), Some("Сколько стоит доставка?"));
    assert_eq!((message.name.as_deref(), message.username.as_deref()), (Some("Oleg"), Some("oleg_b")));
}

#[test]
fn examples_10_to_12_edit_button_and_block() {
    let edit = what(&telegram(), example!("10-telegram-edit"));
    let text = Some("Сколько стоит доставка в Казань?".to_owned());
    assert_eq!(edit, What::Edit { external_id: "5012345678:88".to_owned(), text, from: oleg() });

    let facts = facts(&telegram(), example!("11-telegram-button"));
    let answer = json!({"method": "answerCallbackQuery", "callback_query_id": "4382bfdwdsb323b2d9"});
    assert_eq!(telegram().receipt(&facts), answer);
    let pressed = message(facts.into_iter().next().unwrap().what);
    assert_eq!((pressed.kind, pressed.text.as_deref()), (MessageKind::Button, Some("plan:pro")));
    assert_eq!(pressed.reply_to.as_deref(), Some("5012345678:90"));

    assert_eq!(what(&telegram(), example!("12-telegram-blocked")), What::BlockedUs { from: oleg() });
}

/// Acceptance case 22.
#[test]
fn telegram_as_the_seed_read_it() {
    let group = json!({"update_id": 1, "message": {"message_id": 5, "date": 1,
        "chat": {"id": -1_001_234_567_890_i64, "type": "supergroup"}, "from": {"id": 200_300}, "text": "hi"}});
    let group = message(what(&telegram(), &group.to_string()));
    assert_eq!(group.conversation.as_deref(), Some("-1001234567890"));
    assert_eq!(group.from, [Identity::new(scheme::TELEGRAM, "200300")]);
    assert!(group.group);
    assert_eq!(group.details.unwrap()["chat_type"], "supergroup");

    let joined = json!({"update_id": 2, "message": {"message_id": 6, "date": 1, "chat": {"id": 1, "type": "group"},
        "from": {"id": 1}, "new_chat_members": []}});
    for body in [joined.to_string(), "{}".to_owned(), r#"{"update_id":3,"poll":{}}"#.to_owned()] {
        let fact = only(&telegram(), &body);
        assert!(matches!(fact.what, What::Unsupported { .. }) && fact.raw.is_some(), "{body}");
    }
}

#[test]
fn telegram_files_captions_and_reactions() {
    let photo = json!({"update_id": 4, "message": {"message_id": 7, "date": 1, "chat": {"id": 9, "type": "private"},
        "from": {"id": 9, "first_name": "Ann", "last_name": "Lee"}, "caption": "look", "media_group_id": "77",
        "photo": [{"file_id": "small"}, {"file_id": "large", "file_size": 9000}]}});
    let photo = message(what(&telegram(), &photo.to_string()));
    assert_eq!((photo.kind, photo.text.as_deref()), (MessageKind::Image, Some("look")));
    assert_eq!(photo.attachments[0].external_id.as_deref(), Some("large"));
    assert_eq!(photo.name.as_deref(), Some("Ann Lee"));
    assert_eq!(photo.details.unwrap()["media_group_id"], "77");

    let liked = |reactions: Value| {
        let body = json!({"update_id": 5, "message_reaction": {"chat": {"id": 9}, "message_id": 7, "date": 1,
            "user": {"id": 9}, "old_reaction": [], "new_reaction": reactions}});
        match what(&telegram(), &body.to_string()) {
            What::Reaction { target_external_id, emoji, .. } => (target_external_id, emoji),
            other => panic!("no reaction: {other:?}"),
        }
    };
    let set = json!([{"type": "emoji", "emoji": "👍"}]);
    assert_eq!(liked(set), ("9:7".to_owned(), Some("👍".to_owned())));
    assert_eq!(liked(json!([])), ("9:7".to_owned(), None));
}

#[test]
fn example_21_an_integrators_message() {
    let fact = only(&webhook(), example!("21-webhook-message"));
    assert_eq!(fact.dedupe_key, "event:evt-2026-000017");
    assert_eq!(fact.at.unwrap().to_rfc3339(), "2026-09-20T10:11:12+00:00");
    let message = message(fact.what);
    assert_eq!(message.from, [Identity::new("crm_contact", "C-4711")]);
    assert_eq!((message.external_id.as_str(), message.name.as_deref()), ("x-991", Some("Mara")));
    assert_eq!(message.attachments[0].url.as_deref(), Some("https://files.example/1.pdf"));
    assert_eq!((message.kind, message.attachments[0].size), (MessageKind::Document, Some(18231)));
}

#[test]
fn example_22_an_integrators_status() {
    let failed = status(what(&webhook(), example!("22-webhook-status")));
    assert_eq!((failed.correlation.as_deref(), failed.attempt), (Some("msg_01J8ZN"), Some(1)));
    assert_eq!((failed.status, failed.reason), (DeliveryStatus::Failed, Some(Reason::RecipientUnreachable)));
    assert_eq!(failed.detail.as_deref(), Some("number not in service"));
}

#[test]
fn an_integrator_is_told_which_member_is_wrong() {
    let good: Value = serde_json::from_str(example!("21-webhook-message")).unwrap();
    let field = |path: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(path).unwrap() = value;
        webhook().parse(event.to_string().as_bytes()).err().map(|error| error.field)
    };
    assert_eq!(field("/event_id", json!("")), Some("event_id"));
    assert_eq!(field("/event_id", json!("x".repeat(256))), Some("event_id"));
    assert_eq!(field("/type", json!(3)), Some("type"));
    assert_eq!(field("/sender/scheme", json!("CRM contact")), Some("sender.scheme"));
    assert_eq!(field("/sender/value", json!("")), Some("sender.value"));
    assert_eq!(field("/occurred_at", json!("yesterday")), Some("occurred_at"));
    assert_eq!(field("/content", json!({"text": "  "})), Some("content"));
    assert_eq!(field("/sender", json!("Mara")), Some("body"));
    assert_eq!(field("/type", json!("typing")), None);
}
