//! Answers for people and probes: health, readiness, metrics, the contract and its page.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderValue, Method, Response, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::bodies::{Body, full};

/// Asks the parts that must work before traffic is welcome; the error says which one does not.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The plain paths.
#[derive(Clone)]
pub struct Plain {
    pub ready: Ready,
    pub draining: CancellationToken,
    pub metrics: Option<PrometheusHandle>,
    /// The OpenAPI document, serialised once.
    pub openapi: bytes::Bytes,
}

const PAGE: &str = include_str!("docs.html");

impl Plain {
    /// Whether the path is one of these; they are exempt from load shedding.
    pub fn owns(path: &str) -> bool {
        matches!(path, "/" | "/healthz" | "/readyz" | "/metrics" | "/openapi.json" | "/docs")
    }

    pub async fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = json_answer(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "use GET"}));
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let answer = match path {
            "/healthz" => json_answer(StatusCode::OK, &json!({"status": "ok"})),
            "/readyz" => self.readiness().await,
            "/metrics" => match &self.metrics {
                Some(metrics) => typed("text/plain; version=0.0.4; charset=utf-8", metrics.render()),
                None => typed("text/plain; version=0.0.4; charset=utf-8", ""),
            },
            "/openapi.json" => typed("application/json", self.openapi.clone()),
            "/" => {
                let mut moved = Response::new(full(""));
                *moved.status_mut() = StatusCode::FOUND;
                moved.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs"));
                moved
            }
            _ => page(),
        };
        if method == Method::HEAD { answer.map(|_| full("")) } else { answer }
    }

    async fn readiness(&self) -> Response<Body> {
        if self.draining.is_cancelled() {
            return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "draining"}));
        }
        match (self.ready)().await {
            Ok(()) => json_answer(StatusCode::OK, &json!({"status": "ready"})),
            Err(why) => {
                json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not ready", "why": why}))
            }
        }
    }
}

fn page() -> Response<Body> {
    let mut page = typed("text/html; charset=utf-8", PAGE);
    // The page runs its own script and talks to its own origin, nothing else.
    page.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
             frame-ancestors 'none'",
        ),
    );
    page.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    page
}

fn typed(kind: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut answer = Response::new(full(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// A small JSON answer.
pub fn json_answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut answer = typed("application/json", body.to_string());
    *answer.status_mut() = status;
    answer
}
