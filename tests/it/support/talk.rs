//! A conversation that a customer began.
use serde_json::json;
use switchboard::domain::{conversation::ChannelKind, signature};

use super::app::{Person, TestApp};
use crate::conversation::{payload, shop::raw};

/// What the first message of a customer brought about.
pub struct Talk {
    /// `con_…`.
    pub conversation: String,
    /// `cus_…`.
    pub customer: String,
    /// `msg_…`.
    pub message: String,
}

/// Delivers one text to a WhatsApp channel of `owner` whose app secret is `secret`.
pub async fn begin(app: &TestApp, owner: &Person, channel: &str, secret: &str) -> Talk {
    let body = payload::written("15550002222", "wamid.first", 0, "Do you deliver?").to_string();
    let request = raw(&body, "x-hub-signature-256", &signature::meta(secret, body.as_bytes()));
    app.app.ingress().receive(ChannelKind::Whatsapp, channel, &request).await.expect("taken in");
    let listed = app.ok("ConversationService.ListConversations", owner, json!({})).await;
    let conversation = &listed["conversations"][0];
    let said = json!({"conversationId": conversation["id"]});
    let said = app.ok("MessageService.ListMessages", owner, said).await;
    let text = |value: &serde_json::Value| value.as_str().expect("an id").to_owned();
    Talk {
        conversation: text(&conversation["id"]),
        customer: text(&conversation["customerId"]),
        message: text(&said["messages"][0]["id"]),
    }
}
