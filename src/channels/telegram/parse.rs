//! From one update to facts.

mod message;

use serde_json::{Value, json};

use crate::{
    channels::{
        NotParsable,
        json::{hash_key, items, object, text, unix_time},
    },
    domain::inbound::{Fact, Identity, InboundMessage, MessageKind, What, scheme},
};

pub(super) fn parse(body: &[u8]) -> Result<Vec<Fact>, NotParsable> {
    let update = Value::Object(object(body)?);
    let read = match kind(&update) {
        Some("message") => message::read(&update["message"]),
        Some("edited_message") => edit(&update["edited_message"]),
        Some("callback_query") => button(&update["callback_query"]),
        Some("my_chat_member") => membership(&update["my_chat_member"]),
        Some("message_reaction") => reaction(&update["message_reaction"]),
        _ => None,
    };
    // Ids restart at random after a quiet week, so they are only ever compared for equality.
    let dedupe_key = match update["update_id"].as_i64() {
        Some(id) => format!("update:{id}"),
        None => hash_key(&update),
    };
    let content = kind(&update).map_or(&Value::Null, |kind| &update[kind]);
    let at = unix_time(content.get("edit_date").or_else(|| content.get("date")));
    let what =
        read.unwrap_or_else(|| What::Unsupported { kind: kind(&update).unwrap_or("update").to_owned() });
    let understood = match &what {
        What::Unsupported { .. } => false,
        What::Message(message) => message.kind != MessageKind::Unsupported,
        _ => true,
    };
    let raw = (!understood).then_some(update);
    Ok(vec![Fact { dedupe_key, at, account: None, what, raw }])
}

/// An update holds one member beside its id.
fn kind(update: &Value) -> Option<&str> {
    update.as_object()?.keys().map(String::as_str).find(|member| *member != "update_id")
}

/// Messages are numbered per chat only.
fn external_id(chat: &Value, message_id: &Value) -> Option<String> {
    Some(format!("{}:{}", chat["id"].as_i64()?, message_id.as_i64()?))
}

fn person(user: &Value) -> Option<Vec<Identity>> {
    Some(vec![Identity::new(scheme::TELEGRAM, user["id"].as_i64()?.to_string())])
}

fn name(user: &Value) -> Option<String> {
    let names = ["first_name", "last_name"].map(|member| text(user, member));
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// May be set off by changes that nobody sees; whoever stores it compares the text.
fn edit(message: &Value) -> Option<What> {
    Some(What::Edit {
        external_id: external_id(&message["chat"], &message["message_id"])?,
        text: text(message, "text").or_else(|| text(message, "caption")),
        from: person(&message["from"])?,
    })
}

fn button(query: &Value) -> Option<What> {
    let id = text(query, "id")?;
    let (user, message) = (&query["from"], &query["message"]);
    let data = text(query, "data");
    let rows = items(&message["reply_markup"], "inline_keyboard").iter();
    let label = rows
        .filter_map(Value::as_array)
        .flatten()
        .find(|button| data.is_some() && text(button, "callback_data") == data)
        .and_then(|button| text(button, "text"));
    let chat = &message["chat"];
    Some(What::Message(InboundMessage {
        from: person(user)?,
        name: name(user),
        username: text(user, "username"),
        conversation: chat["id"].as_i64().map(|id| id.to_string()),
        group: message::is_group(chat),
        external_id: format!("callback:{id}"),
        kind: MessageKind::Button,
        text: label.or_else(|| data.clone()),
        attachments: Vec::new(),
        reply_to: external_id(chat, &message["message_id"]),
        forwarded: false,
        details: Some(json!({"callback_query_id": id, "data": data})),
    }))
}

fn membership(change: &Value) -> Option<What> {
    if change["chat"]["type"] != "private" {
        return None;
    }
    let from = person(&change["from"])?;
    match (change["old_chat_member"]["status"].as_str(), change["new_chat_member"]["status"].as_str()) {
        (_, Some("kicked" | "left")) => Some(What::BlockedUs { from }),
        (Some("kicked" | "left"), Some("member")) => Some(What::UnblockedUs { from }),
        _ => None,
    }
}

fn reaction(change: &Value) -> Option<What> {
    let emoji = |reaction: &Value| text(reaction, "emoji").or_else(|| text(reaction, "custom_emoji_id"));
    Some(What::Reaction {
        target_external_id: external_id(&change["chat"], &change["message_id"])?,
        emoji: items(change, "new_reaction").last().and_then(emoji),
        from: person(&change["user"])?,
    })
}
