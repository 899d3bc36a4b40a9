//! Deadlines: the client's and the server's own, for single answers and for streams, on all three wires.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use tonic::Code;

use super::client::{
    Called, JSON, SIGN_UP, SUBSCRIBE, address, call, connect, message, patiently, sign_up, web,
};
use crate::support::{Pair, Server, both};
use crate::transcoding::client::send;

/// A connection that keeps everybody else from writing people until it is closed.
pub async fn lock(pair: &Pair) -> DatabaseConnection {
    let mut options = ConnectOptions::new(pair.database_url.clone());
    options.max_connections(1);
    let database = Database::connect(options).await.unwrap();
    let lock = match pair.name {
        "sqlite" => "begin immediate",
        _ => "begin; lock table \"user\" in access exclusive mode",
    };
    database.execute_unprepared(lock).await.unwrap();
    database
}

fn account(email: &str) -> serde_json::Value {
    json!({"email": email, "password": "Correct-horse-9", "tenantName": "Shop"})
}

fn check(called: &Called) {
    assert_eq!(
        (called.status.code(), called.reason().as_str()),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
    );
}

/// Pitfalls 5, 6: `grpc-timeout`, and `X-Server-Timeout` over REST, end a call with DEADLINE_EXCEEDED. Hashing a
/// password takes longer than a millisecond.
#[tokio::test]
async fn a_call_ends_at_the_clients_deadline() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let at = address(&server);
        let request = message(SIGN_UP, &account("a@example.com"));
        check(&call(&connect(at).await, SIGN_UP, &[("grpc-timeout", "1m")], &request).await);
        check(&web(at, SIGN_UP, &[("Grpc-Timeout", "1m")], &request).await);
        for deadline in [("X-Server-Timeout", "0.001"), ("Grpc-Timeout", "1m")] {
            let body = account("b@example.com").to_string();
            let answer = send(at, "POST", "/v1/auth:signUp", &[JSON, deadline], Some(body.as_bytes())).await;
            assert_eq!((answer.status, &answer.json()["code"]), (504, &json!(4)), "{}", answer.text());
            assert!(answer.text().contains("DEADLINE_EXCEEDED"), "{}", answer.text());
        }
    })
    .await;
}

/// Pitfall 5: without a deadline of the client's, the server's own ends a call that hangs.
#[tokio::test]
async fn a_call_ends_at_the_servers_deadline() {
    both(async |pair| {
        let server = Server::start(&pair, &[("SWITCHBOARD_REQUEST_TIMEOUT_SECONDS", "1")]).await;
        let at = address(&server);
        let connection = connect(at).await;
        let held = lock(&pair).await;
        let request = message(SIGN_UP, &account("a@example.com"));
        check(&patiently(call(&connection, SIGN_UP, &[], &request)).await);
        // A client cannot ask for more.
        check(&patiently(call(&connection, SIGN_UP, &[("grpc-timeout", "1H")], &request)).await);
        check(&patiently(web(at, SIGN_UP, &[], &request)).await);
        let body = account("a@example.com").to_string();
        let answer = send(at, "POST", "/v1/auth:signUp", &[JSON], Some(body.as_bytes())).await;
        assert_eq!((answer.status, &answer.json()["code"]), (504, &json!(4)));
        held.close().await.unwrap();
        let later =
            patiently(call(&connection, SIGN_UP, &[], &message(SIGN_UP, &account("z@example.com")))).await;
        assert_eq!(later.status.code(), Code::Ok, "{:?}", later.status);
    })
    .await;
}

/// Pitfalls 5, 6, G27: a stream ends at its client's deadline with the same status, after its messages.
#[tokio::test]
async fn a_stream_ends_at_the_clients_deadline() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let at = address(&server);
        let token = sign_up(at).await;
        let request = message(SUBSCRIBE, &json!({"afterSeq": "0"}));
        let headers = [("authorization", token.as_str()), ("grpc-timeout", "1500m")];
        let native = patiently(call(&connect(at).await, SUBSCRIBE, &headers, &request)).await;
        check(&native);
        assert!(!native.headers.contains_key("grpc-status"), "the status comes at the end");
        let browser = patiently(web(at, SUBSCRIBE, &headers, &request)).await;
        check(&browser);
        assert!(!browser.headers.contains_key("grpc-status"), "the status comes at the end");
        for (accept, end) in
            [("text/event-stream", "event: status\ndata: {"), ("application/x-ndjson", "{\"error\":{")]
        {
            let headers =
                [("Authorization", token.as_str()), ("X-Server-Timeout", "1.5"), ("Accept", accept)];
            let answer = send(at, "GET", "/v1/events:subscribe?after_seq=0", &headers, None).await;
            let text = answer.text();
            assert_eq!((answer.status, answer.complete), (200, true));
            let last = text.rfind(end).unwrap_or_else(|| panic!("{accept}: {text}"));
            assert!(text[last..].contains("\"code\":4"), "{accept}: {text}");
        }
    })
    .await;
}
