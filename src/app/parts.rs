//! What a process is made of: the database, the keys, Redis, and what is put together over them.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use chrono::TimeDelta;
use prost_reflect::DescriptorPool;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::ExposeSecret;

use super::folder::{self, Hold};
use crate::{
    access,
    ai::{Ai, OpenAi},
    auth::{password::Passwords, seal::Keyring},
    channels::Http,
    config::Config,
    env::Env,
    events::Hub,
    service,
    store::{self, Store},
    wire,
};

/// Every part of one process. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(super) parts: service::Parts,
    pub(super) config: Arc<Config>,
    pub(super) pool: DescriptorPool,
    pub(super) access: access::Access,
    pub(super) ai: Ai,
    pub(super) redis: Option<redis::Client>,
    /// Of an embedded database: as long as this is there, no other process serves from it.
    _hold: Option<Hold>,
}

impl App {
    /// Opens the database, the keys and Redis, and puts the parts together. Starts nothing. Redis need not
    /// answer; a SQLite file that another process serves from is refused.
    pub async fn open(config: Config, env: Env) -> anyhow::Result<Self> {
        let hold = folder::prepare(&config)?.map(|file| folder::hold(&file)).transpose()?;
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
        let redis_commands = redis.as_ref().map(commands).transpose().context("REDIS_URL")?;
        let access = access::Access::new(&pool, parts.store.clone(), &config, redis_commands, keys.pepper)
            .map_err(|problems| anyhow!("{}", problems.join("\n")))?;
        Ok(Self { parts, ai: ai(&config), config: Arc::new(config), pool, access, redis, _hold: hold })
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
}

/// One connection for commands, made when it is first used: a server starts without Redis, as it goes on
/// without. Who calls decides at once what to do when Redis is away; the next call tries anew.
fn commands(client: &redis::Client) -> redis::RedisResult<ConnectionManager> {
    client.get_connection_manager_lazy(ConnectionManagerConfig::new().set_number_of_retries(0))
}

/// The drafter that the settings name.
fn ai(config: &Config) -> Ai {
    config.model.as_ref().map_or(Ai::Offline, |model| Ai::OpenAi(Arc::new(OpenAi::new(model))))
}

async fn open_store(config: &Config, env: &Env) -> anyhow::Result<Store> {
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
