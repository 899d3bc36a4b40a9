//! The providers, played on loopback over real HTTP: WhatsApp Cloud, Telegram, an OpenAI-compatible model
//! and an integrator's webhook. What demos, tests and trials talk to, with faults on request and a ledger of
//! everything that was sent.
//!
//! | path | plays |
//! |---|---|
//! | `POST /{version}/{phone_number_id}/messages` | WhatsApp; signed statuses come back to the subscribed URL |
//! | `GET /{version}/{phone_number_id}`, `GET /{version}/{media_id}` | WhatsApp numbers and media |
//! | `POST /bot{token}/{method}` | Telegram; `setWebhook` subscribes |
//! | `POST /v1/chat/completions` | the model: same prompt, same answer |
//! | `POST /receiver/{name}` | an integrator's system; checks signatures, knows repeats |
//! | `POST /sandbox/behaviour` | sets the faults: a [`Behaviour`]; what is left out is off |
//! | `POST /sandbox/subscriptions` | tells where an account's webhooks go: a [`Subscription`] |
//! | `POST /sandbox/inbound` | a customer writes: an [`Inbound`], or a list of them |
//! | `GET /sandbox/sent` | what the providers received, and what they received twice |
//! | `DELETE /sandbox` | forgets everything but the subscriptions |

mod admin;
mod behaviour;
mod deliver;
mod inbound;
mod ledger;
mod model;
mod payload;
mod receiver;
mod routes;
mod telegram;
mod whatsapp;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::behaviour::Fate;
pub use self::{
    behaviour::{Behaviour, FailNext, RateLimit},
    deliver::Subscription,
    inbound::{Delivered, Inbound},
    ledger::{Ledger, Provider, SentMessage},
};
use crate::{auth::tls, env::Env};

/// The program that plays the providers.
pub struct Sandbox;

impl Sandbox {
    /// Listens and serves until told to stop. Port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(listen: SocketAddr, env: Env) -> io::Result<Running> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State::new(env, format!("http://{addr}")));
        let router = routes::router(state.clone());
        let stop = state.stop.clone();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the sandbox stopped serving");
            }
        });
        Ok(Running { addr, state, server })
    }
}

/// A sandbox that serves. Dropping it stops it.
pub struct Running {
    pub addr: SocketAddr,
    state: Arc<State>,
    server: tokio::task::JoinHandle<()>,
}

impl Running {
    /// The base URL of every API that it plays: what a channel's `api_base_url` is set to.
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Where an integrator's system of that name listens.
    pub fn receiver_url(&self, name: &str) -> String {
        format!("{}/receiver/{name}", self.state.url)
    }

    /// Replaces the faults.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.state.behaviour) = behaviour;
    }

    /// Tells where an account's webhooks go, and what they are signed with.
    pub fn subscribe(&self, subscription: Subscription) {
        self.state.subscribe(subscription);
    }

    /// Customers write. In the order given, unless the behaviour reorders; returns when every delivery was
    /// taken or given up.
    pub async fn inbound(&self, all: Vec<Inbound>) -> Vec<Delivered> {
        inbound::play(&self.state, all).await
    }

    /// What the providers received.
    pub fn sent(&self) -> Vec<SentMessage> {
        lock(&self.state.ledger).sent.clone()
    }

    /// What the providers received more than once.
    pub fn doubled(&self) -> Vec<String> {
        lock(&self.state.ledger).doubled()
    }

    /// Waits until every status that is due was delivered or given up.
    pub async fn settled(&self) {
        while self.state.pending() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Forgets faults and ledger.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Stops serving, and gives up what is under way.
    pub async fn shutdown(mut self) {
        self.state.stop.cancel();
        self.state.tasks.close();
        // A client that keeps its connection must not keep us.
        let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.server).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.stop.cancel();
        self.server.abort();
    }
}

struct State {
    env: Env,
    url: String,
    http: reqwest::Client,
    behaviour: Mutex<Behaviour>,
    ledger: Mutex<Ledger>,
    /// By provider and account.
    subscriptions: Mutex<HashMap<(Provider, String), Subscription>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl State {
    fn new(env: Env, url: String) -> Self {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(20));
        Self {
            env,
            url,
            http: http.build().expect("the settings above are valid"),
            behaviour: Mutex::default(),
            ledger: Mutex::default(),
            subscriptions: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// What happens to the next call of a provider.
    fn fate(&self) -> Fate {
        let chance = self.env.chance();
        lock(&self.behaviour).fate(chance)
    }

    fn behaviour(&self) -> Behaviour {
        lock(&self.behaviour).clone()
    }

    fn subscribe(&self, subscription: Subscription) {
        let key = (subscription.channel, subscription.account.clone());
        lock(&self.subscriptions).insert(key, subscription);
    }

    fn subscription(&self, channel: Provider, account: &str) -> Option<Subscription> {
        lock(&self.subscriptions).get(&(channel, account.to_owned())).cloned()
    }

    /// Runs beside the answer, until the sandbox stops.
    fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    fn pending(&self) -> usize {
        self.tasks.len()
    }

    fn reset(&self) {
        *lock(&self.behaviour) = Behaviour::default();
        *lock(&self.ledger) = Ledger::default();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change below is one assignment or one push.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
