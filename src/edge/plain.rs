//! Answers for people and probes: health, readiness, metrics, the contract and its page.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    bodies::{Body, full},
    transcode::{Failure, compress},
};
use crate::error::DOMAIN;

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

pub(super) const PATHS: [&str; 6] = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"];

const PAGE: &str = include_str!("docs.html");
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Plain {
    /// Whether the path is one of these; they are exempt from load shedding.
    pub fn owns(path: &str) -> bool {
        PATHS.contains(&path)
    }

    pub(super) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        if method != Method::GET && method != Method::HEAD {
            return Err(Failure::wrong_method(DOMAIN, &[Method::GET]));
        }
        let answer = match path {
            "/healthz" => json_answer(StatusCode::OK, &json!({"status": "ok"})),
            "/readyz" => self.readiness().await,
            "/metrics" => match &self.metrics {
                Some(metrics) => packed(METRICS, metrics.render().into(), headers),
                None => typed(METRICS, ""),
            },
            "/openapi.json" => packed("application/json", self.openapi.clone(), headers),
            "/" => {
                let mut moved = Response::new(full(""));
                *moved.status_mut() = StatusCode::FOUND;
                moved.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs"));
                moved
            }
            _ => page(),
        };
        Ok(if method == Method::HEAD { answer.map(|_| full("")) } else { answer })
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

fn packed(kind: &'static str, body: bytes::Bytes, asked: &HeaderMap) -> Response<Body> {
    let mut answer = typed(kind, "");
    *answer.body_mut() = full(compress(body, asked, answer.headers_mut()));
    answer
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
