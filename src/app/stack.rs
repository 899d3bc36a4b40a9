//! What answers on the port: the gRPC stack that every wire ends in, and the edge around it.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use http::{HeaderName, HeaderValue};
use prost_reflect::DescriptorPool;
use tokio_util::sync::CancellationToken;
use tower::{Layer, util::BoxCloneSyncService};

use super::App;
use crate::{
    access,
    edge::{self, Edge, Grpc, Plain, Webhooks, transcode::Transcoder},
    service, wire,
};

impl App {
    /// The gRPC stack that every wire ends in: deadlines, access, services.
    pub fn grpc(&self, drain: CancellationToken) -> anyhow::Result<Grpc> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let older = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let (_, health) = tonic_health::server::health_reporter();
        let routes = service::routes(&self.parts)
            .add_service(health)
            .add_service(reflection.build_v1()?)
            .add_service(older.build_v1alpha()?)
            .prepare();
        let guarded = self.access.layer(routes);
        let streams = self.pool.services().flat_map(|service| {
            let streams = service.methods().filter(prost_reflect::MethodDescriptor::is_server_streaming);
            streams.map(|method| format!("/{}/{}", service.full_name(), method.name())).collect::<Vec<_>>()
        });
        let streams = streams.chain(["/grpc.health.v1.Health/Watch".to_owned()]).collect();
        let deadline = edge::Deadline::new(guarded, self.config.request_timeout, streams, drain);
        Ok(BoxCloneSyncService::new(deadline))
    }

    pub(super) fn edge(
        &self,
        shutdown: &CancellationToken,
        metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    ) -> anyhow::Result<Edge> {
        let origins = self.config.cors_origins.iter().map(|origin| HeaderValue::from_str(origin));
        let cors = edge::Cors::new(origins.collect::<Result<Vec<_>, _>>()?);
        let options = edge::transcode::Options {
            forwarded_headers: [&access::HEADERS[..], &FORWARDED].concat(),
            cors: cors.clone(),
            max_request_bytes: self.config.max_request_bytes,
            reserved_paths: edge::reserved_paths(),
            error_domain: crate::error::DOMAIN.to_owned(),
            event_id: Some(event_id),
            resume_field: Some("after_seq".to_owned()),
            ..edge::transcode::Options::default()
        };
        let rest =
            Transcoder::new(&self.pool, options).map_err(|problems| anyhow!("{}", lines(&problems)))?;
        let plain = Plain {
            ready: self.ready(),
            draining: shutdown.clone(),
            metrics,
            openapi: openapi(&self.config.public_url)?.to_string().into(),
        };
        let webhooks = Webhooks::new(self.ingress(), self.access.clone());
        let grpc = self.grpc(shutdown.clone())?;
        let env = self.parts.store.env().clone();
        Ok(Edge::new(grpc, rest, webhooks, plain, cors, self.config.max_in_flight, env))
    }

    fn ready(&self) -> edge::Ready {
        let (store, redis) = (self.parts.store.clone(), self.redis.clone());
        Arc::new(move || {
            let (store, redis) = (store.clone(), redis.clone());
            Box::pin(async move {
                store.ping().await.map_err(|_| "the database does not answer".to_owned())?;
                if store.pending_migrations().await.map_err(|_| "the database does not answer".to_owned())?
                    > 0
                {
                    return Err("migrations are missing: run `switchboard migrate`".to_owned());
                }
                let Some(redis) = redis else { return Ok(()) };
                let connection = redis.get_multiplexed_async_connection().await;
                connection.map(drop).map_err(|_| "Redis does not answer".to_owned())
            })
        })
    }

    pub(super) fn tls(&self) -> anyhow::Result<Option<Arc<rustls::ServerConfig>>> {
        let Some(files) = &self.config.tls else { return Ok(None) };
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
        let chain = CertificateDer::pem_file_iter(&files.certificate).context("the certificate file")?;
        let chain = chain.collect::<Result<Vec<_>, _>>().context("the certificate file")?;
        let key = PrivateKeyDer::from_pem_file(&files.key).context("the key file")?;
        let mut tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Arc::new(tls)))
    }
}

/// Headers of a REST request that its gRPC call keeps.
const FORWARDED: [HeaderName; 3] = [
    HeaderName::from_static("x-session"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("traceparent"),
];

/// The OpenAPI document of a server at `url`.
pub(super) fn openapi(url: &str) -> anyhow::Result<serde_json::Value> {
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).context("the contract does not decode")?;
    super::document::openapi(&pool, url)
}

/// The place in the log, as the `id:` of a server-sent event: what a browser resumes from.
fn event_id(step: &prost_reflect::DynamicMessage) -> Option<String> {
    let event = step.get_field_by_name("event").filter(|_| step.has_field_by_name("event"))?;
    let seq = event.as_message()?.get_field_by_name("seq")?.as_i64()?;
    Some(seq.to_string())
}

fn lines(problems: &[impl std::fmt::Display]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
