//! One item of `messages` or `message_echoes`.

use serde_json::{Value, json};

use super::identities;
use crate::{
    channels::json::{items, text},
    domain::inbound::{Attachment, Identity, InboundMessage, MessageKind, What, scheme},
};

/// A customer's message, or what a customer did to one. `None` if it lacks what every message has.
pub(super) fn inbound(value: &Value, item: &Value) -> Option<(String, What)> {
    let mut from = identities(item, "from_user_id", "from_parent_user_id", "from");
    let contact = contact_of(value, item);
    if let Some(contact) = contact {
        // The contact knows names that the message left out.
        for identity in identities(contact, "user_id", "parent_user_id", "wa_id") {
            if from.iter().all(|known| known.scheme != identity.scheme) {
                from.push(identity);
            }
        }
    }
    let what = read(item, from, contact)?;
    Some((format!("message:{}", item["id"].as_str()?), what))
}

/// The same, written on the business's own phone: the customer is the one it went to.
pub(super) fn echo(_value: &Value, item: &Value) -> Option<(String, What)> {
    let to = identities(item, "to_user_id", "to_parent_user_id", "to");
    let what = match read(item, to, None)? {
        What::Message(message) => What::Echo(message),
        other => other,
    };
    Some((format!("message:{}", item["id"].as_str()?), what))
}

pub(super) fn needs_raw(what: &What) -> bool {
    match what {
        What::Message(message) | What::Echo(message) => message.kind == MessageKind::Unsupported,
        What::Unsupported { .. } => true,
        _ => false,
    }
}

/// The entry of `contacts` for the writer of a message. The `wa_id` may differ from the number.
fn contact_of<'a>(value: &'a Value, item: &Value) -> Option<&'a Value> {
    let same = |contact: &Value, one: &str, other: &str| {
        let (one, other) = (text(contact, one), text(item, other));
        one.is_some() && one == other
    };
    let contacts = items(value, "contacts");
    let named = contacts
        .iter()
        .find(|contact| same(contact, "user_id", "from_user_id") || same(contact, "wa_id", "from"));
    named.or(match contacts {
        [only] if text(only, "user_id").is_none() || text(item, "from_user_id").is_none() => Some(only),
        _ => None,
    })
}

fn read(item: &Value, from: Vec<Identity>, contact: Option<&Value>) -> Option<What> {
    let external_id = text(item, "id")?;
    if from.is_empty() {
        return None;
    }
    let kind = item["type"].as_str().unwrap_or("unsupported");
    let content = &item[kind];
    match kind {
        "reaction" => {
            let target_external_id = text(content, "message_id")?;
            return Some(What::Reaction { target_external_id, emoji: text(content, "emoji"), from });
        }
        "edit" => {
            let external_id = original(content)?;
            return Some(What::Edit { external_id, text: edited_text(content), from });
        }
        "revoke" => return Some(What::Revoke { external_id: original(content)?, from }),
        "system" => return Some(system(content, from)),
        _ => {}
    }
    let (kind, text_of, details) = content_of(kind, content);
    let attachments = attachment(kind, content).into_iter().collect();
    Some(What::Message(InboundMessage {
        name: contact.and_then(|contact| text(&contact["profile"], "name")),
        username: contact.and_then(|contact| text(&contact["profile"], "username")),
        conversation: text(item, "group_id"),
        group: item.get("group_id").is_some(),
        external_id,
        kind,
        text: text_of,
        attachments,
        reply_to: text(&item["context"], "id"),
        forwarded: ["forwarded", "frequently_forwarded"].iter().any(|flag| item["context"][flag] == true),
        details: with_referral(details, item.get("referral")),
        from,
    }))
}

fn content_of(kind: &str, content: &Value) -> (MessageKind, Option<String>, Option<Value>) {
    let caption = || text(content, "caption");
    match kind {
        "text" => (MessageKind::Text, text(content, "body"), None),
        "image" => (MessageKind::Image, caption(), None),
        "video" => (MessageKind::Video, caption(), None),
        "audio" if content["voice"] == true => (MessageKind::Voice, None, None),
        "audio" => (MessageKind::Audio, None, None),
        "document" => (MessageKind::Document, caption(), None),
        "sticker" => (MessageKind::Sticker, None, None),
        "location" => (MessageKind::Location, text(content, "name"), Some(json!({"location": content}))),
        "contacts" => (MessageKind::Contacts, None, Some(json!({"contacts": content}))),
        "order" => (MessageKind::Order, text(content, "text"), Some(json!({"order": content}))),
        "button" => (MessageKind::Button, text(content, "text"), Some(json!({"button": content}))),
        "interactive" => {
            let reply = ["button_reply", "list_reply", "nfm_reply"].iter().find_map(|kind| content.get(kind));
            let label = reply.and_then(|reply| text(reply, "title").or_else(|| text(reply, "body")));
            (MessageKind::Button, label, Some(json!({"interactive": content})))
        }
        _ => (MessageKind::Unsupported, None, None),
    }
}

fn attachment(kind: MessageKind, content: &Value) -> Option<Attachment> {
    use MessageKind::{Audio, Document, Image, Sticker, Video, Voice};
    if !matches!(kind, Image | Video | Audio | Voice | Document | Sticker) {
        return None;
    }
    Some(Attachment {
        kind,
        external_id: Some(text(content, "id")?),
        url: None,
        mime: text(content, "mime_type"),
        name: text(content, "filename"),
        size: content["file_size"].as_u64(),
        sha256: text(content, "sha256"),
    })
}

fn with_referral(details: Option<Value>, referral: Option<&Value>) -> Option<Value> {
    let Some(referral) = referral else { return details };
    let mut details = details.unwrap_or_else(|| json!({}));
    details["referral"] = referral.clone();
    Some(details)
}

fn original(content: &Value) -> Option<String> {
    text(content, "original_message_id").or_else(|| text(content, "message_id"))
}

/// The words after an edit: a text, or the caption of a file.
fn edited_text(content: &Value) -> Option<String> {
    let message = content.get("message").unwrap_or(content);
    let captioned = ["image", "video", "document"].iter().find_map(|kind| text(&message[kind], "caption"));
    text(&message["text"], "body").or(captioned)
}

fn system(content: &Value, from: Vec<Identity>) -> What {
    let kind = content["type"].as_str().unwrap_or("system");
    let phone = text(content, "wa_id").or_else(|| text(content, "new_wa_id"));
    let to: Vec<_> = [(scheme::WHATSAPP_USER, text(content, "user_id")), (scheme::WHATSAPP, phone)]
        .into_iter()
        .filter_map(|(scheme, value)| Some(Identity::new(scheme, value?)))
        .collect();
    match kind {
        "user_changed_number" | "customer_changed_number" | "user_changed_user_id" if !to.is_empty() => {
            What::IdentityChanged { from, to }
        }
        _ => What::Unsupported { kind: format!("system.{kind}") },
    }
}
