//! One id, one log line and one measurement a request.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;

use super::bodies::{Body, Watched, grpc_status};
use crate::env::Env;

/// The id of a request: the client's own if it sent a usable one. In the request's extensions, and in
/// the `x-request-id` of the answer.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

/// The header that carries it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) struct Observed {
    id: RequestId,
    method: Arc<str>,
    started: Instant,
}

pub(super) fn begin<B>(request: &mut Request<B>, env: &Env) -> Observed {
    let given =
        request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| usable(id));
    let id: Arc<str> = given.map_or_else(|| env.uuid().simple().to_string().into(), Into::into);
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let id = RequestId(id);
    request.extensions_mut().insert(id.clone());
    Observed { id, method: label(request).into(), started: Instant::now() }
}

/// Short and printable, so that it can stand in a log line.
fn usable(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

/// What was called, without anything a client can vary endlessly: labels must stay few.
fn label<B>(request: &Request<B>) -> String {
    let path = request.uri().path();
    let grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        return path.trim_start_matches('/').chars().take(120).collect();
    }
    let root = path.split('/').nth(1).unwrap_or_default();
    match root {
        "v1" | "webhooks" | "healthz" | "readyz" | "metrics" | "docs" | "openapi.json" => {
            format!("{} /{root}", request.method())
        }
        _ => format!("{} other", request.method()),
    }
}

impl Observed {
    pub(super) fn end(self, mut answer: Response<Body>) -> Response<Body> {
        if let Ok(id) = HeaderValue::from_str(&self.id.0) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        let http = answer.status().as_u16();
        let early = grpc_status(answer.headers());
        let tenant = answer.extensions().get::<crate::auth::Caller>().and_then(|caller| caller.scope().ok());
        let grpc = is_grpc(answer.headers());
        answer.map(|body| {
            let done = move |late: Option<i32>| {
                let status = late.or(early);
                self.log(http, status.filter(|_| grpc), tenant.map(|scope| scope.tenant()));
            };
            Watched::new(body, done).boxed_unsync()
        })
    }

    fn log(self, http: u16, grpc: Option<i32>, tenant: Option<crate::id::TenantId>) {
        let seconds = self.started.elapsed().as_secs_f64();
        let status = grpc.map_or_else(|| http.to_string(), |code| format!("grpc-{code}"));
        metrics::counter!("switchboard_requests_total", "method" => self.method.clone(), "status" => status.clone())
            .increment(1);
        metrics::histogram!("switchboard_request_seconds", "method" => self.method.clone()).record(seconds);
        let tenant = tenant.map(|tenant| tenant.to_string());
        tracing::info!(
            request.id = %self.id.0,
            tenant.id = tenant,
            method = %self.method,
            %status,
            ms = format_args!("{:.1}", seconds * 1e3),
            "request"
        );
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}
