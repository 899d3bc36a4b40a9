//! CORS: what a page of another origin may call and read.

use tonic::Code;

use super::client::{PLANS, SUBSCRIBE, address, web};
use crate::support::{Pair, Server};
use crate::transcoding::client::{Answer, send};

const APP: &str = "https://app.example.com";
/// What browsers' clients of gRPC-Web and REST send.
const NEEDED: [&str; 8] = [
    "x-grpc-web",
    "grpc-timeout",
    "x-user-agent",
    "content-type",
    "authorization",
    "connect-protocol-version",
    "idempotency-key",
    "last-event-id",
];

async fn server(pair: &Pair) -> Server {
    Server::start(pair, &[("SWITCHBOARD_CORS_ORIGINS", APP)]).await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

fn varies(answer: &Answer) -> bool {
    let mut vary = answer.headers.iter().filter(|(name, _)| name == "vary");
    vary.any(|(_, value)| value.to_ascii_lowercase().contains("origin"))
}

/// Pitfalls 1, 13: preflights are answered for configured origins, on REST paths and on those of rpcs.
#[tokio::test]
async fn only_configured_origins_pass_the_preflight() {
    let pair = Pair::sqlite().await;
    let server = server(&pair).await;
    for path in ["/v1/tenant", PLANS, "/grpc.health.v1.Health/Check"] {
        let ask = |origin| [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let answer = send(address(&server), "OPTIONS", path, &ask(APP), None).await;
        assert!(matches!(answer.status, 200 | 204), "{path}: {}", answer.status);
        assert_eq!(allowed(&answer), Some(APP), "{path}");
        assert!(answer.header("access-control-max-age").is_some() && varies(&answer));
        let headers = answer.header("access-control-allow-headers").unwrap();
        for name in NEEDED {
            assert!(headers.contains(name), "{path}: {name}");
        }
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(
            ["GET", "POST", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)),
            "{methods}"
        );
        for stranger in
            ["https://evil.example.com", "http://app.example.com", "https://app.example.com.evil.com", "null"]
        {
            let answer = send(address(&server), "OPTIONS", path, &ask(stranger), None).await;
            assert_eq!((allowed(&answer), varies(&answer)), (None, true), "{path} {stranger}");
            assert_eq!(answer.header("access-control-allow-headers"), None);
        }
    }
}

/// Pitfall 13, G37, G38: an error before the first message is all in the headers, and the page may read them.
#[tokio::test]
async fn a_page_reads_the_status_of_an_error() {
    let pair = Pair::sqlite().await;
    let server = server(&pair).await;
    let origin = [("Origin", APP)];
    for (path, code) in [("/a.b/C", Code::Unimplemented), (SUBSCRIBE, Code::Unauthenticated)] {
        let called = web(address(&server), path, &origin, &[]).await;
        assert_eq!(called.status.code(), code, "{path}");
        assert!(called.headers.contains_key("grpc-status"), "{path}: {:?}", called.headers);
        assert_eq!(called.headers["access-control-allow-origin"], APP);
        let exposed = called.headers["access-control-expose-headers"].to_str().unwrap();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after", "x-request-id"]
        {
            assert!(exposed.contains(name), "{name}: {exposed}");
        }
    }
    let stranger = web(address(&server), "/a.b/C", &[("Origin", "https://evil.example.com")], &[]).await;
    assert!(!stranger.headers.contains_key("access-control-allow-origin"));
}

/// The same over REST, for what is refused before and after a route is found.
#[tokio::test]
async fn a_page_reads_the_errors_of_rest() {
    let pair = Pair::sqlite().await;
    let server = server(&pair).await;
    for (method, path, status) in
        [("GET", "/v1/tenant", 401), ("GET", "/v1/nope", 404), ("PUT", "/v1/tenant", 405)]
    {
        let answer = send(address(&server), method, path, &[("Origin", APP)], None).await;
        assert_eq!((answer.status, allowed(&answer), varies(&answer)), (status, Some(APP), true), "{path}");
        let without = send(address(&server), method, path, &[], None).await;
        assert_eq!((without.status, allowed(&without), varies(&without)), (status, None, true), "{path}");
    }
}
