//! The server: every part wired, top to bottom, and how it ends.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::{Context, anyhow};
use chrono::TimeDelta;
use http::{HeaderName, HeaderValue};
use prost_reflect::DescriptorPool;
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer, util::BoxCloneSyncService};

use crate::{
    access,
    ai::{Ai, OpenAi, Switches},
    auth::{password::Passwords, seal::Keyring},
    channels::Http,
    config::Config,
    edge::{self, Edge, Grpc, Plain, Webhooks, listener, transcode::Transcoder},
    env::Env,
    events::{self, Hub},
    jobs, service,
    store::{self, Store},
    telemetry, wire,
};

/// Every part of one process. Cheap to clone.
#[derive(Clone)]
pub struct App {
    parts: service::Parts,
    config: Arc<Config>,
    pool: DescriptorPool,
    access: access::Access,
    ai: Ai,
    redis: Option<redis::Client>,
}

/// A server that runs.
pub struct Running {
    pub app: App,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    edge: JoinHandle<()>,
    /// Cancelled when a part ended that the server cannot live without.
    broken: CancellationToken,
}

/// Serves until a signal, then drains. A second signal aborts.
pub async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let metrics = telemetry::metrics();
    let app = App::open(config, Env::system()).await?;
    let listener = TcpListener::bind(app.config.listen).await.context("cannot listen")?;
    let running = app.start(listener, metrics).await?;
    tracing::info!(address = %running.address, "ready");
    let broken = running.broken.clone();
    let code = tokio::select! {
        () = asked_to_stop() => {
            tracing::info!("asked to stop; draining");
            ExitCode::SUCCESS
        }
        () = broken.cancelled() => ExitCode::FAILURE,
    };
    tokio::select! {
        () = running.stop() => Ok(code),
        () = asked_to_stop() => {
            tracing::warn!("asked again; stopping at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

impl App {
    /// Opens the database, the keys and Redis, and puts the parts together. Starts nothing.
    pub async fn open(config: Config, env: Env) -> anyhow::Result<Self> {
        let store = open_store(&config, &env).await?;
        let keys = config.keys(|| env.bytes()).context("cannot open the keys")?;
        let passwords = Passwords::new(keys.pepper.clone(), config.bcrypt_cost, env.clone());
        ensure_owner(&store, &passwords, &config).await?;
        let redis = match &config.redis_url {
            Some(url) => Some(redis::Client::open(url.expose_secret()).context("REDIS_URL")?),
            None => None,
        };
        let hub = redis.clone().map_or_else(Hub::local, |redis| Hub::redis(redis, String::new()));
        let pool = DescriptorPool::decode(wire::DESCRIPTORS).context("the contract does not decode")?;
        let http = Http::new(config.allow_private_targets, std::time::Duration::from_secs(20));
        let parts = service::Parts {
            started: env.now(),
            session: TimeDelta::from_std(config.session).context("SWITCHBOARD_SESSION_DAYS")?,
            public_url: config.public_url.as_str().into(),
            store,
            hub,
            passwords,
            keys: Keyring::new(&keys.master),
            http,
        };
        let redis_commands = commands(redis.as_ref()).await?;
        let access = access::Access::new(&pool, parts.store.clone(), &config, redis_commands, keys.pepper)
            .map_err(|problems| anyhow!("{}", problems.join("\n")))?;
        Ok(Self { parts, ai: ai(&config), config: Arc::new(config), pool, access, redis })
    }

    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    pub fn policies(&self) -> &access::Policies {
        self.access.policies()
    }

    /// Where webhooks go.
    pub fn ingress(&self) -> service::conversation::Ingress {
        service::conversation::Ingress::new(self.parts.store.clone(), self.parts.keys.clone())
            .debounced(self.config.debounce)
    }

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

    /// Starts every part that this process's roles name.
    pub async fn start(
        self,
        listener: TcpListener,
        metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    ) -> anyhow::Result<Running> {
        let missing =
            edge::unmounted(&service::routes(&self.parts).prepare(), &self.pool, "switchboard.").await;
        anyhow::ensure!(missing.is_empty(), "no service answers {}", missing.join(", "));
        let shutdown = CancellationToken::new();
        let broken = CancellationToken::new();
        let tasks = TaskTracker::new();
        if let Some(metrics) = metrics.clone() {
            tasks.spawn(telemetry::upkeep(metrics, shutdown.clone()));
        }
        let address = listener.local_addr()?;
        let roles = self.config.roles;
        if let Some(redis) = self.redis.clone() {
            let store = self.parts.store.clone();
            tasks.spawn(events::carry_wakes(store, redis, String::new(), shutdown.clone()));
        }
        if roles.relay {
            let sequencer =
                events::sequence(self.parts.store.clone(), self.parts.hub.clone(), shutdown.clone());
            vital(&tasks, &shutdown, &broken, "sequencer", sequencer);
        }
        if roles.relay || roles.worker {
            let engine = self.engine(&shutdown).await?;
            vital(&tasks, &shutdown, &broken, "jobs", engine.drained());
        }
        let edge = self.edge(&shutdown, metrics)?.service();
        let (tls, drain) = (self.tls()?, self.config.drain);
        let settings = listener::Settings { tls, drain, pace: listener::Pace::default() };
        let edge = tokio::spawn(listener::serve(listener, edge, settings, shutdown.clone()));
        tasks.close();
        Ok(Running { app: self, address, shutdown, tasks, edge, broken })
    }

    async fn engine(&self, shutdown: &CancellationToken) -> anyhow::Result<jobs::EngineHandle> {
        let settings = jobs::EngineSettings {
            relay: self.config.roles.relay,
            work: self.config.roles.worker,
            redis: self.redis.clone(),
            slots: jobs::Slots::around(self.config.job_slots),
            lease: self.config.job_lease,
            drain: self.config.drain,
            ..jobs::EngineSettings::default()
        };
        let parts = jobs::Parts {
            store: self.parts.store.clone(),
            keys: self.parts.keys.clone(),
            http: self.parts.http.clone(),
            ai: self.ai.clone(),
            switches: Switches::default(),
            public_url: self.parts.public_url.clone(),
        };
        Ok(jobs::Engine::start(settings, parts, registry(), shutdown.clone()).await?)
    }

    fn edge(
        &self,
        shutdown: &CancellationToken,
        metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    ) -> anyhow::Result<Edge> {
        let origins = self.config.cors_origins.iter().map(|origin| HeaderValue::from_str(origin));
        let cors = edge::Cors::new(origins.collect::<Result<Vec<_>, _>>()?);
        let options = edge::transcode::Options {
            forwarded_headers: FORWARDED.map(HeaderName::from_static).to_vec(),
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

    fn tls(&self) -> anyhow::Result<Option<Arc<rustls::ServerConfig>>> {
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

impl Running {
    /// Drains: not ready, no new connections, requests and streams end, jobs finish or go back.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if let Err(error) = self.edge.await {
            tracing::error!(%error, "the edge failed");
        }
        self.tasks.wait().await;
    }
}

/// Headers of a REST request that its gRPC call keeps.
const FORWARDED: [&str; 11] = [
    "authorization",
    "cookie",
    "origin",
    "sec-fetch-site",
    "x-requested-with",
    "x-request-id",
    "x-session",
    "x-forwarded-for",
    "idempotency-key",
    "last-event-id",
    "traceparent",
];

/// The OpenAPI document of a server at `url`.
pub(super) fn openapi(url: &str) -> anyhow::Result<serde_json::Value> {
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).context("the contract does not decode")?;
    super::document::openapi(&pool, url)
}

/// Every kind of job.
fn registry() -> jobs::Registry {
    jobs::Registry::default()
        .with::<jobs::connect_channel::ConnectChannel>()
        .with::<jobs::send_message::SendMessage>()
        .with::<jobs::draft_reply::DraftReply>()
        .with::<jobs::draft_reply::RedraftReply>()
}

/// One connection for commands; it reconnects by itself.
async fn commands(redis: Option<&redis::Client>) -> anyhow::Result<Option<redis::aio::ConnectionManager>> {
    let Some(client) = redis else { return Ok(None) };
    Ok(Some(client.get_connection_manager().await.context("Redis does not answer")?))
}

/// The drafter that the settings name.
fn ai(config: &Config) -> Ai {
    config.model.as_ref().map_or(Ai::Offline, |model| Ai::OpenAi(Arc::new(OpenAi::new(model))))
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

async fn open_store(config: &Config, env: &Env) -> anyhow::Result<Store> {
    if config.embedded() {
        std::fs::create_dir_all(&config.data_dir).context("cannot make the data folder")?;
    }
    let url = config.database_url.expose_secret().to_owned();
    let settings = store::Settings { url, pool: config.database_pool };
    let store = store::connect(&settings, env.clone()).await.map_err(|error| match error {
        crate::error::Error::Unavailable(cause) | crate::error::Error::Internal(cause) => {
            anyhow!("cannot open the database: {cause:#}")
        }
        other => anyhow!(other),
    })?;
    if config.embedded() {
        store.migrate().await?;
    } else if store.pending_migrations().await? > 0 {
        anyhow::bail!("the database's schema is not current: run `switchboard migrate` first");
    }
    Ok(store)
}

async fn ensure_owner(store: &Store, passwords: &Passwords, config: &Config) -> anyhow::Result<()> {
    let Some(owner) = &config.owner else { return Ok(()) };
    let password = owner.password.expose_secret();
    let ensured = service::admin::ensure_owner(store, passwords, &owner.email, password).await;
    match ensured.map_err(|error| anyhow!("SWITCHBOARD_OWNER_EMAIL: {error}"))? {
        service::admin::Ensured::OtherOwner => {
            tracing::warn!("the platform has another owner already; SWITCHBOARD_OWNER_EMAIL changes nothing");
        }
        ensured => tracing::debug!(?ensured, "platform owner"),
    }
    Ok(())
}

/// Runs a part that the server cannot live without: when it ends by itself, the server drains.
fn vital(
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
    broken: &CancellationToken,
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) {
    let (shutdown, broken) = (shutdown.clone(), broken.clone());
    tasks.spawn(async move {
        // Dropped also when the part panics.
        let ended = broken.drop_guard();
        part.await;
        if shutdown.is_cancelled() {
            drop(ended.disarm());
        } else {
            tracing::error!(part = name, "ended unexpectedly");
        }
    });
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn asked_to_stop() {
    let signals = (
        tokio::signal::unix::signal(SignalKind::terminate()),
        tokio::signal::unix::signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("cannot listen to signals; stopping");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
