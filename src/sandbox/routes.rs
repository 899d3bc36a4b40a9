//! Which path plays whom.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Bytes, to_bytes},
    extract::{Request, State as Shared},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};

use super::{State, admin, model, receiver, telegram, whatsapp};

const MAX_BODY: usize = 4 * 1024 * 1024;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/sandbox", delete(admin::reset))
        .route("/sandbox/behaviour", get(admin::behaviour).post(admin::behave))
        .route("/sandbox/subscriptions", post(admin::subscribe))
        .route("/sandbox/inbound", post(admin::inbound))
        .route("/sandbox/sent", get(admin::sent))
        .route("/sandbox/media/{name}", get(whatsapp::media))
        .fallback(provider)
        .with_state(state)
}

/// One call to a provider, its body read.
pub(super) struct Call {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// The JSON in the body; null if there is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
    }
}

/// Telegram writes its token into the first segment, so the segments are matched by hand.
async fn provider(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = head.uri.path().to_owned();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let call = Call { headers: head.headers, body };
    let delay = state.behaviour().delay_ms;
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    match (&head.method, segments.as_slice()) {
        (&Method::POST, ["v1", "chat", "completions"]) => model::complete(&state, &call).await,
        (&Method::POST, ["receiver", name]) => receiver::receive(&state, name, &call).await,
        (_, [bot, method]) if bot.starts_with("bot") => {
            telegram::call(&state, &bot[3..], method, &call).await
        }
        (&Method::POST, [version, account, "messages"]) if version.starts_with('v') => {
            whatsapp::messages(&state, account, &call).await
        }
        (&Method::GET, [version, id]) if version.starts_with('v') => whatsapp::object(&state, id, &call),
        _ => (StatusCode::NOT_FOUND, Json(json!({"error": "the sandbox plays nobody at this path"})))
            .into_response(),
    }
}

impl State {
    /// Never answers: until the client gives up or the sandbox stops.
    pub(super) async fn hang(&self) -> Response {
        self.stop.cancelled().await;
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}
