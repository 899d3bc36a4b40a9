//! Logs, traces and metrics: one initialisation, one flush. A line is readable alone and a query by its
//! fields; failures are logged once, where they are handled; no secrets and no message text.

mod known;

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

pub use known::{KNOWN, Kind, Known};

use crate::config::{Log, LogFormat};

/// What was started. Dropping it sends the spans that are still waiting.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts logging to standard error, and sends spans to `otlp` (OTLP over gRPC) when it is given. A second
/// call changes nothing: two servers may share a test process. Within a Tokio runtime only.
///
/// # Errors
/// The endpoint is none.
pub fn start(log: &Log, otlp: Option<&str>) -> anyhow::Result<Telemetry> {
    // What migrations do at each start is no news.
    const QUIET: &str = "sea_orm_migration=warn,sqlx::postgres::notice=warn";
    let quieter = |level: &str| EnvFilter::try_new(format!("{QUIET},{level}"));
    let filter = quieter(&log.level).or_else(|_| quieter("info")).unwrap_or_default();
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    let traces = otlp.map(provider).transpose()?;
    let spans = traces.as_ref().map(|traces| {
        // The exporter's own calls would make spans that are exported in turn.
        let ours = Targets::new().with_target("switchboard", LevelFilter::INFO);
        tracing_opentelemetry::layer().with_tracer(traces.tracer("switchboard")).with_filter(ours)
    });
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
    if started.is_err() {
        tracing::debug!("logs were started already");
    }
    Ok(Telemetry { traces })
}

fn provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name("switchboard").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// Keeps what was measured from piling up while nobody asks for it.
pub async fn upkeep(metrics: PrometheusHandle, shutdown: CancellationToken) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(5));
    while shutdown.run_until_cancelled(every.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}

/// Starts the recorder behind `/metrics`; `None` when this process already has one.
pub fn metrics() -> Option<PrometheusHandle> {
    let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds);
    let recorder = builder.ok()?.install_recorder().ok()?;
    known::announce();
    Some(recorder)
}
