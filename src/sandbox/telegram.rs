//! Telegram Bot API: any token is a bot.

use std::sync::Arc;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Fate, Provider, SentMessage, State, Subscription, lock, routes::Call};

/// `token` came in the path.
pub(super) async fn call(state: &Arc<State>, token: &str, method: &str, call: &Call) -> Response {
    let Some((bot, _)) = token.split_once(':') else { return refused(404, "Not Found") };
    if token.ends_with(":revoked") {
        return refused(401, "Unauthorized");
    }
    let body = call.json();
    match method {
        "getMe" => match state.fate() {
            Fate::Serve | Fate::LoseAnswer | Fate::Lie => done(&json!({
                "id": bot.parse::<i64>().unwrap_or_default(),
                "is_bot": true,
                "first_name": "Sandbox shop",
                "username": format!("sandbox_{bot}_bot"),
            })),
            fate => failed(fate),
        },
        "setWebhook" => match state.fate() {
            Fate::Serve | Fate::LoseAnswer | Fate::Lie => {
                subscribe(state, bot, &body);
                done(&Value::Bool(true))
            }
            fate => failed(fate),
        },
        "deleteWebhook" => {
            lock(&state.subscriptions).remove(&(Provider::Telegram, bot.to_owned()));
            done(&Value::Bool(true))
        }
        "getWebhookInfo" => {
            let url = state.subscription(Provider::Telegram, bot).map(|found| found.target_url);
            done(&json!({"url": url.unwrap_or_default(), "pending_update_count": 0}))
        }
        "sendMessage" => send(state, bot, &body).await,
        "answerCallbackQuery" | "sendChatAction" => done(&Value::Bool(true)),
        _ => refused(404, "Not Found"),
    }
}

fn subscribe(state: &State, bot: &str, body: &Value) {
    state.subscribe(Subscription {
        channel: Provider::Telegram,
        account: bot.to_owned(),
        target_url: body["url"].as_str().unwrap_or_default().to_owned(),
        secret: body["secret_token"].as_str().unwrap_or_default().to_owned(),
    });
}

async fn send(state: &State, bot: &str, body: &Value) -> Response {
    let fate = state.fate();
    if !matches!(fate, Fate::Serve | Fate::LoseAnswer | Fate::Lie) {
        return failed(fate);
    }
    let Some(chat) = body["chat_id"].as_i64() else { return refused(400, "Bad Request: chat not found") };
    let text = body["text"].as_str().unwrap_or_default();
    if text.is_empty() {
        return refused(400, "Bad Request: message text is empty");
    }
    if text.encode_utf16().count() > 4096 {
        return refused(400, "Bad Request: message is too long");
    }
    let mut message_id = 0;
    let message = lock(&state.ledger).enter(|number| {
        message_id = number;
        SentMessage {
            channel: Provider::Telegram,
            account: bot.to_owned(),
            recipient: chat.to_string(),
            text: text.to_owned(),
            correlation: None,
            external_id: format!("{chat}:{number}"),
            at: state.env.now(),
            answered: fate == Fate::Serve,
        }
    });
    if fate == Fate::LoseAnswer {
        return state.hang().await;
    }
    if fate == Fate::Lie {
        return failed(fate);
    }
    done(&json!({
        "message_id": message_id,
        "date": message.at.timestamp(),
        "chat": {"id": chat, "type": "private"},
        "text": text,
    }))
}

fn done(result: &Value) -> Response {
    Json(json!({"ok": true, "result": result})).into_response()
}

fn failed(fate: Fate) -> Response {
    match fate {
        Fate::Limit(seconds) => {
            let description = format!("Too Many Requests: retry after {seconds}");
            let body = json!({"ok": false, "error_code": 429, "description": description,
                "parameters": {"retry_after": seconds}});
            (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response()
        }
        Fate::Fail(403) => refused(403, "Forbidden: bot was blocked by the user"),
        Fate::Fail(401) => refused(401, "Unauthorized"),
        Fate::Fail(400) => refused(400, "Bad Request: chat not found"),
        Fate::Outage => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => refused(500, "Internal Server Error"),
    }
}

fn refused(code: u16, description: &str) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(json!({"ok": false, "error_code": code, "description": description}))).into_response()
}
