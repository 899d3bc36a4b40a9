//! Calls of the Bot API.

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Telegram;
use crate::{
    channels::{
        Http, Outbound, Refusal, Sent,
        exchange::{Came, MAX_DETAIL, came, harmless, json_headers},
        text::split,
    },
    domain::{delivery::Reason, inbound::scheme},
};

/// UTF-16 units of one message.
pub(super) const MAX_TEXT: usize = 4096;

/// The kinds of updates that [`parse`](super::parse) understands; the default leaves reactions out.
const UPDATES: [&str; 5] =
    ["message", "edited_message", "callback_query", "my_chat_member", "message_reaction"];

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    description: String,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

#[derive(Deserialize)]
struct Message {
    message_id: i64,
    chat: Chat,
}

#[derive(Deserialize)]
struct Chat {
    id: i64,
}

/// A text that is too long for one message goes out as several. If not all of them do, the outcome is
/// unknown: a person sees that the customer has a part, and nothing is sent twice.
pub(super) async fn send(account: &Telegram, http: &Http, outbound: &Outbound) -> Sent {
    let Some(chat) = outbound.chat.as_deref().or_else(|| outbound.identity(scheme::TELEGRAM)) else {
        return Refusal::lasting(Reason::RecipientUnreachable, "no Telegram chat is known").into();
    };
    let Ok(chat): Result<i64, _> = chat.parse() else {
        return Refusal::lasting(Reason::RecipientUnreachable, "the chat is not a number").into();
    };
    let pieces = split(&outbound.text, MAX_TEXT);
    if pieces.is_empty() {
        return Refusal::lasting(Reason::InvalidMessage, "the text is empty").into();
    }
    let mut first = None;
    for (index, piece) in pieces.iter().enumerate() {
        let quoted = if index == 0 { quoted(outbound.reply_to.as_deref(), chat) } else { None };
        match send_piece(account, http, chat, piece, quoted).await {
            Sent::Accepted { external_id } => first = first.or(Some(external_id)),
            sent if index == 0 => return sent,
            _ => return Sent::Unknown { detail: format!("only {index} of {} parts went out", pieces.len()) },
        }
    }
    Sent::Accepted { external_id: first.unwrap_or_default() }
}

/// The number of the quoted message, if it is in this chat.
fn quoted(reply_to: Option<&str>, chat: i64) -> Option<i64> {
    let (quoted_chat, message) = reply_to?.split_once(':')?;
    (quoted_chat.parse() == Ok(chat)).then_some(message.parse().ok()?)
}

async fn send_piece(account: &Telegram, http: &Http, chat: i64, text: &str, quoted: Option<i64>) -> Sent {
    let mut body = json!({"chat_id": chat, "text": text});
    if let Some(message_id) = quoted {
        body["reply_parameters"] = json!({"message_id": message_id, "allow_sending_without_reply": true});
    }
    match call(account, http, "sendMessage", &body).await {
        Ok(result) => match serde_json::from_value::<Message>(result) {
            Ok(message) => {
                Sent::Accepted { external_id: format!("{}:{}", message.chat.id, message.message_id) }
            }
            Err(_) => Sent::Unknown { detail: "accepted, but without an id".to_owned() },
        },
        Err(sent) => sent,
    }
}

pub(super) async fn probe(account: &Telegram, http: &Http) -> Result<String, Refusal> {
    let me = call(account, http, "getMe", &json!({})).await.map_err(harmless)?;
    Ok(me["username"].as_str().map(|name| format!("@{name}")).unwrap_or_default())
}

pub(super) async fn set_webhook(account: &Telegram, http: &Http, url: &str) -> Result<(), Refusal> {
    let secret = account.secrets.webhook_secret.expose_secret();
    if secret.is_empty() {
        return Err(Refusal::broken(Reason::TokenInvalid, "no webhook secret is set"));
    }
    let body = json!({"url": url, "secret_token": secret, "allowed_updates": UPDATES});
    call(account, http, "setWebhook", &body).await.map(|_| ()).map_err(harmless)
}

