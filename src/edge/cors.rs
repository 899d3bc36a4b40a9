//! Which browser origins may call, and what their scripts may read
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::bodies::{Body, full};

/// Errors before the first message of a gRPC-Web answer are headers: unless exposed, a browser sees none.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, etag, retry-after, x-request-id, location, ratelimit-limit, \
     ratelimit-remaining, ratelimit-reset";
const ALLOWED: &str = "authorization, content-type, connect-protocol-version, connect-timeout-ms, grpc-timeout, \
                       idempotency-key, if-match, if-none-match, last-event-id, x-grpc-web, x-request-id, \
                       x-requested-with, x-server-timeout, x-session, x-user-agent";

/// The origins that may call from a browser.
#[derive(Clone)]
pub struct Cors(Arc<[HeaderValue]>);

impl Cors {
    /// `origins` as browsers send them: `https://app.example.com`. None: same origin only.
    pub fn new(origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        Self(origins.into_iter().collect())
    }

    pub(super) fn is_preflight<B>(&self, request: &Request<B>) -> bool {
        request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ORIGIN)
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    pub(super) fn preflight(&self, asked: &HeaderMap) -> Response<Body> {
        let mut answer = Response::new(full(""));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let headers = answer.headers_mut();
        if self.decorate(asked.get(header::ORIGIN), headers) {
            set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE");
            set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
            set(headers, header::ACCESS_CONTROL_MAX_AGE, "7200");
        }
        answer
    }

    /// Marks an answer as readable by `origin` if it may call; tells whether it may.
    pub(super) fn decorate(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin.filter(|origin| self.0.contains(origin)) else { return false };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        true
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
