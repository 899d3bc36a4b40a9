//! Webhook bodies in the shapes of the providers.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A customer, as a provider names one.
pub(super) struct Person<'a> {
    /// WhatsApp: a phone number, or a `CC.…` user id for someone without one. Telegram: a number.
    pub id: &'a str,
    pub name: &'a str,
}

/// The outside of every WhatsApp webhook.
pub(super) fn whatsapp(phone_number_id: &str, mut value: Value) -> Value {
    value["messaging_product"] = "whatsapp".into();
    value["metadata"] = json!({"display_phone_number": "15550001111", "phone_number_id": phone_number_id});
    let change = json!({"field": "messages", "value": value});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "920000000000001", "changes": [change]}]})
}

pub(super) fn whatsapp_message(
    account: &str,
    from: &Person<'_>,
    id: &str,
    at: DateTime<Utc>,
    text: &str,
) -> Value {
    let mut contact = json!({"profile": {"name": from.name}});
    let mut message = json!({
        "id": id,
        "timestamp": at.timestamp().to_string(),
        "type": "text",
        "text": {"body": text},
    });
    if is_user_id(from.id) {
        contact["user_id"] = from.id.into();
        message["from_user_id"] = from.id.into();
    } else {
        contact["wa_id"] = from.id.into();
        message["from"] = from.id.into();
    }
    whatsapp(account, json!({"contacts": [contact], "messages": [message]}))
}

/// A report about a message; `status` is one of WhatsApp's words.
pub(super) fn whatsapp_status(
    account: &str,
    recipient: &str,
    id: &str,
    correlation: Option<&str>,
    at: DateTime<Utc>,
    status: &str,
) -> Value {
    let mut report = json!({"id": id, "status": status, "timestamp": at.timestamp().to_string()});
    let recipient_member = if is_user_id(recipient) { "recipient_user_id" } else { "recipient_id" };
    report[recipient_member] = recipient.into();
    if let Some(correlation) = correlation {
        report["biz_opaque_callback_data"] = correlation.into();
    }
    whatsapp(account, json!({"statuses": [report]}))
}

/// `DE.7712049930012345`: two letters of a country, and no phone number at all.
fn is_user_id(id: &str) -> bool {
    id.as_bytes().get(2) == Some(&b'.')
}

pub(super) fn telegram_message(
    update_id: u64,
    message_id: u64,
    from: &Person<'_>,
    at: DateTime<Utc>,
    text: &str,
) -> Value {
    let id: Value = from.id.parse::<i64>().map_or_else(|_| from.id.into(), Value::from);
    json!({
        "update_id": update_id,
        "message": {
            "message_id": message_id,
            "date": at.timestamp(),
            "chat": {"id": id, "type": "private", "first_name": from.name},
            "from": {"id": id, "is_bot": false, "first_name": from.name},
            "text": text,
        },
    })
}

pub(super) fn webhook_message(id: &str, from: &Person<'_>, at: DateTime<Utc>, text: &str) -> Value {
    json!({
        "event_id": id,
        "type": "message",
        "sender": {"scheme": "crm_contact", "value": from.id, "display_name": from.name},
        "external_message_id": id,
        "occurred_at": at.to_rfc3339(),
        "content": {"text": text},
    })
}

pub(super) fn webhook_status(
    id: &str,
    message_id: &str,
    attempt: u64,
    at: DateTime<Utc>,
    status: &str,
) -> Value {
    json!({
        "event_id": id,
        "type": "status",
        "message_id": message_id,
        "attempt": attempt,
        "status": status,
        "occurred_at": at.to_rfc3339(),
    })
}
