use std::{collections::BTreeMap, fmt, path::Path, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use secrecy::SecretString;

use super::{
    Config, Log, Model, Owner, Rate, Rates, Roles, Setting, Source, Tls,
    describe::without_password,
    keys::Given,
    parse::{self, Parsed},
};

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct Problem {
    /// The variable's name, also when the value came from the file.
    pub name: String,
    pub problem: String,
}

const MIB: u64 = 1024 * 1024;

impl Config {
    /// Reads the process's environment and the file that `path` or `SWITCHBOARD_CONFIG` names; `only`, from
    /// the command line, wins over both. All problems come at once.
    pub fn load(path: Option<&Path>, only: &[String]) -> Result<Self, Vec<Problem>> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let env = |name: &str| match name {
            "SWITCHBOARD_ONLY" if !only.is_empty() => Some(only.join(",")),
            _ => std::env::var(name).ok(),
        };
        let named = env("SWITCHBOARD_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
        let file = match path.map(Path::to_owned).or(named) {
            Some(path) => Some(std::fs::read_to_string(&path).map_err(|error| {
                let problem = format!("cannot read {}: {error}", path.display());
                vec![Problem { name: "SWITCHBOARD_CONFIG".to_owned(), problem }]
            })?),
            None => None,
        };
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Self::read_named(env, names, file.as_deref())
    }

    /// As [`load`](Self::load), from any environment and the text of a TOML file. Variables that nobody
    /// asks for are not seen.
    pub fn read(env: impl Fn(&str) -> Option<String>, file: Option<&str>) -> Result<Self, Vec<Problem>> {
        Self::read_named(env, [], file)
    }

    /// As [`read`](Self::read), where the environment has variables of these `names`: one that is called
    /// like a setting and is none is a problem, as it is in the file.
    pub(super) fn read_named(
        env: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
        file: Option<&str>,
    ) -> Result<Self, Vec<Problem>> {
        let mut from = Reader::new(&env, file);
        let data_dir: PathBuf = from.value("data_dir", "./switchboard-data", parse::text).into();
        let listen = from.value("listen", "127.0.0.1:8080", parse::address);
        let config = Self {
            listen,
            public_url: from.value("public_url", &format!("http://{listen}"), parse::url),
            database_url: from.url("database_url", parse::database_url).unwrap_or_else(|| {
                format!("sqlite:{}?mode=rwc", data_dir.join("switchboard.db").display()).into()
            }),
            database_pool: narrow(from.value("database_pool", "16", parse::number::<1, 500>)),
            redis_url: from.url("redis_url", parse::redis_url),
            data_dir,
            roles: from.value("only", "all", parse::roles),
            tls: tls(&mut from),
            cors_origins: from.value("cors_origins", "", |text| parse::list(text, parse::origin)),
            trusted_proxies: from.value("trusted_proxies", "", |text| parse::list(text, str::parse)),
            session: Duration::from_secs(86_400 * from.value("session_days", "7", parse::number::<1, 365>)),
            bcrypt_cost: narrow(from.value("bcrypt_cost", "12", parse::number::<4, 16>)),
            max_request_bytes: narrow(from.value(
                "max_request_bytes",
                &(2 * MIB).to_string(),
                // What tonic and other stacks take of one message unasked.
                parse::number::<1024, { 4 * MIB }>,
            )),
            request_timeout: from.seconds("request_timeout_seconds", "30"),
            drain: from.seconds("drain_seconds", "25"),
            max_in_flight: narrow(from.value("max_in_flight", "1024", parse::number::<1, 1_000_000>)),
            rates: rates(&mut from),
            job_slots: narrow(from.value("job_slots", "16", parse::number::<1, 10_000>)),
            job_lease: Duration::from_secs(from.value("job_lease_seconds", "20", parse::number::<2, 3_600>)),
            job_log: TimeDelta::days(narrow(from.value("job_log_days", "30", parse::number::<1, 3_650>))),
            debounce: Duration::from_millis(from.value("debounce_ms", "2000", parse::number::<0, 600_000>)),
            allow_private_targets: from.value("allow_private_targets", "false", parse::flag),
            decision_engine: from.value("decision_engine", "true", parse::flag),
            autosend: from.value("autosend", "true", parse::flag),
            model: model(&mut from),
            owner: owner(&mut from),
            log: Log {
                level: from.value("log_level", "info", parse::text),
                format: from.value("log_format", "text", parse::log_format),
            },
            otlp: from.optional("otlp_endpoint", parse::url),
            keys: Given {
                master: from.secret("master_key", parse::master_keys),
                pepper: from.secret("pepper", parse::pepper),
            },
            settings: Vec::new(),
        };
        if !config.embedded() {
            production(&mut from, &config);
        }
        together(&mut from, &config);
        let settings = from.finish(names)?;
        Ok(Self { settings, ..config })
    }
}

/// What trying may leave out and serving may not.
fn production(from: &mut Reader<'_>, config: &Config) {
    if config.keys.master.is_none() {
        from.refuse(
            "master_key",
            "required with PostgreSQL: 32 random bytes in base64 (openssl rand -base64 32)",
        );
    }
    if config.keys.pepper.is_none() {
        from.refuse("pepper", "required with PostgreSQL: a random text (openssl rand -base64 32)");
    }
    if config.bcrypt_cost < 10 {
        from.refuse("bcrypt_cost", "below 10 is for tests with SQLite");
    }
}

/// Parts in processes of their own meet in PostgreSQL and Redis, and nowhere else.
fn together(from: &mut Reader<'_>, config: &Config) {
    if config.roles == Roles::ALL {
        return;
    }
    if config.embedded() {
        from.refuse(
            "only",
            "SQLite serves one process, which must run every part: set DATABASE_URL and REDIS_URL to split them",
        );
    } else if config.redis_url.is_none() && !from.has("redis_url") {
        from.refuse("redis_url", "required when SWITCHBOARD_ONLY splits the server: the parts meet there");
    }
}

fn rates(from: &mut Reader<'_>) -> Rates {
    let mut rate = |name, default| -> Option<Rate> { from.value(name, default, parse::rate) };
    Rates {
        public: rate("rate_public", "100/1m"),
        auth: rate("rate_auth", "5/15m"),
        auth_address: rate("rate_auth_address", "30/15m"),
        read: rate("rate_read", "600/1m"),
        write: rate("rate_write", "300/1m"),
        ai: rate("rate_ai", "30/1m"),
        webhook: rate("rate_webhook", "6000/1m"),
        bulk: rate("rate_bulk", "10/1m"),
        stream: rate("rate_stream", "60/1m"),
        tenant_factor: narrow(from.value("rate_tenant_factor", "10", parse::number::<1, 10_000>)),
    }
}

fn tls(from: &mut Reader<'_>) -> Option<Tls> {
    from.pair("tls_cert", "tls_key");
    let certificate = from.optional("tls_cert", parse::file);
    let key = from.optional("tls_key", parse::file);
    Some(Tls { certificate: certificate?, key: key? })
}

fn model(from: &mut Reader<'_>) -> Option<Model> {
    from.pair("openai_base_url", "openai_model");
    let base_url = from.optional("openai_base_url", parse::url);
    let name = from.optional("openai_model", parse::text);
    let api_key = from.secret("openai_api_key", parse::secret);
    Some(Model { base_url: base_url?, name: name?, api_key })
}

fn owner(from: &mut Reader<'_>) -> Option<Owner> {
    from.pair("owner_email", "owner_password");
    let email = from.optional("owner_email", parse::email);
    let password = from.secret("owner_password", parse::secret);
    Some(Owner { email: email?, password: password? })
}

/// The parsers' bounds fit every integer type that a setting has.
fn narrow<T: TryFrom<u64>>(number: u64) -> T
where
    T::Error: fmt::Debug,
{
    T::try_from(number).expect("within the parser's bounds")
}

/// Takes settings one by one, and notes what is wrong with them.
struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    /// What the file says that nobody asked for yet.
    file: BTreeMap<String, String>,
    settings: Vec<Setting>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(env: &'a dyn Fn(&str) -> Option<String>, file: Option<&str>) -> Self {
        let mut reader = Self { env, file: BTreeMap::new(), settings: Vec::new(), problems: Vec::new() };
        match file.unwrap_or_default().parse::<toml::Table>() {
            Ok(table) => reader.flatten("", table),
            Err(error) => reader.problem("SWITCHBOARD_CONFIG", error.to_string().trim_end()),
        }
        reader
    }

    fn flatten(&mut self, before: &str, table: toml::Table) {
        for (key, value) in table {
            let key = format!("{before}{key}");
            let text = match value {
                toml::Value::Table(inner) => {
                    self.flatten(&format!("{key}_"), inner);
                    continue;
                }
                toml::Value::Array(items) => {
                    items.iter().map(plain).collect::<Option<Vec<_>>>().map(|all| all.join(","))
                }
                single => plain(&single),
            };
            match text {
                Some(text) if !self.file.contains_key(&key) => {
                    self.file.insert(key, text);
                }
                Some(_) => self.problem(&variable(&key), "given twice in the file"),
                None => self
                    .problem(&variable(&key), "expected a text, a number, true, false, or a list of these"),
            }
        }
    }

    fn problem(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.push(Problem { name: name.to_owned(), problem: problem.into() });
    }

    fn refuse(&mut self, key: &str, problem: &str) {
        self.problem(&variable(key), problem);
    }

    /// Whether anything was said about `key`, good or bad. Ask before it is taken.
    fn has(&self, key: &str) -> bool {
        let said = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        said((self.env)(&variable(key)).as_deref()) || said(self.file.get(key).map(String::as_str))
    }

    /// Refuses one of two settings without the other one.
    fn pair(&mut self, one: &str, other: &str) {
        for (missing, given) in [(one, other), (other, one)] {
            if self.has(given) && !self.has(missing) {
                self.refuse(missing, &format!("required when {} is set", variable(given)));
            }
        }
    }

    /// What environment and file say about `key`; empty is unset.
    fn given(&mut self, key: &str) -> Option<(String, Source)> {
        let in_file = self.file.remove(key).map(|text| (text, Source::File));
        let in_env = (self.env)(&variable(key)).map(|text| (text, Source::Environment));
        in_env.into_iter().chain(in_file).find(|(text, _)| !text.is_empty())
    }

    fn note(&mut self, key: &str, value: String, source: Source) {
        self.settings.push(Setting { name: variable(key), value, source });
    }

    fn value<T>(&mut self, key: &str, default: &str, parse: impl Fn(&str) -> Parsed<T>) -> T {
        let (text, source) = self.given(key).unwrap_or_else(|| (default.to_owned(), Source::Default));
        let value = parse(text.trim()).unwrap_or_else(|problem| {
            self.problem(&variable(key), problem);
            // Never served: a problem ends the start.
            parse(default).expect("a default is valid")
        });
        self.note(key, text, source);
        value
    }

    fn seconds(&mut self, key: &str, default: &str) -> Duration {
        Duration::from_secs(self.value(key, default, parse::number::<1, 3600>))
    }

    fn maybe<T>(
        &mut self,
        key: &str,
        show: impl Fn(&str) -> String,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        let Some((text, source)) = self.given(key) else {
            self.note(key, String::new(), Source::Default);
            return None;
        };
        self.note(key, show(&text), source);
        parse(text.trim()).map_err(|problem| self.problem(&variable(key), problem)).ok()
    }

    fn optional<T>(&mut self, key: &str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        self.maybe(key, str::to_owned, parse)
    }

    fn secret<T>(&mut self, key: &str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        self.maybe(key, |_| "********".to_owned(), parse)
    }

    /// A URL that may hold a password.
    fn url(&mut self, key: &str, parse: impl Fn(&str) -> Parsed<SecretString>) -> Option<SecretString> {
        self.maybe(key, without_password, parse)
    }

    fn finish(mut self, names: impl IntoIterator<Item = String>) -> Result<Vec<Setting>, Vec<Problem>> {
        for key in std::mem::take(&mut self.file).into_keys() {
            self.problem("SWITCHBOARD_CONFIG", format!("`{key}` is no setting"));
        }
        let known = |name: &str| self.settings.iter().any(|setting| setting.name == name);
        let mut strangers: Vec<String> =
            names.into_iter().filter(|name| claims(name) && !known(name)).collect();
        strangers.sort();
        for name in strangers {
            self.problem(&name, "is no setting");
        }
        if self.problems.is_empty() { Ok(self.settings) } else { Err(self.problems) }
    }
}

/// Whether a variable is called like a setting. Kubernetes tells every container of a service `switchboard`
/// where that is, in variables of its own making.
fn claims(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("SWITCHBOARD_") else { return false };
    let service = rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_");
    rest != "CONFIG" && !service
}

/// The variable of a setting: `session_days` → `SWITCHBOARD_SESSION_DAYS`.
fn variable(key: &str) -> String {
    match key {
        "database_url" | "redis_url" => key.to_uppercase(),
        _ => format!("SWITCHBOARD_{}", key.to_uppercase()),
    }
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}
