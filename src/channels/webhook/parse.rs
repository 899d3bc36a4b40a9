//! Events of an integrator. Our own format, so what breaks it is told by the member's path.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    channels::{NotParsable, json::object},
    domain::{
        delivery::{DeliveryStatus, Reason},
        inbound::{Attachment, DeliveryUpdate, Fact, Identity, InboundMessage, MessageKind, What},
    },
};

const MAX_NAME: usize = 255;

#[derive(Deserialize)]
struct Message {
    sender: Sender,
    external_message_id: Option<String>,
    conversation_id: Option<String>,
    reply_to: Option<String>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize)]
struct Sender {
    scheme: String,
    value: String,
    display_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Content {
    text: Option<String>,
    #[serde(default)]
    attachments: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    url: String,
    mime: Option<String>,
    name: Option<String>,
    size: Option<u64>,
}

#[derive(Deserialize)]
struct Status {
    message_id: Option<String>,
    external_message_id: Option<String>,
    attempt: Option<u32>,
    status: String,
    reason: Option<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    class: Option<String>,
    detail: Option<String>,
}

const fn wrong(field: &'static str, problem: &'static str) -> NotParsable {
    NotParsable { field, problem }
}

pub(super) fn parse(body: &[u8]) -> Result<Fact, NotParsable> {
    let event = Value::Object(object(body)?);
    let event_id = event["event_id"].as_str().unwrap_or_default();
    if event_id.is_empty() || event_id.len() > MAX_NAME {
        return Err(wrong("event_id", "must be a text of 1 to 255 bytes"));
    }
    let dedupe_key = format!("event:{event_id}");
    let at = time(&event["occurred_at"])?;
    let kind = event["type"].as_str().ok_or(wrong("type", "must be a text"))?;
    let what = match kind {
        "message" => message(&event, event_id)?,
        "status" => status(&event)?,
        _ => What::Unsupported { kind: kind.chars().take(MAX_NAME).collect() },
    };
    let raw = matches!(what, What::Unsupported { .. }).then_some(event);
    Ok(Fact { dedupe_key, at, account: None, what, raw })
}

fn time(value: &Value) -> Result<Option<DateTime<Utc>>, NotParsable> {
    let wrong = wrong("occurred_at", "must be an RFC 3339 time");
    match value {
        Value::Null => Ok(None),
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(at) => Ok(Some(at.to_utc())),
            Err(_) => Err(wrong),
        },
        _ => Err(wrong),
    }
}

fn message(event: &Value, event_id: &str) -> Result<What, NotParsable> {
    let Message { sender, external_message_id, conversation_id, reply_to, content } =
        Message::deserialize(event)
            .map_err(|_| wrong("body", "is not a message event: see sender and content"))?;
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if sender.scheme.is_empty() || sender.scheme.len() > 64 || !sender.scheme.bytes().all(word) {
        return Err(wrong("sender.scheme", "must be 1 to 64 of a-z, 0-9 and _"));
    }
    if sender.value.is_empty() || sender.value.len() > MAX_NAME {
        return Err(wrong("sender.value", "must be a text of 1 to 255 bytes"));
    }
    for (field, id) in [("external_message_id", &external_message_id), ("conversation_id", &conversation_id)]
    {
        if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_NAME) {
            return Err(wrong(field, "must be a text of 1 to 255 bytes"));
        }
    }
    let text = content.text.filter(|text| !text.trim().is_empty());
    let attachments: Vec<_> = content.attachments.into_iter().map(attachment).collect();
    let kind = match (&text, attachments.first()) {
        (None, None) => return Err(wrong("content", "must hold a text or an attachment")),
        (_, Some(file)) => file.kind,
        (Some(_), None) => MessageKind::Text,
    };
    Ok(What::Message(InboundMessage {
        from: vec![Identity { scheme: sender.scheme, value: sender.value }],
        name: sender.display_name.filter(|name| !name.trim().is_empty()),
        username: None,
        conversation: conversation_id,
        group: false,
        external_id: external_message_id.unwrap_or_else(|| event_id.to_owned()),
        kind,
        text,
        attachments,
        reply_to,
        forwarded: false,
        details: None,
    }))
}

fn attachment(file: File) -> Attachment {
    let File { url, mime, name, size } = file;
    let kind = match mime.as_deref().and_then(|mime| mime.split('/').next()) {
        Some("image") => MessageKind::Image,
        Some("video") => MessageKind::Video,
        Some("audio") => MessageKind::Audio,
        _ => MessageKind::Document,
    };
    Attachment { kind, external_id: None, url: Some(url), mime, name, size, sha256: None }
}

fn status(event: &Value) -> Result<What, NotParsable> {
    let Status { message_id, external_message_id, attempt, status, reason } = Status::deserialize(event)
        .map_err(|_| wrong("body", "is not a status event: see message_id and status"))?;
    if message_id.is_none() && external_message_id.is_none() {
        return Err(wrong("message_id", "must be given, or external_message_id"));
    }
    let status = match status.as_str() {
        "sent" => DeliveryStatus::Sent,
        "delivered" => DeliveryStatus::Delivered,
        "read" => DeliveryStatus::Read,
        "failed" => DeliveryStatus::Failed,
        _ => return Err(wrong("status", "must be sent, delivered, read or failed")),
    };
    let failed = status == DeliveryStatus::Failed;
    let class = reason.as_ref().and_then(|cause| Reason::from_text(cause.class.as_deref()?));
    Ok(What::Status(DeliveryUpdate {
        external_id: external_message_id,
        correlation: message_id,
        attempt,
        status,
        reason: failed.then(|| class.unwrap_or(Reason::ProviderError)),
        detail: reason.and_then(|cause| cause.detail),
        to: Vec::new(),
    }))
}
