//! What is expected of connections over time, at a pace that a test can wait for; and TLS.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use switchboard::edge::bodies::{self, Body};
use switchboard::edge::listener::{self, Leaving, Pace, Settings};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::client::{self, GO_AWAY, PING, Peer, patiently, rest_of};
use crate::support::{Pair, app::TestApp};

/// A server that answers `ok`, and at `/stream` a body that stays open until its connection is to go.
struct Listening {
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// So long that it does not come.
const NEVER: Duration = Duration::from_secs(3600);

fn patient() -> Pace {
    Pace { greeting: NEVER, ping: NEVER, pong: NEVER, age: NEVER, grace: NEVER }
}

async fn listen(pace: Pace) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let service =
        tower::service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(&request)) });
    let settings = Settings { tls: None, drain: Duration::from_millis(100), pace };
    tokio::spawn(listener::serve(listener, service, settings, shutdown.clone()));
    Listening { address, shutdown }
}

fn answer(request: &Request<Incoming>) -> Response<Body> {
    if request.uri().path() != "/stream" {
        return Response::new(bodies::full("ok"));
    }
    let Leaving(leaving) = request.extensions().get::<Leaving>().expect("every request has it").clone();
    let stream = async_stream::stream! {
        yield Ok(http_body::Frame::data(bytes::Bytes::from_static(b"first ")));
        leaving.cancelled().await;
        yield Ok(http_body::Frame::data(bytes::Bytes::from_static(b"last")));
    };
    Response::new(StreamBody::new(stream).boxed_unsync())
}

/// Pitfalls 7, 8: who does not say which protocol it speaks, or begins a head and does not end it, is left.
#[tokio::test]
async fn a_peer_must_begin_to_speak() {
    let server = listen(Pace { greeting: Duration::from_millis(200), ..patient() }).await;
    for said in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GET / HTTP/1.1\r\nHost: a\r\nX-Unfinished: "] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let rest = rest_of(stream).await;
        assert!(!rest.contains("200 OK"), "{said:?}: {rest}");
    }
}

/// An idle connection of HTTP/2 stays: clients of gRPC connect before they call.
#[tokio::test]
async fn an_idle_client_stays() {
    let pace = Pace { greeting: Duration::from_millis(100), ping: Duration::from_millis(100), ..patient() };
    let server = listen(pace).await;
    let mut peer = Peer::connect(server.address).await;
    for _ in 0..4 {
        let ping = peer.until(PING).await.expect("still open");
        peer.send(PING, 1, 0, &ping.payload).await;
    }
}

/// Pitfall 9: a peer that does not answer the server's pings is left.
#[tokio::test]
async fn a_dead_peer_is_noticed() {
    let pace = Pace { ping: Duration::from_millis(100), pong: Duration::from_millis(200), ..patient() };
    let server = listen(pace).await;
    let mut peer = Peer::connect(server.address).await;
    peer.until(PING).await.expect("a ping");
    while peer.next().await.is_some() {}
}

/// Pitfall 9: opening and resetting streams as fast as one can ends the connection.
#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let server = listen(patient()).await;
    let mut peer = Peer::connect(server.address).await;
    // GET, http, / and an authority of `a`.
    let head = [0x82, 0x86, 0x84, 0x01, 0x01, b'a'];
    let mut flood = Vec::new();
    for stream in (1_u32..4000).step_by(2) {
        flood.extend([&[0, 0, 6, 1, 5], &stream.to_be_bytes()[..], &head].concat());
        flood.extend([&[0, 0, 4, 3, 0], &stream.to_be_bytes()[..], &[0, 0, 0, 8]].concat());
    }
    peer.write(&flood).await;
    // ENHANCE_YOUR_CALM is 11.
    if let Some(frame) = peer.until(GO_AWAY).await {
        assert_eq!(frame.payload[4..8], [0, 0, 0, 11], "{frame:?}");
    }
    while peer.next().await.is_some() {}
}

/// Pitfall 23: an old connection is asked to go; a while later its streams end with their own last words.
#[tokio::test]
async fn an_old_connection_goes() {
    let pace = Pace { age: Duration::from_millis(200), grace: Duration::from_millis(200), ..patient() };
    let server = listen(pace).await;
    let mut peer = Peer::connect(server.address).await;
    let away = peer.until(GO_AWAY).await.expect("asked to go");
    assert_eq!(away.payload[4..8], [0; 4], "without an error");

    let http2 = client::reqwest().http2_prior_knowledge().build().unwrap();
    let stream = http2.get(format!("http://{}/stream", server.address)).send().await.unwrap();
    assert_eq!(patiently(stream.text()).await.unwrap(), "first last");
    let (_, stream) = client::open(server.address, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(rest_of(stream).await.contains("last"));
}

/// Pitfall 19: with TLS the one port offers HTTP/2 and HTTP/1.1 by ALPN, and speaks what is chosen, or HTTP/1.1 when
/// nothing is; plaintext is no way in.
#[tokio::test]
async fn tls_offers_both_protocols() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
    let (certificate, key) = (format!("{data}/certificate.pem"), format!("{data}/key.pem"));
    let settings = [("SWITCHBOARD_TLS_CERT", certificate.as_str()), ("SWITCHBOARD_TLS_KEY", key.as_str())];
    let pair = Pair::sqlite().await;
    let app = TestApp::with(&pair, &settings).await;
    let (at, running) = app.serve().await;

    let trusted = reqwest::Certificate::from_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    let trusting = || client::reqwest().tls_certs_only([trusted.clone()]);
    let url = format!("https://127.0.0.1:{}/v1/plans", at.port());
    for (client, version) in [
        (trusting().build(), http::Version::HTTP_2),
        (trusting().http1_only().build(), http::Version::HTTP_11),
        (trusting().http2_prior_knowledge().build(), http::Version::HTTP_2),
    ] {
        let answer = client.unwrap().get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    for (offered, chosen) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        assert_eq!(alpn(at, &certificate, offered).await.as_deref(), chosen, "{offered:?}");
    }
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(!rest_of(plain).await.contains("200 OK"));
    running.stop().await;
}

/// The protocol that the server chooses from what a client offers.
async fn alpn(at: SocketAddr, certificate: &str, offered: &[&str]) -> Option<String> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(at).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap())
}
