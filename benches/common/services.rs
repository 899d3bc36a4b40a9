//! PostgreSQL and Redis of a measurement: durable, on loopback, gone with it.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// PostgreSQL with fsync and Redis with an append-only file; gone when dropped.
pub struct Services {
    child: Child,
    pub database_url: String,
    pub redis_url: String,
    pub scratch: PathBuf,
}

impl Services {
    pub fn start() -> Self {
        let mut child = Command::new("scripts/services")
            .env("SERVICES_DURABLE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/services runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (mut database_url, mut redis_url, mut scratch) = Default::default();
        for line in lines.by_ref().map_while(Result::ok) {
            match line.split_once('=') {
                Some(("DATABASE_URL", value)) => database_url = value.to_owned(),
                Some(("REDIS_URL", value)) => redis_url = value.to_owned(),
                Some(("SCRATCH", value)) => scratch = PathBuf::from(value),
                _ if line == "ready" => break,
                _ => {}
            }
        }
        assert!(!String::is_empty(&database_url), "PostgreSQL and Redis did not start: run scripts/setup");
        Self { child, database_url, redis_url, scratch }
    }

    /// Clean tables and known statistics, as an hour of autovacuum leaves them.
    pub fn settle(&self) {
        self.sql(&["vacuum (analyze)", "checkpoint"]);
    }

    /// Runs SQL; the rows as text, columns apart by `|`.
    pub fn sql(&self, statements: &[&str]) -> String {
        let mut command = Command::new(program("psql"));
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]);
        for statement in statements {
            command.args(["-c", statement]);
        }
        let output = command.arg(&self.database_url).output().expect("psql runs");
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // The end of its input is its order to clean up.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// A program of the newest PostgreSQL.
pub fn program(name: &str) -> PathBuf {
    newest("/usr/lib/postgresql").join("bin").join(name)
}

/// The newest version in a folder of versions.
fn newest(folder: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("PostgreSQL is installed")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed")
}
