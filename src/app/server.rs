//! The server: how it starts, what it does when a part breaks, and how it ends.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context;
use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::App;
use crate::{
    ai::Switches,
    config::Config,
    edge::{self, listener},
    env::Env,
    events, jobs, service, telemetry,
};

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
            log_kept: self.config.job_log,
            ..jobs::EngineSettings::default()
        };
        let parts = jobs::Parts {
            store: self.parts.store.clone(),
            keys: self.parts.keys.clone(),
            http: self.parts.http.clone(),
            ai: self.ai.clone(),
            switches: Switches { engine: self.config.decision_engine, autosend: self.config.autosend },
            public_url: self.parts.public_url.clone(),
        };
        if settings.relay {
            jobs::cron::register(&parts.store).await?;
        }
        Ok(jobs::Engine::start(settings, parts, registry(), shutdown.clone()).await?)
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

/// Every kind of job.
fn registry() -> jobs::Registry {
    jobs::Registry::default()
        .with::<jobs::connect_channel::ConnectChannel>()
        .with::<jobs::send_message::SendMessage>()
        .with::<jobs::draft_reply::DraftReply>()
        .with::<jobs::draft_reply::RedraftReply>()
        .with::<jobs::drop_outdated::DropOutdated>()
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
