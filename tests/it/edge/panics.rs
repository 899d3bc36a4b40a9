//! An edge in front of services that misbehave, as none of ours does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use serde_json::json;
use switchboard::{
    access::Access,
    auth::seal::Keyring,
    config::Config,
    edge::{
        Cors, Edge, Plain, Webhooks, listener,
        transcode::{Options, Transcoder},
    },
    env::Env,
    service::conversation::Ingress,
    store::{Settings, connect},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, body::Body};
use tower::util::BoxCloneSyncService;

use super::client::{self, call, web};
use crate::support::{Pair, rpc};
use crate::transcoding::client::send;
use crate::transcoding::pool;

const FAIL: &str = "/acme.widgets.v1.WidgetService/Fail";
const ORIGIN: &str = "https://app.example.com";

/// The edge in front of a service whose every call panics.
async fn serve(pair: &Pair, shutdown: &CancellationToken) -> SocketAddr {
    let env = Env::system();
    let database = Settings { url: pair.database_url.clone(), pool: 2 };
    let store = connect(&database, env.clone()).await.unwrap();
    let config = Config::read(|_| None, None).unwrap();
    let access = Access::new(&rpc::POOL, store.clone(), &config, None, "a secret".into()).unwrap();
    let cors = Cors::new([HeaderValue::from_static(ORIGIN)]);
    let rest = Transcoder::new(&pool(), Options { cors: cors.clone(), ..Options::default() }).unwrap();
    let webhooks = Webhooks::new(Ingress::new(store, Keyring::new(&[])), access);
    let plain = Plain {
        ready: Arc::new(|| Box::pin(async { Ok(()) })),
        draining: shutdown.clone(),
        metrics: None,
        openapi: bytes::Bytes::new(),
    };
    let grpc = BoxCloneSyncService::new(tower::service_fn(|request: Request<Body>| async move {
        if request.uri().path() == FAIL {
            panic!("as this test wants");
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let edge = Edge::new(grpc, rest, webhooks, plain, cors, 16, env);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings =
        listener::Settings { tls: None, drain: Duration::from_secs(1), pace: listener::Pace::default() };
    tokio::spawn(listener::serve(listener, edge.service(), settings, shutdown.clone()));
    address
}

/// G32: a panic below is INTERNAL with a generic message, in the manner of each wire; the connection survives, and no
/// request stays in flight.
#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let pair = Pair::sqlite().await;
    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    let at = serve(&pair, &shutdown).await;
    let connection = client::connect(at).await;
    // More often than requests may be in flight.
    for _ in 0..20 {
        let native = call(&connection, FAIL, &[], &[]).await;
        let browser = web(at, FAIL, &[("Origin", ORIGIN)], &[]).await;
        for called in [&native, &browser] {
            assert_eq!((called.status.code(), called.status.message()), (Code::Internal, "internal error"));
        }
        assert_eq!(browser.headers["content-type"], "application/grpc-web+proto");
        assert_eq!(browser.headers["access-control-allow-origin"], ORIGIN);
        let rest = send(at, "GET", "/v1/fail", &[("Origin", ORIGIN)], None).await;
        assert_eq!((rest.status, &rest.json()["message"]), (500, &json!("internal error")));
        assert_eq!(rest.header("access-control-allow-origin"), Some(ORIGIN));
    }
}
