//! The accept loop: HTTP/1.1 and HTTP/2 on one port, TLS where configured, with limits on connections,
//! headers and age that `axum::serve` and tonic's own server do not offer, and a drain that ends.

mod heard;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::bodies::Body;
use heard::Heard;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 16_384;
/// How connections are served.
#[derive(Clone)]
pub struct Settings {
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long requests in flight may take once the server is asked to stop.
    pub drain: Duration,
    pub pace: Pace,
}

/// What is expected of a connection over time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a peer may take to say which protocol it speaks, and to send the head of a request.
    pub greeting: Duration,
    /// An HTTP/2 connection is pinged so often.
    pub ping: Duration,
    /// How long the answer to a ping may take.
    pub pong: Duration,
    /// A connection is asked to go after so long, and up to a sixth more by its port: long-lived clients
    /// spread over new processes, and not all at one moment.
    pub age: Duration,
    /// What still streams this long after that is told to continue elsewhere.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(10),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
            age: Duration::from_secs(3600),
            grace: Duration::from_secs(60),
        }
    }
}

/// Cancelled when the connection of a request is about to go, in the request's extensions: streams end then.
/// The peer's `SocketAddr` is there too.
#[derive(Clone, Debug)]
pub struct Leaving(pub CancellationToken);

/// Serves until `shutdown`, then drains: no new connections, what is in flight finishes within `drain`,
/// and what does not is cut.
pub async fn serve<S>(listener: TcpListener, service: S, settings: Settings, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let tls = settings.tls.map(TlsAcceptor::from);
    let open = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection {
                    peer,
                    pace: settings.pace,
                    service: service.clone(),
                    shutdown: shutdown.clone(),
                    cut: cut.clone(),
                };
                let tls = tls.clone();
                open.spawn(async move {
                    connection.run(stream, tls).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors: accepting again at once would spin.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    open.close();
    // hyper waits for peers that never acknowledge (hyperium/hyper#4170): bounded, then cut.
    if tokio::time::timeout(settings.drain, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "cut: they did not finish in time");
        cut.cancel();
        open.wait().await;
    }
}

struct Connection<S> {
    peer: SocketAddr,
    pace: Pace,
    service: S,
    shutdown: CancellationToken,
    cut: CancellationToken,
}

impl<S> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let Some(tls) = tls else { return self.http(stream).await };
        match tokio::time::timeout(self.pace.greeting, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, pace, service, shutdown, cut } = self;
        let leaving = shutdown.child_token();
        let told = Leaving(leaving.clone());
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(told.clone());
            service.clone().call(request)
        });
        let (stream, heard) = Heard::new(stream);
        let builder = protocol(pace);
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let age = pace.age + pace.age * u32::from(peer.port() % 600) / 3600;
        let mut greeting = pin!(tokio::time::sleep(pace.greeting));
        let mut aged = pin!(tokio::time::sleep(age));
        let mut farewell = pin!(tokio::time::sleep(age + pace.grace));
        let (mut greeted, mut asked_to_go) = (false, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                // hyper itself waits for ever to learn the protocol.
                () = greeting.as_mut(), if !greeted => {
                    greeted = heard.preface();
                    if !greeted {
                        return;
                    }
                }
                () = shutdown.cancelled(), if !asked_to_go => {
                    asked_to_go = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = aged.as_mut(), if !asked_to_go => {
                    asked_to_go = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = farewell.as_mut(), if !leaving.is_cancelled() => leaving.cancel(),
                () = cut.cancelled() => return,
            }
        }
    }
}

/// Limits and keep-alive of both protocols. tonic leaves them off; hyper needs a timer to have them.
fn protocol(pace: Pace) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(pace.greeting).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(pace.ping)
        .keep_alive_timeout(pace.pong)
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(1_000)
        // Rapid reset: more than these from one peer end its connection.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1_024);
    builder
}
