//! The real program in its roles, each process with a log of its own. They go when this is dropped, and with the
//! thread that started them: the kernel sees to that, however this program ends.
use std::{
    fs::{File, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

/// Longer than a start takes while everything else is broken, on a machine with too much to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Api,
    Worker,
    Relay,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Relay => "relay",
        }
    }
}

/// One process, over all its lives.
pub struct Process {
    pub role: Role,
    port: u16,
    child: Child,
    log: PathBuf,
    settings: Vec<(String, String)>,
    /// How often it was started.
    pub lives: usize,
}

impl Process {
    /// Must be called on a thread that lives as long as the process is to live.
    pub fn start(role: Role, number: usize, settings: &[(String, String)], folder: &Path) -> Self {
        let port = free_port();
        let log = folder.join(format!("{}-{number}.log", role.name()));
        let child = spawn(role, port, settings, &log);
        Self { role, port, child, log, settings: settings.to_vec(), lives: 1 }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// By which its metrics are told from those of its earlier lives.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A life after the last one, on the same port; with `more` settings for this one.
    pub fn start_again(&mut self, more: &[(&str, &str)]) {
        self.kill();
        self.lives += 1;
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<_> = self.settings.iter().cloned().chain(more).collect();
        self.child = spawn(self.role, self.port, &settings, &self.log);
    }

    /// Sends a signal by name: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "no process {}", self.pid());
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Waits for its own end. False when that takes too long.
    pub async fn ends_within(&mut self, patience: Duration) -> bool {
        let begin = Instant::now();
        while !self.has_ended() {
            if begin.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// Waits until it is ready. Starts it anew when it ended: what it needs may have been away.
    pub async fn ready(&mut self) {
        let begin = Instant::now();
        while get(&self.address(), "/readyz").await.is_none() {
            assert!(
                begin.elapsed() < PATIENCE,
                "{} is not ready: see {}",
                self.role.name(),
                self.log.display()
            );
            if self.has_ended() {
                self.start_again(&[]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text of its `/metrics`; `None` when it does not answer.
    pub async fn metrics(&self) -> Option<String> {
        get(&self.address(), "/metrics").await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs one command of the program to its end.
pub fn run(command: &str, settings: &[(String, String)]) {
    let done =
        Command::new(PROGRAM).arg(command).envs(settings.iter().cloned()).stdout(Stdio::null()).status();
    assert!(done.expect("the program runs").success(), "switchboard {command} failed");
}

fn spawn(role: Role, port: u16, settings: &[(String, String)], log: &Path) -> Child {
    let open =
        || -> File { OpenOptions::new().create(true).append(true).open(log).expect("the folder is there") };
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", PROGRAM, "serve", "--only", role.name()])
        .env("SWITCHBOARD_LISTEN", format!("127.0.0.1:{port}"))
        .envs(settings.iter().cloned())
        .stdin(Stdio::null())
        .stdout(open())
        .stderr(open())
        .spawn()
        .expect("the program starts")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

/// The body of an answer with 200.
pub async fn get(address: &str, path: &str) -> Option<String> {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), ask).await.ok()?.ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}
