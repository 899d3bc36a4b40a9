//! Settings: read once, from the environment and an optional TOML file. The environment wins.
//!
//! The key `session_days` of the file is `SWITCHBOARD_SESSION_DAYS` in the environment; a table
//! `[rate]` with `read = "600/1m"` is `rate_read`. Only `DATABASE_URL` and `REDIS_URL` keep the names
//! that everybody knows.

mod cidr;
mod describe;
mod keys;
mod parse;
mod read;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

pub use cidr::Cidr;
pub use describe::{Setting, Source};
pub use keys::{Keys, MasterKey};
pub use read::Problem;

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What clients and messengers call this server, without a slash at the end.
    pub public_url: String,
    /// `postgres://…` or `sqlite:…`; when unset, a SQLite file in `data_dir`. May hold a password.
    pub database_url: SecretString,
    /// Connections of this process to the database.
    pub database_pool: u32,
    /// `redis://…`; unset: jobs and events stay inside this process.
    pub redis_url: Option<SecretString>,
    /// Where the embedded server keeps its database and keys.
    pub data_dir: PathBuf,
    /// Which parts of the server run in this process.
    pub roles: Roles,
    /// Certificate chain and private key (PEM files) when the port speaks TLS.
    pub tls: Option<Tls>,
    /// Origins of browsers that may call with cookies, such as `https://app.example.com`.
    pub cors_origins: Vec<String>,
    /// Proxies whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How long a session lasts.
    pub session: Duration,
    /// Work factor of password hashes: 2^cost rounds.
    pub bcrypt_cost: u32,
    /// The largest request message, in bytes.
    pub max_request_bytes: usize,
    /// How long a unary request may take when the client names no deadline.
    pub request_timeout: Duration,
    /// How long requests and streams may take to end after SIGTERM.
    pub drain: Duration,
    /// Requests at work at the same time; more are answered UNAVAILABLE.
    pub max_in_flight: usize,
    /// Rate limits by class.
    pub rates: Rates,
    /// Jobs of one queue at work at the same time in this process: four times as many sends, twice as many
    /// webhooks, half as many of the slow kinds.
    pub job_slots: usize,
    /// A worker that is silent for so long has lost its jobs: others run them again.
    pub job_lease: Duration,
    /// How long ended jobs stay in the log.
    pub job_log: TimeDelta,
    /// Silence after a customer's message before a reply is drafted.
    pub debounce: Duration,
    /// Whether webhooks and messengers may live on private addresses: for trying with the sandbox.
    pub allow_private_targets: bool,
    /// Whether drafts are decided about; without, each waits for a person.
    pub decision_engine: bool,
    /// Whether policy may send a reply; without, none goes out by itself, whatever tenants set.
    pub autosend: bool,
    /// The model that drafts replies; unset: the built-in drafter.
    pub model: Option<Model>,
    /// The platform's owner, made or kept at start.
    pub owner: Option<Owner>,
    pub log: Log,
    /// Where spans go: OTLP over gRPC, such as `http://127.0.0.1:4317`; unset: nowhere.
    pub otlp: Option<String>,
    keys: keys::Given,
    settings: Vec<Setting>,
}

/// Which parts of the server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Requests, webhooks, streams.
    pub api: bool,
    /// Jobs.
    pub worker: bool,
    /// Dispatch of jobs, numbering of events, schedules.
    pub relay: bool,
}

impl Roles {
    pub const ALL: Self = Self { api: true, worker: true, relay: true };
}

impl std::str::FromStr for Roles {
    type Err = String;

    /// `all`, or some of `api`, `worker`, `relay`, separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        parse::roles(text)
    }
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// So many calls in so much time, all of which may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// Rate limits by class; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Calls without a credential, per address.
    pub public: Option<Rate>,
    /// Sign-in and its kin, per account and address.
    pub auth: Option<Rate>,
    /// Sign-in and its kin, per address.
    pub auth_address: Option<Rate>,
    /// Reads, per caller.
    pub read: Option<Rate>,
    /// Writes, per caller.
    pub write: Option<Rate>,
    /// Work of the AI, per tenant.
    pub ai: Option<Rate>,
    /// Deliveries, per channel.
    pub webhook: Option<Rate>,
    /// Imports and exports, per tenant.
    pub bulk: Option<Rate>,
    /// Streams opened, per caller.
    pub stream: Option<Rate>,
    /// What all callers of one tenant may do together, as a multiple of what one may.
    pub tenant_factor: u32,
}

/// An OpenAI-compatible endpoint.
#[derive(Clone, Debug)]
pub struct Model {
    /// Up to and including `/v1`, without a slash at the end.
    pub base_url: String,
    pub name: String,
    pub api_key: Option<SecretString>,
}

/// The platform's owner.
#[derive(Clone, Debug)]
pub struct Owner {
    pub email: String,
    pub password: SecretString,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `info`, or a filter such as `info,switchboard::jobs=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Whether the database is a SQLite file beside the server.
    pub fn embedded(&self) -> bool {
        self.database_file().is_some()
    }

    /// The SQLite file, and whether it is made when it is missing.
    pub fn database_file(&self) -> Option<(PathBuf, bool)> {
        let file = self.database_url.expose_secret().strip_prefix("sqlite:")?;
        let file = file.strip_prefix("//").unwrap_or(file);
        let (file, options) = file.split_once('?').unwrap_or((file, ""));
        Some((file.into(), options.split('&').any(|option| option == "mode=rwc")))
    }

    /// Settles what the demo needs: every part, the address it listens on, a database in `folder` unless one
    /// was named, and a sandbox on loopback as every provider.
    pub fn for_demo(&mut self, address: SocketAddr, folder: &std::path::Path) {
        self.roles = Roles::ALL;
        self.listen = address;
        self.public_url = format!("http://{address}");
        self.allow_private_targets = true;
        let named = |setting: &Setting| setting.name == "DATABASE_URL" && setting.source != Source::Default;
        if !self.settings.iter().any(named) {
            self.data_dir = folder.to_owned();
            self.database_url = format!("sqlite:{}?mode=rwc", folder.join("switchboard.db").display()).into();
        }
    }

    /// The settings in effect with their sources; secrets are masked.
    pub fn describe(&self) -> &[Setting] {
        &self.settings
    }
}
