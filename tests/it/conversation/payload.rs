//! Webhooks as the messengers send them.

#![expect(clippy::needless_pass_by_value, reason = "payloads are written out with json!")]

use serde_json::{Value, json};

/// When the tests' stories begin: the time in the payloads of the first message.
pub const BEGIN: i64 = 1_789_990_000;

pub const NUMBER: &str = "810000000000007";

/// A delivery of WhatsApp with these values of `field`.
pub fn whatsapp_of(number: &str, field: &str, values: Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550001111", "phone_number_id": number},
    });
    value.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "920000000000001", "changes": [{"field": field, "value": value}]}],
    })
}

pub fn whatsapp(values: Value) -> Value {
    whatsapp_of(NUMBER, "messages", values)
}

/// One item of `messages`: a text of `from`, `second` seconds into the story.
pub fn text(from: &str, id: &str, second: i64, text: &str) -> Value {
    json!({"from": from, "id": id, "timestamp": (BEGIN + second).to_string(), "type": "text", "text": {"body": text}})
}

/// The delivery of one text.
pub fn written(from: &str, id: &str, second: i64, words: &str) -> Value {
    let contacts = json!([{"profile": {"name": "Ivo"}, "wa_id": from}]);
    whatsapp(json!({"contacts": contacts, "messages": [text(from, id, second, words)]}))
}

/// The delivery of one item of `messages` beyond texts.
pub fn item(from: &str, id: &str, second: i64, kind: &str, content: Value) -> Value {
    let mut item = json!({"from": from, "id": id, "timestamp": (BEGIN + second).to_string(), "type": kind});
    item[kind] = content;
    whatsapp(json!({"contacts": [{"profile": {"name": "Ivo"}, "wa_id": from}], "messages": [item]}))
}

/// The delivery of one status.
pub fn status(id: &str, status: &str, second: i64, more: Value) -> Value {
    let mut status = json!({"id": id, "status": status, "timestamp": (BEGIN + second).to_string()});
    status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    whatsapp(json!({"statuses": [status]}))
}

/// The business wrote from its own phone.
pub fn echo(to: &str, id: &str, second: i64, words: &str) -> Value {
    let echo = json!({
        "from": "15550001111", "to": to, "id": id, "timestamp": (BEGIN + second).to_string(),
        "type": "text", "text": {"body": words},
    });
    whatsapp_of(NUMBER, "smb_message_echoes", json!({"message_echoes": [echo]}))
}
