//! A PostgreSQL cluster and a Redis, started by `scripts/services` on free loopback ports.
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

/// Two servers and a scratch folder. They go when this is dropped or when the process ends, however it ends:
/// `scripts/services` holds the other end of a pipe and waits for its end.
pub struct Cluster {
    orders: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    postgres: String,
    redis: String,
    scratch: PathBuf,
}

impl Cluster {
    /// The servers that all tests of this process share. Nobody may stop or flush them.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Servers of one's own, for a test that breaks them.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// As [`start`](Self::start), with settings of `scripts/services`.
    #[expect(clippy::zombie_processes, reason = "the script ends after us: its input ends with this")]
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
        let mut child = Command::new(script)
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt at the terminal ends the tests, and their end stops the servers.
            .process_group(0)
            .spawn()
            .expect("scripts/services runs");
        let orders = child.stdin.take().expect("piped");
        let mut answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut told = std::collections::HashMap::new();
        loop {
            let mut line = String::new();
            let read = answers.read_line(&mut line).expect("scripts/services speaks");
            assert!(read > 0, "scripts/services ended early: it says why on standard error");
            match line.trim().split_once('=') {
                Some((name, value)) => told.insert(name.to_owned(), value.to_owned()),
                None => break,
            };
        }
        let base = |name: &str| told[name].rsplit_once('/').expect("a URL").0.to_owned();
        Self {
            postgres: base("DATABASE_URL"),
            redis: base("REDIS_URL"),
            scratch: told["SCRATCH"].clone().into(),
            orders: Mutex::new((orders, answers)),
        }
    }

    /// The URL of the database called `name`.
    pub fn database_url(&self, name: &str) -> String {
        format!("{}/{name}", self.postgres)
    }

    /// The URL of Redis' logical database `number`, below 4,096.
    pub fn redis_url(&self, number: usize) -> String {
        format!("{}/{number}", self.redis)
    }

    /// A folder that goes with the servers.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Stops PostgreSQL as a crash does: no checkpoint, connections cut.
    pub fn stop_postgres(&self) {
        self.order("postgres stop");
    }

    /// Starts PostgreSQL again, on the same port; returns when it answers.
    pub fn start_postgres(&self) {
        self.order("postgres start");
    }

    /// Kills Redis; it keeps nothing, unless `SERVICES_REDIS_KEEPS` was set.
    pub fn stop_redis(&self) {
        self.order("redis stop");
    }

    /// Starts Redis again, with what it kept, on the same port; returns when it answers.
    pub fn start_redis(&self) {
        self.order("redis start");
    }

    /// Takes the disk of a Redis that is stopped away.
    #[allow(dead_code, reason = "of the chaos alone")]
    pub fn wipe_redis(&self) {
        self.order("redis wipe");
    }

    fn order(&self, order: &str) {
        let mut pipes = self.orders.lock().expect("no order panicked");
        writeln!(pipes.0, "{order}").expect("scripts/services listens");
        let mut answer = String::new();
        pipes.1.read_line(&mut answer).expect("scripts/services answers");
        assert_eq!(answer.trim(), "ok", "{order}");
    }
}
