//! WhatsApp Cloud API: takes messages, reports on them.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Fate, Provider, SentMessage, State, lock, payload::whatsapp_status, routes::Call};

/// A picture of one pixel, for every media id.
const PIXEL: &[u8] = &[
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21, 0xf9, 4, 1,
    0, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 1, 0x44, 0, 0x3b,
];

pub(super) async fn messages(state: &Arc<State>, account: &str, call: &Call) -> Response {
    if let Some(refused) = unauthorized(call) {
        return refused;
    }
    let fate = state.fate();
    match fate {
        Fate::Fail(code) => return error(code, "injected"),
        Fate::FailInside => return error(131_000, "Something went wrong"),
        Fate::Limit(seconds) => {
            let mut limited = error(130_429, "Rate limit hit");
            limited.headers_mut().insert("retry-after", seconds.into());
            return limited;
        }
        Fate::Outage => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::Serve | Fate::LoseAnswer | Fate::Lie => {}
    }
    let body = call.json();
    if body["status"] == "read" {
        return Json(json!({"success": true})).into_response();
    }
    let recipient = body["to"].as_str().or_else(|| body["recipient"].as_str());
    let (Some(recipient), Some(text)) = (recipient, body["text"]["body"].as_str()) else {
        return error(100, "Invalid parameter");
    };
    if body["messaging_product"] != "whatsapp" || text.is_empty() || text.chars().count() > 4096 {
        return error(100, "Invalid parameter");
    }
    let message = lock(&state.ledger).enter(|number| SentMessage {
        channel: Provider::Whatsapp,
        account: account.to_owned(),
        recipient: recipient.to_owned(),
        text: text.to_owned(),
        correlation: body["biz_opaque_callback_data"].as_str().map(str::to_owned),
        external_id: format!("wamid.OUT{number:08}"),
        at: state.env.now(),
        answered: fate == Fate::Serve,
    });
    let answer = json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": message.recipient, "wa_id": message.recipient}],
        "messages": [{"id": message.external_id}],
    });
    report(state, message);
    if fate == Fate::LoseAnswer {
        return state.hang().await;
    }
    if fate == Fate::Lie {
        return error(131_000, "Something went wrong");
    }
    Json(answer).into_response()
}

/// Sent, delivered, read: to whoever is subscribed.
fn report(state: &Arc<State>, message: SentMessage) {
    let behaviour = state.behaviour();
    let Some(to) = state.subscription(Provider::Whatsapp, &message.account) else { return };
    if behaviour.silent {
        return;
    }
    let mut words = ["sent", "delivered", "read"];
    if behaviour.reorder {
        words.reverse();
    }
    let (reporting, copies) = (state.clone(), 1 + behaviour.duplicates);
    state.spawn(async move {
        for word in words {
            tokio::time::sleep(Duration::from_millis(behaviour.status_delay_ms)).await;
            let SentMessage { account, recipient, external_id, correlation, .. } = &message;
            let at = reporting.env.now();
            let body = whatsapp_status(account, recipient, external_id, correlation.as_deref(), at, word);
            reporting.deliver(&to, external_id, &body, copies).await;
        }
    });
}

/// A number's name, or where to fetch a file.
pub(super) fn object(state: &State, id: &str, call: &Call) -> Response {
    if let Some(refused) = unauthorized(call) {
        return refused;
    }
    match state.fate() {
        Fate::Fail(code) => return error(code, "injected"),
        Fate::FailInside => return error(131_000, "Something went wrong"),
        Fate::Limit(_) => return error(130_429, "Rate limit hit"),
        Fate::Outage => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::Serve | Fate::LoseAnswer | Fate::Lie => {}
    }
    Json(json!({
        "id": id,
        "display_phone_number": "+1 555 000 1111",
        "verified_name": "Sandbox shop",
        "url": format!("{}/sandbox/media/{id}", state.url),
        "mime_type": "image/gif",
        "file_size": PIXEL.len(),
    }))
    .into_response()
}

pub(super) async fn media(Path(_name): Path<String>) -> Response {
    ([("content-type", "image/gif")], PIXEL).into_response()
}

/// Any token will do, but the one that says it has expired.
fn unauthorized(call: &Call) -> Option<Response> {
    match call.bearer() {
        Some(token) if !token.is_empty() && token != "expired" => None,
        _ => Some(error(190, "Invalid OAuth access token")),
    }
}

fn error(code: i64, details: &str) -> Response {
    let status = match code {
        190 => StatusCode::UNAUTHORIZED,
        10 | 200..=299 => StatusCode::FORBIDDEN,
        4 | 80_007 | 130_429 => StatusCode::TOO_MANY_REQUESTS,
        1 | 2 | 131_000 | 131_016 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let body: Value = json!({"error": {
        "message": format!("(#{code}) {details}"),
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": "sandbox",
    }});
    (status, Json(body)).into_response()
}
