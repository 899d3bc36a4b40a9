//! Everything on one port: three wires, reflection, health, plain paths.

use std::collections::BTreeSet;

use http::Version;
use serde_json::json;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use super::client::{
    self, JSON, PLANS, SIGN_UP, address, call, channel, connect, frame, message, sign_up, web, web_answer,
};
use crate::support::{Pair, Server, rpc};
use crate::transcoding::client::send;

/// Pitfalls 1, 8: one port answers gRPC on HTTP/2, gRPC-Web on HTTP/1.1, REST on both, and browsers and probes.
#[tokio::test]
async fn one_port_speaks_every_wire() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let connection = connect(at).await;

    let native = call(&connection, PLANS, &[], &[]).await;
    assert_eq!((native.http, native.status.code()), (200, Code::Ok));
    let browser = web(at, PLANS, &[], &[]).await;
    assert_eq!((browser.http, browser.status.code()), (200, Code::Ok));
    assert_eq!(native.messages, browser.messages);

    let rest = send(at, "GET", "/v1/plans", &[], None).await;
    assert_eq!(rest.status, 200);
    let http2 = client::reqwest().http2_prior_knowledge().build().unwrap();
    let over_http2 = http2.get(format!("http://{at}/v1/plans")).send().await.unwrap();
    assert_eq!((over_http2.version(), over_http2.status().as_u16()), (Version::HTTP_2, 200));
    assert_eq!(over_http2.json::<serde_json::Value>().await.unwrap(), rest.json());

    for (path, kind) in [
        ("/healthz", "application/json"),
        ("/readyz", "application/json"),
        ("/metrics", "text/plain"),
        ("/openapi.json", "application/json"),
        ("/docs", "text/html"),
    ] {
        let answer = send(at, "GET", path, &[], None).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with(kind), "{path}: {:?}", answer.headers);
        let head = send(at, "HEAD", path, &[], None).await;
        assert_eq!(head.status, 200, "{path}");
        let refused = send(at, "POST", path, &[JSON], Some(b"{}")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{path}");
        assert_eq!(refused.json()["code"], 12, "{path}: an error like any other");
    }
    let root = send(at, "GET", "/", &[], None).await;
    assert_eq!((root.status, root.header("location")), (302, Some("/docs")));
}

/// Pitfall 3: a path that nobody serves is a JSON 404, and UNIMPLEMENTED only for gRPC.
#[tokio::test]
async fn unknown_paths_are_not_found_in_the_manner_of_the_wire() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    for path in ["/nope", "/v1/nope", "/v1", "/switchboard.tenant.v1.AuthService/Nope", "/a.b/C", "/V1/plans"]
    {
        for (method, body) in [("GET", None), ("POST", Some(&b"{}"[..]))] {
            let answer = send(at, method, path, &[JSON], body).await;
            assert_eq!(
                (answer.status, &answer.json()["status"]),
                (404, &json!("NOT_FOUND")),
                "{method} {path}"
            );
        }
    }
    let connection = connect(at).await;
    for path in ["/a.b/C", "/switchboard.tenant.v1.AuthService/Nope"] {
        let native = call(&connection, path, &[], &[]).await;
        assert_eq!((native.http, native.status.code()), (200, Code::Unimplemented), "{path}");
        let browser = web(at, path, &[], &[]).await;
        assert_eq!((browser.http, browser.status.code()), (200, Code::Unimplemented), "{path}");
    }
}

/// Pitfall 4, G34: an rpc at its own path takes gRPC by POST and nothing else. A page of another origin can send
/// `text/plain` unasked; it reaches no handler.
#[tokio::test]
async fn an_rpc_takes_grpc_and_nothing_else() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let account = message(SIGN_UP, &json!({"email": "a@example.com", "password": "Correct-horse-9"}));
    for kind in [
        "application/json",
        "text/plain",
        "application/grpc+json",
        "application/grpcx",
        "application/grpc-web+json",
    ] {
        let answer = send(at, "POST", SIGN_UP, &[("Content-Type", kind)], Some(&frame(&account))).await;
        assert_eq!((answer.status, &answer.json()["code"]), (415, &json!(3)), "{kind}");
    }
    let untyped = send(at, "POST", SIGN_UP, &[], Some(&frame(&account))).await;
    assert_eq!(untyped.status, 415);
    for method in ["GET", "PUT", "DELETE"] {
        let answer = send(at, method, SIGN_UP, &[("Content-Type", "application/grpc")], None).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    // None of them made the account.
    let made = call(&connect(at).await, SIGN_UP, &[("content-type", "application/grpc")], &account).await;
    assert_eq!(made.status.code(), Code::Ok, "{:?}", made.status);
}

/// Pitfall 2, G35: parameters and case of a content type do not matter.
#[tokio::test]
async fn content_types_may_have_parameters() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    for kind in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web+proto; charset=utf-8",
        "Application/gRPC-Web+Proto",
    ] {
        let answer =
            send(address(&server), "POST", PLANS, &[("Content-Type", kind)], Some(&frame(&[]))).await;
        let called = web_answer(&answer, false);
        assert_eq!(called.status.code(), Code::Ok, "{kind}");
        assert_eq!(called.messages.len(), 1, "{kind}");
    }
}

