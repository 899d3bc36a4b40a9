//! The span of a request, continued from the caller's where it sent a valid `traceparent`
//! (<https://www.w3.org/TR/trace-context/>). Spans go where `telemetry` sends them.

use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::id::TenantId;

/// A span whose name, `status` and `tenant.id` come with [`end`].
pub(super) fn begin(headers: &HeaderMap, id: &str, wire: &'static str) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        request.id = id,
        tenant.id = Empty,
        wire,
        status = Empty,
    );
    if headers.contains_key("traceparent") {
        let caller = TraceContextPropagator::new().extract(&Headers(headers));
        if let Err(error) = span.set_parent(caller) {
            tracing::debug!(%error, "a trace is not continued");
        }
    }
    span
}

/// Records what is known at the end. A span that has begun keeps its name but for this way to it.
pub(super) fn end(span: &Span, method: &str, status: &str, tenant: Option<TenantId>) {
    span.record("status", status);
    if let Some(tenant) = tenant {
        span.record("tenant.id", tracing::field::display(tenant));
    }
    span.context().span().update_name(method.to_owned());
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
