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
    pub failed: u64,
}

/// Makes the request of a number.
pub type Make = Arc<dyn Fn(u64) -> Request<Full<Bytes>> + Send + Sync>;

#[derive(Clone, Copy, Debug)]
pub enum Wire {
    /// One request at a time on each connection.
    Http1,
    /// gRPC: callers share connections.
    Http2 { callers_per_connection: usize },
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
pub async fn press(address: &str, wire: Wire, load: Load, make: Make, fine: fn(&Response<Bytes>) -> bool) -> Outcome {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now() + load.warm_up;
    let end = begin + load.measured;
    let mut callers = Vec::new();
    let mut shared: Option<http2::SendRequest<Full<Bytes>>> = None;
    for number in 0..load.callers {
        let sender = match wire {
            Wire::Http1 => Sender::One(connect1(address).await),
            Wire::Http2 { callers_per_connection } => {
                if number % callers_per_connection == 0 {
                    shared = Some(connect2(address).await);
                }
                Sender::Two(shared.clone().expect("connected at the first caller"))
            }
        };
        let pace = load.rate.map(|rate| Duration::from_secs_f64(load.callers as f64 / rate));
        let caller = Caller { sender, next: next.clone(), make: make.clone(), fine, pace, begin, end, number };
        callers.push(tokio::spawn(caller.run(load.callers)));
    }
    let mut times = Vec::new();
    let mut failed = 0;
    for caller in callers {
        let (took, bad) = caller.await.expect("a caller does not panic");
        times.extend(took);
        failed += bad;
    }
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() as f64 - 1.0).max(0.0) * share) as usize).copied().unwrap_or_default();
    Outcome {
        per_second: times.len() as f64 / load.measured.as_secs_f64(),
        p50: Duration::from_nanos(at(0.5)),
        p99: Duration::from_nanos(at(0.99)),
        failed,
    }
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
            let fine = self.send(request).await.is_some_and(|answer| (self.fine)(&answer));
            if started >= self.begin {
                if fine {
                    times.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
                } else {
                    failed += 1;
                }
            }
        }
        (times, failed)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<Response<Bytes>> {
        let answer = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await
            }
            Sender::Two(sender) => {
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
