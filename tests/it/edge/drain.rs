//! How the server ends: what is open may finish, within a bound.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::net::TcpStream;
use tonic::Code;

use super::client::{
    Peer, SIGN_UP, SUBSCRIBE, address, call, connect, message, patiently, rest_of, sign_up, subscribe,
};
use super::deadlines::lock;
use crate::support::{Pair, Server, both};

/// After SIGTERM new connections are refused, streams end with a status of their own on every wire, a call that is at
/// work completes, and the process ends with 0.
#[tokio::test]
async fn what_is_open_finishes_after_sigterm() {
    both(async |pair| {
        let mut server = Server::start(&pair, &[]).await;
        let at = address(&server);
        let token = sign_up(at).await;
        let connection = connect(at).await;
        let events = subscribe(at, &token).await;
        let request = message(SUBSCRIBE, &json!({}));
        let stream = {
            let connection = connection.clone();
            tokio::spawn(async move {
                call(&connection, SUBSCRIBE, &[("authorization", token.as_str())], &request).await
            })
        };
        // The lock makes the call hang until the server drains.
        let held = lock(&pair).await;
        let done = Arc::new(Mutex::new(None));
        let unary = {
            let (connection, done) = (connection.clone(), done.clone());
            let request = message(SIGN_UP, &json!({"email": "b@example.com", "password": "Correct-horse-9"}));
            tokio::spawn(async move {
                let called = call(&connection, SIGN_UP, &[], &request).await;
                *done.lock().unwrap() = Some(called.status.code());
                called
            })
        };
        in_flight(at, 4.0).await;

        server.signal("TERM");
        patiently(async {
            while TcpStream::connect(at).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        let ended = patiently(stream).await.unwrap();
        assert_eq!((ended.status.code(), ended.reason().as_str()), (Code::Unavailable, "GOING_AWAY"));
        assert!(ended.retry().is_some());
        let events = rest_of(events).await;
        let status = events.split("event: status").nth(1).unwrap_or_else(|| panic!("{events}"));
        assert!(status.contains("\"code\":14") && status.contains("GOING_AWAY"), "{status}");
        assert_eq!(*done.lock().unwrap(), None, "the call still waits for the lock");

        held.close().await.unwrap();
        let called = patiently(unary).await.unwrap();
        assert_eq!((called.status.code(), called.messages.len()), (Code::Ok, 1), "{:?}", called.status);
        assert_eq!(server.exit().await.code(), Some(0));
    })
    .await;
}

/// Waits until so many requests are at work, the one that asks included.
async fn in_flight(at: std::net::SocketAddr, wanted: f64) {
    let line = format!("switchboard_requests_in_flight {wanted}");
    patiently(async {
        loop {
            let metrics = crate::transcoding::client::send(at, "GET", "/metrics", &[], None).await.text();
            if metrics.lines().any(|found| found == line) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Pitfall 7: a peer that never says anything, one that stops in the middle of a request, and one that never
/// acknowledges the shutdown of HTTP/2 cannot keep the process alive.
#[tokio::test]
async fn silent_peers_do_not_hold_the_server() {
    let pair = Pair::sqlite().await;
    let mut server = Server::start(&pair, &[("SWITCHBOARD_DRAIN_SECONDS", "1")]).await;
    let at = address(&server);
    let silent = TcpStream::connect(at).await.unwrap();
    let mut slow = TcpStream::connect(at).await.unwrap();
    let half = format!("POST /v1/auth:signUp HTTP/1.1\r\nHost: {at}\r\nContent-Length: 99\r\n\r\n{{");
    tokio::io::AsyncWriteExt::write_all(&mut slow, half.as_bytes()).await.unwrap();
    let mut deaf = Peer::connect(at).await;
    deaf.next().await.expect("the server's SETTINGS");
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
    drop((silent, slow, deaf));
}

/// A second signal does not wait.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let pair = Pair::sqlite().await;
    let mut server = Server::start(&pair, &[("SWITCHBOARD_DRAIN_SECONDS", "3600")]).await;
    let at = address(&server);
    let deaf = Peer::connect(at).await;
    server.signal("TERM");
    patiently(async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(1));
    drop(deaf);
}
