//! The real program in a process of its own.
use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Pair;

/// The settings without which nothing serves from PostgreSQL, and passwords as cheap as it allows.
pub const KEYS: &[(&str, &str)] = &[
    ("SWITCHBOARD_MASTER_KEY", "tests:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("SWITCHBOARD_PEPPER", "a pepper for tests and nothing else"),
    ("SWITCHBOARD_BCRYPT_COST", "10"),
];

/// A running `switchboard serve`; killed when dropped.
pub struct Server {
    child: Child,
    port: u16,
    settings: Vec<(String, String)>,
    output: Arc<Mutex<String>>,
}

impl Server {
    /// Starts on a free port with the pair's databases and returns when it is ready.
    pub async fn start(pair: &Pair, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("DATABASE_URL".to_owned(), pair.database_url.clone())];
        all.extend(pair.redis_url.iter().map(|url| ("REDIS_URL".to_owned(), url.clone())));
        all.extend(
            KEYS.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let port = free_port();
        let output = Arc::default();
        let child = spawn(port, &all, &output);
        let mut server = Self { child, port, settings: all, output };
        server.ready().await;
        server
    }

    /// Kills it (if it still runs) and starts it again: same port, same settings.
    pub async fn restart(&mut self) {
        self.restart_unready();
        self.ready().await;
    }

    /// As [`restart`](Self::restart), without waiting: it may die before it is ready.
    pub fn restart_unready(&mut self) {
        self.kill();
        self.child = spawn(self.port, &self.settings, &self.output);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; waits until it has drained. Fails after 30 s.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.exit().await
    }

    /// Sends a signal by name, such as `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success(), "no process {pid}");
    }

    /// Whether it has come to an end by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Waits for its own end. Fails after 30 s.
    pub async fn exit(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "does not end:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it printed until now, over all starts.
    pub fn output(&self) -> String {
        self.output.lock().expect("no reader panicked").clone()
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Waits until `/readyz` answers 200. Fails after 30 s, or when the program ends before.
    pub async fn ready(&mut self) {
        let begin = Instant::now();
        while !self.answers("/readyz").await {
            if let Some(status) = self.child.try_wait().expect("our child") {
                thread::sleep(Duration::from_millis(100)); // its last words are still being read
                unready(&format!("ended with {status}"), &self.output());
            }
            if begin.elapsed() > Duration::from_secs(30) {
                unready("is not ready after 30 s", &self.output());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn answers(&self, path: &str) -> bool {
        let ask = async {
            let mut stream = tokio::net::TcpStream::connect(self.address()).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address());
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
        };
        tokio::time::timeout(Duration::from_secs(2), ask).await.is_ok_and(|answer| answer.unwrap_or(false))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            println!("--- the server on port {} printed:\n{}", self.port, self.output());
        }
    }
}

fn unready(what: &str, output: &str) -> ! {
    panic!("the server {what}:\n{output}")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback has ports")
        .port()
}

/// Must run on a thread that lives as long as the server: the kernel kills the child when its parent thread ends,
/// so that a killed test run leaves nothing behind.
fn spawn(port: u16, settings: &[(String, String)], output: &Arc<Mutex<String>>) -> Child {
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_switchboard"), "serve"])
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .env("SWITCHBOARD_LISTEN", format!("127.0.0.1:{port}"))
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    collect(child.stdout.take().expect("piped"), output);
    collect(child.stderr.take().expect("piped"), output);
    child
}

fn collect(pipe: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = output.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().expect("no reader panicked");
            output.push_str(&line);
            output.push('\n');
        }
    });
}
