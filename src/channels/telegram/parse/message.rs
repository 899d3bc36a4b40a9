//! One message of a chat.

use serde_json::{Map, Value};

use super::{external_id, name, person};
use crate::{
    channels::json::{items, text},
    domain::inbound::{Attachment, InboundMessage, MessageKind, What},
};

/// Content that we know no shape for, but that a person sent and an operator must see.
const OTHER_CONTENT: [&str; 6] = ["poll", "dice", "game", "story", "paid_media", "checklist"];

/// `None` for what no person wrote: joins, pins, migrations, other bots.
pub(super) fn read(message: &Value) -> Option<What> {
    let (chat, user) = (&message["chat"], &message["from"]);
    if user["is_bot"] == true {
        return None;
    }
    let (kind, file) = content(message)?;
    let file = file.and_then(|file| attachment(kind, file));
    Some(What::Message(InboundMessage {
        from: person(user)?,
        name: name(user),
        username: text(user, "username"),
        conversation: Some(chat["id"].as_i64()?.to_string()),
        group: is_group(chat),
        external_id: external_id(chat, &message["message_id"])?,
        kind,
        text: text(message, "text").or_else(|| text(message, "caption")),
        attachments: file.into_iter().collect(),
        reply_to: external_id(chat, &message["reply_to_message"]["message_id"]),
        forwarded: ["forward_origin", "forward_date"].iter().any(|member| message.get(member).is_some()),
        details: details(message),
    }))
}

pub(super) fn is_group(chat: &Value) -> bool {
    chat["type"].as_str().is_some_and(|kind| kind != "private")
}

fn content(message: &Value) -> Option<(MessageKind, Option<&Value>)> {
    let has = |member: &str| message.get(member);
    if text(message, "text").is_some() {
        return Some((MessageKind::Text, None));
    }
    for (member, kind) in [
        ("video", MessageKind::Video),
        ("video_note", MessageKind::Video),
        // Comes with a `document` of the same file.
        ("animation", MessageKind::Video),
        ("audio", MessageKind::Audio),
        ("voice", MessageKind::Voice),
        ("document", MessageKind::Document),
        ("sticker", MessageKind::Sticker),
    ] {
        if let Some(file) = has(member) {
            return Some((kind, Some(file)));
        }
    }
    // Sizes of the same picture, the largest last.
    if let Some(largest) = items(message, "photo").last() {
        return Some((MessageKind::Image, Some(largest)));
    }
    if has("location").or_else(|| has("venue")).is_some() {
        return Some((MessageKind::Location, None));
    }
    if has("contact").is_some() {
        return Some((MessageKind::Contacts, None));
    }
    OTHER_CONTENT.iter().any(|member| has(member).is_some()).then_some((MessageKind::Unsupported, None))
}

fn attachment(kind: MessageKind, file: &Value) -> Option<Attachment> {
    let mime =
        text(file, "mime_type").or_else(|| (kind == MessageKind::Image).then(|| "image/jpeg".to_owned()));
    Some(Attachment {
        kind,
        external_id: Some(text(file, "file_id")?),
        url: None,
        mime,
        name: text(file, "file_name"),
        size: file["file_size"].as_u64(),
        sha256: None,
    })
}

fn details(message: &Value) -> Option<Value> {
    let mut details = Map::new();
    for member in ["location", "venue", "contact", "media_group_id"] {
        if let Some(value) = message.get(member) {
            details.insert(member.to_owned(), value.clone());
        }
    }
    if is_group(&message["chat"]) {
        details.insert("chat_type".to_owned(), message["chat"]["type"].clone());
    }
    (!details.is_empty()).then_some(Value::Object(details))
}
