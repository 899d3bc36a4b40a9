//! Sizes, load, headers: what is too much is refused with a type, before it costs anything.

use prost::Message as _;
use prost_reflect::{DynamicMessage, Value as Proto};
use serde_json::json;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::client::{
    self, JSON, PLANS, address, call, channel, connect, message, open, patiently, sign_up, web,
};
use crate::support::{Pair, Server, both, rpc};
use crate::transcoding::client::send;

const LIMIT: usize = 2 * 1024 * 1024;
const CREATE: &str = "/switchboard.conversation.v1.KnowledgeService/CreateDocument";

/// A document whose message has so many bytes.
fn document(size: usize) -> Vec<u8> {
    let input = rpc::method("KnowledgeService.CreateDocument").input();
    let make = |length: usize| {
        let mut message = DynamicMessage::new(input.clone());
        message.set_field_by_name("title", Proto::String("a".into()));
        message.set_field_by_name("content", Proto::String("x".repeat(length)));
        message.encode_to_vec()
    };
    let around = (size - 16..size).map(make).find(|message| message.len() == size);
    around.expect("a length that comes to the size")
}

/// Pitfalls 10, 11: one byte more than 2 MiB is RESOURCE_EXHAUSTED on every wire, and nothing is written; with one
/// byte less it is the field that is too long.
#[tokio::test]
async fn two_mebibytes_and_one_byte_are_too_much() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let at = address(&server);
        let token = sign_up(at).await;
        let connection = connect(at).await;
        let headers = [("authorization", token.as_str())];

        for (size, code, reason) in [
            (LIMIT + 1, Code::ResourceExhausted, "REQUEST_TOO_LARGE"),
            (LIMIT, Code::InvalidArgument, "INVALID_FIELD"),
        ] {
            let native = call(&connection, CREATE, &headers, &document(size)).await;
            assert_eq!((native.status.code(), native.reason().as_str()), (code, reason), "gRPC, {size}");
            let browser = web(at, CREATE, &headers, &document(size)).await;
            assert_eq!(
                (browser.status.code(), browser.reason().as_str()),
                (code, reason),
                "gRPC-Web, {size}"
            );
        }
        for (size, http, code, reason) in
            [(LIMIT + 1, 413, 8, "REQUEST_TOO_LARGE"), (LIMIT, 400, 3, "INVALID_FIELD")]
        {
            let frame = r#"{"title":"a","content":""}"#.len();
            let body = format!(r#"{{"title":"a","content":"{}"}}"#, "x".repeat(size - frame));
            let authorization = ("Authorization", token.as_str());
            let answer =
                send(at, "POST", "/v1/documents", &[JSON, authorization], Some(body.as_bytes())).await;
            assert_eq!((answer.status, &answer.json()["code"]), (http, &json!(code)), "REST, {size}");
            assert!(answer.text().contains(reason), "{}", answer.text());
            let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            let headers = [JSON, authorization, ("Transfer-Encoding", "chunked")];
            let answer = send(at, "POST", "/v1/documents", &headers, Some(chunked.as_bytes())).await;
            assert_eq!(answer.status, http, "REST in chunks, {size}");
        }
        let list = send(at, "GET", "/v1/documents", &[("Authorization", &token)], None).await.json();
        assert_eq!(list["documents"], json!([]), "nothing was written");
    })
    .await;
}

/// Pitfall 11: raw bodies have their own limit, of what a messenger may batch.
#[tokio::test]
async fn a_delivery_is_limited_too() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let body = vec![b'x'; 4 * 1024 * 1024 + 1];
    let path = "/webhooks/inbound/chn_01h455vb4pex5vsknk084sn02q";
    let answer = send(address(&server), "POST", path, &[], Some(&body)).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(8)));
    let get = send(address(&server), "GET", path, &[], None).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, OPTIONS")));
}

