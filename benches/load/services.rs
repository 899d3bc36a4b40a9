//! The programs a measurement needs beside PostgreSQL and Redis: pgbench and the server, all on loopback.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub use super::machine::Services;
use super::{generator::Outcome, machine::program, recording::Script};

impl Services {
    /// Runs a script of statements through pgbench, so many clients at once, each after its last answer.
    pub fn pgbench(&self, script: &Script, clients: usize, seconds: u64) -> Outcome {
        let (file, log) = (self.scratch.join("pgbench.sql"), self.scratch.join("times"));
        std::fs::write(&file, &script.text).expect("the scratch folder is writable");
        let mut command = Command::new(program("pgbench"));
        command.args(["-n", "-M", "prepared", "-j", "1", "-c"]).arg(clients.to_string());
        command.arg("-T").arg(seconds.to_string()).arg("-f").arg(&file);
        // One in ten: enough for percentiles, and not felt.
        command.args(["-l", "--sampling-rate=0.1", "--log-prefix"]).arg(&log);
        for (name, value) in &script.define {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        let output = command.arg(&self.database_url).output().expect("pgbench runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let per_second = line.and_then(|line| line.split(' ').next()?.parse().ok());
        let fine = output.status.success() && per_second.is_some();
        assert!(fine, "pgbench: {:.2000}\n{}", String::from_utf8_lossy(&output.stderr), script.text);
        let mut times = self.times(&log);
        times.sort_unstable();
        Outcome::of(&times, per_second.unwrap_or_default(), 0)
    }

    /// The latencies that pgbench noted, in nanoseconds.
    fn times(&self, prefix: &Path) -> Vec<u64> {
        let mut times = Vec::new();
        for file in std::fs::read_dir(&self.scratch).expect("the scratch folder").flatten() {
            let path = file.path();
            if path.to_string_lossy().starts_with(&*prefix.to_string_lossy()) {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let micros = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok());
                times.extend(micros.map(|micros| micros * 1000));
                drop(std::fs::remove_file(path));
            }
        }
        times
    }

    /// Another empty database beside the first.
    pub fn another(&self, name: &str) -> String {
        self.sql(&[&format!("create database {name}")]);
        let (server, _) = self.database_url.rsplit_once('/').expect("a URL has a path");
        format!("{server}/{name}")
    }

    /// What PostgreSQL logged so far.
    pub fn log(&self) -> String {
        let file = self.scratch.with_file_name("postgres").join("log");
        String::from_utf8_lossy(&std::fs::read(file).expect("PostgreSQL logs to a file")).into_owned()
    }
}

/// A running `switchboard serve`; ended by its pid.
pub struct Server {
    child: Child,
    pub address: String,
    /// From the start of the process to its first readiness.
    pub start: Duration,
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

impl Server {
    pub fn start(settings: &[(&str, String)], arguments: &[&str]) -> Self {
        let address = free_address();
        let started = Instant::now();
        let child = Command::new(PROGRAM)
            .arg("serve")
            .args(arguments)
            .env("SWITCHBOARD_LISTEN", &address)
            .env("SWITCHBOARD_LOG_LEVEL", "error")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .spawn()
            .expect("the server starts");
        while !ready(&address) {
            assert!(started.elapsed() < Duration::from_secs(30), "the server is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, address, start: started.elapsed() }
    }

    /// User and system time that the process used so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or_default();
        let ticks: u64 = after.split(' ').skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// What a load came to, and the time the process used for one of its requests, in microseconds.
    pub async fn during(&self, load: impl Future<Output = Outcome>) -> (Outcome, f64) {
        let before = self.cpu();
        let outcome = load.await;
        let used = self.cpu() - before;
        let answered = u32::try_from(outcome.answered.max(1)).unwrap_or(u32::MAX);
        let each = used.as_secs_f64() * 1e6 / f64::from(answered);
        (outcome, each)
    }

    /// Resident memory, in MiB.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Brings a database's schema up to date.
pub fn migrate(database_url: &str) {
    let settings = [("DATABASE_URL", database_url.to_owned())];
    let done =
        Command::new(PROGRAM).arg("migrate").envs(settings).envs(keys()).stdout(Stdio::null()).status();
    assert!(done.expect("the program runs").success(), "migrations failed");
}

/// Keys that PostgreSQL mode asks for; of no worth outside this run.
pub fn keys() -> Vec<(&'static str, String)> {
    vec![
        ("SWITCHBOARD_MASTER_KEY", "bench:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        ("SWITCHBOARD_PEPPER", "a pepper that is only used by benchmarks".to_owned()),
    ]
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").to_string()
}

fn ready(address: &str) -> bool {
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}