/// The `result` of a call.
async fn call(account: &Telegram, http: &Http, method: &str, body: &Value) -> Result<Value, Sent> {
    let Some(url) = account.url(method) else {
        return Err(Refusal::broken(Reason::TokenInvalid, "no bot token is set").into());
    };
    let answer = came(http.post(&url, json_headers(), body.to_string().into_bytes()).await)?;
    let read: Option<Value> = answer.json();
    match read {
        Some(mut read) if answer.status.is_success() && read["ok"] == true => Ok(read["result"].take()),
        Some(read) if read["ok"] == false => Err(refused(&answer, read)),
        _ => Err(answer.unexplained()),
    }
}

fn refused(answer: &Came, read: Value) -> Sent {
    match serde_json::from_value::<Failed>(read) {
        // A fault of theirs, at whatever point: Telegram cannot be asked, and does not know a repeated send.
        Ok(failed) if failed.error_code >= 500 => Sent::Unknown { detail: failed.detail() },
        Ok(failed) => failed.refusal().into(),
        Err(_) => answer.unexplained(),
    }
}

impl Failed {
    fn detail(&self) -> String {
        format!("Telegram {}: {}", self.error_code, self.description).chars().take(MAX_DETAIL).collect()
    }

    /// Why nothing was done. Telegram has no codes beyond HTTP's: the description decides.
    fn refusal(&self) -> Refusal {
        let detail = &self.detail();
        let said = |words: &str| self.description.to_ascii_lowercase().contains(words);
        if self.parameters.as_ref().is_some_and(|parameters| parameters.migrate_to_chat_id.is_some()) {
            return Refusal::lasting(Reason::RecipientMoved, detail);
        }
        match self.error_code {
            429 => {
                let wait = self.parameters.as_ref().and_then(|parameters| parameters.retry_after);
                Refusal::after(Reason::RateLimited, detail, wait.unwrap_or(5))
            }
            401 | 404 => Refusal::broken(Reason::TokenInvalid, detail),
            403 if said("blocked") || said("kicked") => Refusal::lasting(Reason::Blocked, detail),
            403 => Refusal::lasting(Reason::RecipientUnreachable, detail),
            400 if said("chat not found") || said("user not found") || said("peer_id_invalid") => {
                Refusal::lasting(Reason::RecipientUnreachable, detail)
            }
            400 if said("too long") => Refusal::lasting(Reason::TooLong, detail),
            400 if said("not enough rights") => Refusal::lasting(Reason::PermissionDenied, detail),
            _ => Refusal::lasting(Reason::InvalidMessage, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channels::Retry;

    fn refusal(body: &str) -> Refusal {
        serde_json::from_str::<Failed>(body).unwrap().refusal()
    }

    /// Example 13 of the channel notes, and acceptance case 74.
    #[test]
    fn descriptions_are_understood() {
        let limited = refusal(include_str!("../../../tests/data/channels/13-telegram-429.json"));
        assert_eq!(limited.reason, Reason::RateLimited);
        assert_eq!(limited.retry, Retry::After(Duration::from_secs(17)));

        for (code, description, reason, retried, broken) in [
            (403, "Forbidden: bot was blocked by the user", Reason::Blocked, false, false),
            (403, "Forbidden: user is deactivated", Reason::RecipientUnreachable, false, false),
            (400, "Bad Request: chat not found", Reason::RecipientUnreachable, false, false),
            (400, "Bad Request: message is too long", Reason::TooLong, false, false),
            (400, "Bad Request: message text is empty", Reason::InvalidMessage, false, false),
            (401, "Unauthorized", Reason::TokenInvalid, false, true),
            (404, "Not Found", Reason::TokenInvalid, false, true),
        ] {
            let body = json!({"ok": false, "error_code": code, "description": description});
            let refusal = refusal(&body.to_string());
            assert_eq!(refusal.reason, reason, "{description}");
            assert_eq!(refusal.retry != Retry::No, retried, "{description}");
            assert_eq!(refusal.channel_broken, broken, "{description}");
        }
        let moved =
            r#"{"ok":false,"error_code":400,"description":"x","parameters":{"migrate_to_chat_id":-100}}"#;
        assert_eq!(refusal(moved).reason, Reason::RecipientMoved);
    }

    #[test]
    fn only_a_message_of_the_same_chat_is_quoted() {
        assert_eq!(quoted(Some("-100:85"), -100), Some(85));
        assert_eq!(quoted(Some("7:85"), -100), None);
        assert_eq!(quoted(Some("callback:x"), -100), None);
        assert_eq!(quoted(None, -100), None);
    }
}