/// Pitfall 12, G33: more requests than the process takes are UNAVAILABLE at once, with the time to come back; health
/// and probes are exempt; a stream counts until it ends.
#[tokio::test]
async fn overload_is_told_on_every_wire() {
    let pair = Pair::sqlite().await;
    let origin = "https://app.example.com";
    let settings = [("SWITCHBOARD_MAX_IN_FLIGHT", "1"), ("SWITCHBOARD_CORS_ORIGINS", origin)];
    let server = Server::start(&pair, &settings).await;
    let at = address(&server);
    let token = sign_up(at).await;
    let connection = connect(at).await;
    let stream = patiently(async {
        // The request before may still be on its way out.
        loop {
            let ask =
                format!("GET /v1/events:subscribe HTTP/1.1\r\nHost: {at}\r\nAuthorization: {token}\r\n\r\n");
            let (head, stream) = open(at, &ask).await;
            if head.starts_with("HTTP/1.1 200") {
                return stream;
            }
        }
    })
    .await;

    let native = call(&connection, PLANS, &[], &[]).await;
    let browser = web(at, PLANS, &[("Origin", origin)], &[]).await;
    for refused in [&native, &browser] {
        assert_eq!((refused.status.code(), refused.reason().as_str()), (Code::Unavailable, "OVERLOADED"));
        assert!(refused.retry().is_some(), "{:?}", refused.status);
    }
    assert_eq!(native.headers["content-type"], "application/grpc");
    assert_eq!(browser.headers["content-type"], "application/grpc-web+proto");
    assert_eq!(browser.headers["access-control-allow-origin"], origin);
    for path in ["/v1/plans", "/webhooks/telegram/x"] {
        let rest = send(at, "GET", path, &[("Origin", origin)], None).await;
        assert_eq!((rest.status, rest.header("retry-after")), (503, Some("1")), "{path}");
        assert_eq!(rest.header("access-control-allow-origin"), Some(origin), "{path}");
        let kinds: Vec<_> =
            rest.json()["details"].as_array().unwrap().iter().map(|d| d["@type"].clone()).collect();
        for kind in ["ErrorInfo", "RetryInfo"] {
            assert!(kinds.contains(&json!(format!("type.googleapis.com/google.rpc.{kind}"))), "{kinds:?}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        assert_eq!(send(at, "GET", path, &[], None).await.status, 200, "{path}");
    }
    let mut health = HealthClient::new(channel(at).await);
    health.check(HealthCheckRequest::default()).await.unwrap();

    drop(stream);
    patiently(async {
        while call(&connection, PLANS, &[], &[]).await.status.code() != Code::Ok {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// G11: 64 KiB of headers are 431 over HTTP/1.1, and over HTTP/2 that or a reset; the connection lives on.
#[tokio::test]
async fn headers_are_limited() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let large = "x".repeat(64 * 1024);
    let answer = client::bytes(
        at,
        format!("GET /v1/plans HTTP/1.1\r\nHost: {at}\r\nX-Large: {large}\r\n\r\n").as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 431);
    let http2 = client::reqwest().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{at}/v1/plans");
    if let Ok(answer) = http2.get(&url).header("x-large", &large).send().await {
        assert_eq!(answer.status().as_u16(), 431);
    }
    assert_eq!(http2.get(&url).send().await.unwrap().status().as_u16(), 200);
}

/// Pitfall 22: an error with as many violations as a request can have fits a header list of 16 KiB.
#[tokio::test]
async fn the_details_of_an_error_are_bounded() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let token = sign_up(at).await;
    let many =
        json!({"tags": vec!["x".repeat(1000); 500], "category": "x".repeat(2000), "title": "x".repeat(900)});
    let headers = [("authorization", token.as_str())];
    let refused = call(&connect(at).await, CREATE, &headers, &message(CREATE, &many)).await;
    assert_eq!(refused.status.code(), Code::InvalidArgument);
    let size: usize =
        refused.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(size < 8 * 1024, "{size} bytes of headers");
    let violations =
        tonic_types::StatusExt::get_details_bad_request(&refused.status).unwrap().field_violations;
    assert!((3..=50).contains(&violations.len()), "{}", violations.len());
}

/// Request ids are the client's if they are short and printable, else made here, on every wire; the log has them.
#[tokio::test]
async fn a_request_keeps_its_id() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[("SWITCHBOARD_LOG_FORMAT", "json")]).await;
    let at = address(&server);
    let token = sign_up(at).await;
    let connection = connect(at).await;
    let id = async |given: Option<&str>| {
        let headers: Vec<_> = given.map(|id| ("x-request-id", id)).into_iter().collect();
        let rest = send(at, "GET", "/v1/plans", &headers, None).await;
        let native = call(&connection, PLANS, &headers, &[]).await;
        let browser = web(at, PLANS, &headers, &[]).await;
        let refused = send(at, "GET", "/v1/nope", &headers, None).await;
        let of = |called: &client::Called| called.headers["x-request-id"].to_str().unwrap().to_owned();
        let rest = [rest, refused].map(|answer| answer.header("x-request-id").unwrap().to_owned());
        [&rest[..], &[of(&native), of(&browser)]].concat()
    };
    let longest = "x".repeat(128);
    for given in ["order-17:retry.2", longest.as_str()] {
        assert!(id(Some(given)).await.iter().all(|id| id == given), "{given}");
    }
    let long = "x".repeat(129);
    for given in [None, Some(long.as_str()), Some("a b"), Some("a\"b"), Some("")] {
        let made = id(given).await;
        assert!(
            made.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())),
            "{made:?}"
        );
        let distinct: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), made.len(), "{made:?}");
    }
    let headers = [("Authorization", token.as_str()), ("X-Request-Id", "find-me")];
    assert_eq!(send(at, "GET", "/v1/tenant", &headers, None).await.status, 200);
    let line = patiently(async {
        loop {
            let output = server.output();
            if let Some(line) = output.lines().find(|line| line.contains("\"find-me\"")) {
                return line.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["method"], "switchboard.tenant.v1.TenantService/GetTenant");
    assert_eq!((&line["status"], &line["wire"]), (&json!("200"), &json!("http")));
    assert!(line["tenant.id"].as_str().unwrap().starts_with("ten_"), "{line}");
}

/// Pitfall 21: the address of the client reaches the limits below, on every wire.
#[tokio::test]
async fn the_clients_address_is_known_below() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[("SWITCHBOARD_RATE_PUBLIC", "3/1h")]).await;
    let at = address(&server);
    let other = |address: [u8; 4]| {
        let client = client::reqwest().local_address(std::net::IpAddr::from(address)).build().unwrap();
        let url = format!("http://{at}/v1/plans");
        async move { client.get(url).send().await.unwrap().status().as_u16() }
    };
    assert_eq!(send(at, "GET", "/v1/plans", &[], None).await.status, 200);
    assert_eq!(call(&connect(at).await, PLANS, &[], &[]).await.status.code(), Code::Ok);
    assert_eq!(web(at, PLANS, &[], &[]).await.status.code(), Code::Ok);
    // Three calls, one from each wire, were of one address.
    assert_eq!(send(at, "GET", "/v1/plans", &[], None).await.status, 429);
    assert_eq!(call(&connect(at).await, PLANS, &[], &[]).await.status.code(), Code::ResourceExhausted);
    assert_eq!(web(at, PLANS, &[], &[]).await.status.code(), Code::ResourceExhausted);
    assert_eq!(other([127, 0, 0, 1]).await, 429);
    assert_eq!(other([127, 0, 0, 2]).await, 200);
}
