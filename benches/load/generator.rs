//! A closed-loop load: so many callers, each with its own connection, for so long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Warm-up included.
    pub failed: u64,
    /// Warm-up included.
    pub answered: u64,
}

impl Outcome {
    /// `times` are nanoseconds, in order.
    pub fn of(times: &[u64], per_second: f64, failed: u64) -> Self {
        let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
        let at = |percent| Duration::from_nanos(at(percent).copied().unwrap_or_default());
        Self { per_second, p50: at(50), p99: at(99), failed, answered: 0 }
    }
}

/// Makes the request of a number.
pub type Make = Arc<dyn Fn(u64) -> Request<Full<Bytes>> + Send + Sync>;

#[derive(Clone, Copy, Debug)]
pub enum Wire {
    /// One request at a time on each connection.
    Http1,
    /// Four callers share a connection, as gRPC clients do.
    Http2,
}

/// How hard to press.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub callers: usize,
    pub warm_up: Duration,
    pub measured: Duration,
    /// Requests a second of all callers together; none: as fast as answers come.
    pub rate: Option<f64>,
}

/// Presses `address` and measures; the answer's body is read to its end and `fine` judges it.
pub async fn press(
    address: &str,
    wire: Wire,
    load: Load,
    make: Make,
    fine: fn(&Response<Bytes>) -> bool,
) -> Outcome {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now() + load.warm_up;
    let end = begin + load.measured;
    let mut callers = Vec::new();
    let mut shared: Option<http2::SendRequest<Full<Bytes>>> = None;
    for number in 0..load.callers {
        let sender = match wire {
            Wire::Http1 => Sender::One(connect1(address).await),
            Wire::Http2 => {
                if number % 4 == 0 {
                    shared = Some(connect2(address).await);
                }
                Sender::Two(shared.clone().expect("connected at the first caller"))
            }
        };
        let pace = load.rate.map(|rate| Duration::from_secs_f64(load.callers as f64 / rate));
        let caller =
            Caller { sender, next: next.clone(), make: make.clone(), fine, pace, begin, end, number };
        callers.push(tokio::spawn(caller.run(load.callers)));
    }
    let mut times = Vec::new();
    let mut failed = 0;
    for caller in callers {
        let (took, bad) = caller.await.expect("a caller does not panic");
        times.extend(took);
        failed += bad;
    }
    let answered = next.load(Ordering::Relaxed) - failed;
    times.sort_unstable();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    Outcome { answered, ..Outcome::of(&times, f64::from(count) / load.measured.as_secs_f64(), failed) }
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

struct Caller {
    sender: Sender,
    next: Arc<AtomicU64>,
    make: Make,
    fine: fn(&Response<Bytes>) -> bool,
    pace: Option<Duration>,
    begin: Instant,
    end: Instant,
    number: usize,
}

impl Caller {
    async fn run(mut self, callers: usize) -> (Vec<u64>, u64) {
        let (mut times, mut failed) = (Vec::with_capacity(100_000), 0);
        // Paced callers start spread over one period, and latency counts from when the request was due.
        let mut due = Instant::now()
            + self.pace.map_or(Duration::ZERO, |pace| pace.mul_f64(self.number as f64 / callers as f64));
        while Instant::now() < self.end {
            let started = match self.pace {
                Some(pace) => {
                    tokio::time::sleep_until(due.into()).await;
                    let started = due;
                    due += pace;
                    started
                }
                None => Instant::now(),
            };
            let request = (self.make)(self.next.fetch_add(1, Ordering::Relaxed));
            let fine = self.sender.send(request).await.is_some_and(|answer| (self.fine)(&answer));
            if !fine {
                failed += 1;
            } else if started >= self.begin {
                times.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
        }
        (times, failed)
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<Response<Bytes>> {
        let answer = match self {
            Self::One(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await
            }
        };
        let (mut head, body) = answer.ok()?.into_parts();
        let body = body.collect().await.ok()?;
        if let Some(trailers) = body.trailers() {
            head.headers.extend(trailers.clone());
        }
        Some(Response::from_parts(head, body.to_bytes()))
    }
}

/// Sends one request on a connection of its own.
pub async fn ask(address: &str, wire: Wire, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let mut sender = match wire {
        Wire::Http1 => Sender::One(connect1(address).await),
        Wire::Http2 => Sender::Two(connect2(address).await),
    };
    sender.send(request).await.expect("the server answers")
}

async fn connect1(address: &str) -> http1::SendRequest<Full<Bytes>> {
    let (sender, connection) = http1::handshake(TokioIo::new(tcp(address).await)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    sender
}

async fn connect2(address: &str) -> http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(tcp(address).await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a TCP option");
    stream
}
