//! The programs a measurement needs: PostgreSQL and Redis (durable), the server, all on loopback.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
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

    /// Runs a script of statements through pgbench: transactions a second, and their latencies.
    pub fn pgbench(&self, script: &str, clients: usize, seconds: u64, define: &[(&str, String)]) -> (f64, f64) {
        let file = self.scratch.join("pgbench.sql");
        std::fs::write(&file, script).expect("the scratch folder is writable");
        let bench = newest("/usr/lib/postgresql").join("bin/pgbench");
        let mut command = Command::new(bench);
        command.args(["-n", "-M", "prepared", "-j", "1", "-c"]).arg(clients.to_string());
        command.arg("-T").arg(seconds.to_string()).arg("-f").arg(&file);
        for (name, value) in define {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        let output = command.arg(&self.database_url).output().expect("pgbench runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |label: &str| {
            let line = text.lines().find(|line| line.starts_with(label))?;
            line.split(['=', ' ']).filter_map(|word| word.parse::<f64>().ok()).next()
        };
        let tps = number("tps").unwrap_or_else(|| {
            panic!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr));
        });
        (tps, number("latency average").unwrap_or_default())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // The end of its input is its order to clean up.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// The newest version in a folder of versions.
fn newest(folder: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("PostgreSQL is installed").flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed")
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
    let done = Command::new(PROGRAM).arg("migrate").envs(settings).envs(keys()).stdout(Stdio::null()).status();
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