/// G36: gRPC-Web's text form, in chunks that end inside a quantum of base64.
#[tokio::test]
async fn base64_may_arrive_in_pieces() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let account = json!({"email": "a@example.com", "password": "Correct-horse-9", "tenantName": "Shop"});
    let body = BASE64_STANDARD.encode(frame(&message(SIGN_UP, &account)));
    let chunks = body
        .as_bytes()
        .chunks(7)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
    let request = format!(
        "POST {SIGN_UP} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/grpc-web-text+proto\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n\r\n",
        chunks.collect::<String>()
    );
    let called = web_answer(&client::bytes(at, request.as_bytes()).await, true);
    assert_eq!((called.status.code(), called.messages.len()), (Code::Ok, 1), "{:?}", called.status);
    assert_eq!(called.headers["content-type"], "application/grpc-web-text+proto");
}

/// G39: HTTP/1.0 is answered or refused, an upgrade to h2c ignored.
#[tokio::test]
async fn old_versions_and_upgrades_do_no_harm() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let old = client::bytes(at, b"GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(old.status == 200 || old.status == 505, "{}", old.status);
    let upgrade = format!(
        "GET /v1/plans HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    );
    let answer = client::bytes(at, upgrade.as_bytes()).await;
    assert_eq!((answer.status, answer.complete), (200, true));
}

/// Health over gRPC, for load balancers.
#[tokio::test]
async fn health_is_served() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let mut health = HealthClient::new(channel(address(&server)).await);
    let answer = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}

/// Pitfall 15: both versions of reflection list every service, health and reflection included, and describe them
/// with the types their options need.
#[tokio::test]
async fn reflection_knows_everything_that_is_served() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let connection = channel(address(&server)).await;
    let ours: BTreeSet<String> = rpc::methods().map(|m| m.parent_service().full_name().to_owned()).collect();
    let standard = ["grpc.health.v1.Health"].map(str::to_owned);

    macro_rules! ask {
        ($version:ident, $own:literal) => {
            use $version::server_reflection_client::ServerReflectionClient;
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let mut client = ServerReflectionClient::new(connection.clone());
            let ask = [
                MessageRequest::ListServices(String::new()),
                MessageRequest::FileContainingSymbol("switchboard.tenant.v1.AuthService".into()),
                MessageRequest::FileByFilename("google/api/annotations.proto".into()),
                MessageRequest::FileByFilename("buf/validate/validate.proto".into()),
                MessageRequest::FileContainingSymbol("grpc.health.v1.Health".into()),
                MessageRequest::FileContainingSymbol("no.such.Thing".into()),
            ];
            let ask = ask.map(|ask| $version::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(ask),
            });
            let mut answers =
                client.server_reflection_info(tokio_stream::iter(ask)).await.unwrap().into_inner();
            let first = answers.message().await.unwrap().unwrap().message_response.unwrap();
            let MessageResponse::ListServicesResponse(list) = first else { panic!("{first:?}") };
            let listed: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
            assert!(listed.is_superset(&ours), "{listed:?}");
            assert!(standard.iter().all(|name| listed.contains(name)), "{listed:?}");
            assert!(listed.contains($own), "{listed:?}");
            for _ in 0..4 {
                let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
                assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
            }
            let unknown = answers.message().await;
            let missing = match &unknown {
                Err(status) => status.code() == Code::NotFound,
                Ok(answer) => matches!(
                    answer.as_ref().and_then(|answer| answer.message_response.as_ref()),
                    Some(MessageResponse::ErrorResponse(_))
                ),
            };
            assert!(missing, "{unknown:?}");
        };
    }
    {
        ask!(v1, "grpc.reflection.v1.ServerReflection");
    }
    {
        ask!(v1alpha, "grpc.reflection.v1alpha.ServerReflection");
    }
}

/// Pitfall 20: REST answers are compressed for those who ask, gRPC and event streams never; a request may come
/// compressed.
#[tokio::test]
async fn rest_is_compressed_and_nothing_else() {
    use std::io::{Read, Write};
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let token = sign_up(at).await;
    let authorization = ("Authorization", token.as_str());
    let gzip = ("Accept-Encoding", "gzip");

    let document = json!({"title": "Delivery", "content": "We deliver on Mondays. ".repeat(300)}).to_string();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(document.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let headers = [JSON, authorization, ("Content-Encoding", "gzip")];
    let made = send(at, "POST", "/v1/documents", &headers, Some(&packed)).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let headers = [JSON, authorization, ("Content-Encoding", "br")];
    assert_eq!(send(at, "POST", "/v1/documents", &headers, Some(&packed)).await.status, 415);

    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/documents/{id}");
    let plain = send(at, "GET", &path, &[authorization], None).await;
    assert_eq!(plain.header("content-encoding"), None);
    let small = send(at, "GET", &path, &[authorization, gzip], None).await;
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.body.len() < plain.body.len() / 4);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(small.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert_eq!(
        send(at, "GET", "/openapi.json", &[gzip], None).await.header("content-encoding"),
        Some("gzip")
    );

    let get = "/switchboard.conversation.v1.KnowledgeService/GetDocument";
    let ask = message(get, &json!({"document_id": id}));
    let headers =
        [("authorization", token.as_str()), ("accept-encoding", "gzip"), ("grpc-accept-encoding", "gzip")];
    let native = call(&connect(at).await, get, &headers, &ask).await;
    assert_eq!((native.status.code(), native.headers.get("content-encoding")), (Code::Ok, None));
    let browser = web(at, get, &headers, &ask).await;
    assert_eq!((browser.status.code(), browser.headers.get("content-encoding")), (Code::Ok, None));
    assert_eq!(native.messages, browser.messages);

    let stream = send(
        at,
        "GET",
        "/v1/events:subscribe?after_seq=0",
        &[authorization, gzip, ("Accept", "text/event-stream"), ("X-Server-Timeout", "1")],
        None,
    )
    .await;
    assert_eq!((stream.status, stream.header("content-encoding")), (200, None));
}
