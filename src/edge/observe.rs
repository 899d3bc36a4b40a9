//! One id, one log line and one measurement a request.

use std::{collections::HashMap, sync::Arc, time::Instant};

use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;

use super::{
    bodies::{Body, Watched, grpc_status},
    trace,
    transcode::Called,
    wire::Wire,
};
use crate::{auth::Caller, env::Env, id::TenantId};

/// The header that carries the id of a request: the client's own if it sent a usable one.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Watches requests from their head to the end of their answers.
pub(super) struct Observer {
    env: Env,
    /// What calls are called in logs and metrics, by path. A client cannot add to it.
    rpcs: HashMap<String, Arc<str>>,
}

/// A request that is being answered. Logged and counted when it is dropped: after the last byte of its
/// answer, or when its client went away.
pub(super) struct Observed {
    id: Arc<str>,
    wire: Wire,
    method: Arc<str>,
    started: Instant,
    span: tracing::Span,
    /// None until there is an answer.
    http: Option<u16>,
    grpc: Option<i32>,
    tenant: Option<TenantId>,
}

impl Observer {
    /// `rpcs` are the paths of all rpcs: `/package.Service/Method`.
    pub(super) fn new(env: Env, rpcs: impl Iterator<Item = String>) -> Self {
        let named = |path: String| {
            let name = path.trim_start_matches('/').into();
            (path, name)
        };
        Self { env, rpcs: rpcs.map(named).collect() }
    }

    pub(super) fn begin<B>(&self, request: &mut Request<B>, wire: Wire) -> Observed {
        let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        let given = given.filter(|id| usable(id));
        let id: Arc<str> = given.map_or_else(|| self.env.uuid().simple().to_string().into(), Into::into);
        if let Ok(value) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(REQUEST_ID, value);
        }
        metrics::gauge!("switchboard_requests_in_flight").increment(1);
        let method = self.label(request, wire);
        let span = trace::begin(request.headers(), &id, wire.name());
        Observed { id, wire, method, started: Instant::now(), span, http: None, grpc: None, tenant: None }
    }

    /// What was called, as far as the path tells before it is routed.
    fn label<B>(&self, request: &Request<B>, wire: Wire) -> Arc<str> {
        let path = request.uri().path();
        if wire != Wire::Http {
            return self.rpcs.get(path).cloned().unwrap_or_else(|| "unknown rpc".into());
        }
        let method = match *request.method() {
            Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS => request.method().as_str(),
            _ => "?",
        };
        let root = match path.split('/').nth(1).unwrap_or_default() {
            "api" => "webhooks",
            root @ ("v1" | "webhooks" | "healthz" | "readyz" | "metrics" | "docs" | "openapi.json") => root,
            _ => "…",
        };
        format!("{method} /{root}").into()
    }
}

/// Short and printable, so that it can stand in a log line.
fn usable(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

impl Observed {
    /// Of the work on the request.
    pub(super) fn span(&self) -> tracing::Span {
        self.span.clone()
    }

    pub(super) fn end(mut self, mut answer: Response<Body>) -> Response<Body> {
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(Called(rpc)) = answer.extensions().get() {
            self.method = rpc.clone();
        }
        self.http = Some(answer.status().as_u16());
        self.grpc = grpc_status(answer.headers());
        let caller = answer.extensions().get::<Caller>();
        self.tenant = caller.and_then(|caller| caller.scope().ok()).map(|scope| scope.tenant());
        let (head, body) = answer.into_parts();
        let done = move |late: Option<i32>| {
            // The whole of it, not the one field: what the closure drops at its end is the request.
            let observed = &mut self;
            observed.grpc = late.or(observed.grpc);
        };
        Response::from_parts(head, Watched::new(body, done).boxed_unsync())
    }

    /// 499 and 1 are what a client that left would have been answered.
    fn status(&self) -> String {
        match (self.wire, self.http, self.grpc) {
            (Wire::Http, http, _) => http.unwrap_or(499).to_string(),
            (_, None, _) => "grpc-1".to_owned(),
            (_, _, Some(code)) => format!("grpc-{code}"),
            (_, Some(http), None) => http.to_string(),
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let (wire, method, status) = (self.wire.name(), &self.method, self.status());
        let seconds = self.started.elapsed().as_secs_f64();
        metrics::counter!(
            "switchboard_requests_total", "wire" => wire, "method" => method.clone(), "status" => status.clone()
        )
        .increment(1);
        metrics::histogram!("switchboard_request_seconds", "wire" => wire, "method" => method.clone())
            .record(seconds);
        metrics::gauge!("switchboard_requests_in_flight").decrement(1);
        trace::end(&self.span, method, &status, self.tenant);
        tracing::info!(
            parent: None,
            request.id = %self.id,
            tenant.id = self.tenant.map(tracing::field::display),
            wire,
            %method,
            %status,
            ms = format_args!("{:.1}", seconds * 1e3),
            "request"
        );
    }
}
