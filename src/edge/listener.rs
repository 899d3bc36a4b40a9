//! The accept loop: HTTP/1.1 and HTTP/2 on one port, TLS where configured, with limits on connections,
//! headers and age that `axum::serve` and tonic's own server do not offer, and a drain that ends.

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

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 16_384;
/// A connection is asked to go after so long, so that long-lived clients spread over new processes.
const AGE: Duration = Duration::from_secs(3600);

/// How connections are served.
#[derive(Clone)]
pub struct Settings {
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long requests in flight may take once the server is asked to stop.
    pub drain: Duration,
}

/// The peer of a connection, in the extensions of each of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

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
        match tokio::time::timeout(Duration::from_secs(10), tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, service, shutdown, cut } = self;
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            // For the floors below, which do not know the edge.
            request.extensions_mut().insert(peer);
            service.clone().call(request)
        });
        let builder = protocol();
        let mut connection = pin!(
            builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        );
        // Spread by port, so that connections of one moment do not all leave at one moment.
        let mut aged = pin!(tokio::time::sleep(AGE + Duration::from_secs(u64::from(peer.port()) % 600)));
        let mut leaving = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                () = shutdown.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = aged.as_mut(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = cut.cancelled() => return,
            }
        }
    }
}

/// Limits and keep-alive of both protocols. tonic leaves them off; hyper needs a timer to have them.
fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(1_000)
        // Rapid reset: more than these from one peer end its connection.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1_024);
    builder
}
