//! Rows of the transcoding table beyond the cases, each by its number there.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Server;
use super::client::{raw, send};
use super::{gadgets, pool, widgets};
use switchboard::edge::transcode::{Options, Transcoder};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// G05: a variable on a nested field; the path wins over the body.
#[tokio::test]
async fn the_path_sets_a_field_inside_the_body() {
    let server = Server::usual().await;
    let body = br#"{"name":"evil","displayName":"x"}"#;
    let answer = send(server.address, "PATCH", "/v1/gadgets/7", &[JSON], Some(body)).await;
    assert_eq!(answer.json()["gadget"]["name"], "gadgets/7");
    assert_eq!(answer.json()["gadget"]["displayName"], "x");
}

/// G06, G07: without a mask the body's keys are the mask, with one it stands.
#[tokio::test]
async fn a_patch_without_a_mask_implies_one() {
    let server = Server::usual().await;
    let body = br#"{"displayName":"","place":{"town":"Bonn"},"tags":[],"stock":null}"#;
    let answer = send(server.address, "PATCH", "/v1/gadgets/7", &[JSON], Some(body)).await.json();
    assert_eq!(answer["updateMask"], "displayName,place.town,stock,tags");
    let all = send(server.address, "PATCH", "/v1/gadgets/7?updateMask=*", &[JSON], Some(body)).await.json();
    assert_eq!(all["updateMask"], "*");
    let one =
        send(server.address, "PATCH", "/v1/gadgets/7?update_mask=display_name", &[JSON], Some(body)).await;
    assert_eq!(one.json()["updateMask"], "displayName");
}

/// G08: a chunked body is a body, and its limit holds while it is read.
#[tokio::test]
async fn a_chunked_body_is_read_within_the_limit() {
    let server = Server::start(Options { max_request_bytes: 1000, ..widgets::options() }).await;
    let headers = [JSON, ("Transfer-Encoding", "chunked")];
    let small = b"8\r\n{\"aStrin\r\n6\r\ng\":\"x\"\r\n1\r\n}\r\n0\r\n\r\n";
    let answer = send(server.address, "POST", "/v1/everything", &headers, Some(small)).await;
    assert_eq!(answer.json()["aString"], "x");
    let large = format!("{}0\r\n\r\n", format!("64\r\n{}\r\n", "x".repeat(100)).repeat(20));
    let answer = send(server.address, "POST", "/v1/everything", &headers, Some(large.as_bytes())).await;
    assert_eq!(answer.status, 413);
}

/// G09: a body that ends early never reaches the handler.
#[tokio::test]
async fn a_body_that_ends_early_is_refused() {
    let server = Server::usual().await;
    let request = b"POST /v1/everything HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"aS\r\nzz\r\n";
    let answer = raw(server.address, request, false).await;
    assert_eq!(answer.status, 400);
}

/// G10: what is announced as too large is refused before it is sent.
#[tokio::test]
async fn an_expected_oversize_is_refused_without_a_continue() {
    let server = Server::usual().await;
    let request = b"POST /v1/everything HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Expect: 100-continue\r\nContent-Length: 9999999\r\nConnection: close\r\n\r\n";
    let answer = raw(server.address, request, false).await;
    assert_eq!(answer.status, 413, "and no 100 before it");
}

/// G12, G13, G34.
#[tokio::test]
async fn long_uris_double_types_and_rpc_paths_are_refused() {
    let server = Server::usual().await;
    let long = format!("/v1/fail?requestId={}", "x".repeat(9000));
    assert_eq!(send(server.address, "GET", &long, &[], None).await.status, 414);
    let twice = [JSON, JSON];
    assert_eq!(send(server.address, "POST", "/v1/everything", &twice, Some(b"{}")).await.status, 400);
    let rpc = send(server.address, "POST", "/acme.widgets.v1.WidgetService/Fail", &[JSON], Some(b"{}")).await;
    assert_eq!((rpc.status, &rpc.json()["code"]), (415, &json!(3)), "it never reaches the handler");
}

/// G20: a precondition that fails is 412 when the request had one, else 400.
#[tokio::test]
async fn a_failed_precondition_is_412_for_conditional_requests() {
    let server = Server::usual().await;
    let conditional = [("If-Match", "\"old\"")];
    assert_eq!(send(server.address, "GET", "/v1/fail?code=9", &conditional, None).await.status, 412);
    assert_eq!(send(server.address, "GET", "/v1/fail?code=9", &[], None).await.status, 400);
}

/// G26: a client that goes away takes its call along.
#[tokio::test]
async fn a_client_that_leaves_cancels_its_call() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let transcoder = Transcoder::new(&pool(), widgets::options()).unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    let held = Flag(dropped.clone());
    let grpc = tower::service_fn(move |_: http::Request<tonic::body::Body>| {
        let held = Flag(held.0.clone());
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::empty()))
        }
    });
    let request = http::Request::get("/v1/gadgets:wait").body(tonic::body::Body::empty()).unwrap();
    let call = transcoder.call(request, grpc);
    assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
    assert!(dropped.load(Ordering::SeqCst));
}

/// G29, and every annotated rpc is mounted.
#[test]
fn annotated_rpcs_are_mounted_and_no_others() {
    let transcoder = Transcoder::new(&pool(), widgets::options()).unwrap();
    let mut mounted: Vec<String> = transcoder.routes().map(|route| route.method.name().to_owned()).collect();
    mounted.dedup();
    let pool = pool();
    let all = pool.services().flat_map(|s| s.methods().collect::<Vec<_>>()).map(|m| m.name().to_owned());
    let expected: Vec<String> = all.filter(|name| name != "Hidden").collect();
    assert_eq!(mounted, expected);
}

/// G40, and HEAD as GET without its body.
#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::usual().await;
    let get = send(server.address, "GET", "/v1/projects/p/widgets/w", &[], None).await;
    let head = send(server.address, "HEAD", "/v1/projects/p/widgets/w", &[], None).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
    for path in ["/v1/gadgets:follow", "/v1/everything"] {
        let refused = send(server.address, "HEAD", path, &[], None).await;
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.header("allow").is_some());
    }
}

/// G38: what a page may read, and `Vary` whoever asks.
#[tokio::test]
async fn cors_exposes_what_errors_need_and_always_varies() {
    let server = Server::usual().await;
    let admitted = [("Origin", "https://app.example.com")];
    let answer = send(server.address, "GET", "/v1/fail?code=5", &admitted, None).await;
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "etag",
        "retry-after",
        "x-request-id",
        "location",
    ] {
        assert!(exposed.contains(name), "{name}");
    }
    let plain = send(server.address, "GET", "/v1/fail", &[], None).await;
    let varies =
        plain.headers.iter().any(|(name, value)| name == "vary" && value.eq_ignore_ascii_case("origin"));
    assert!(varies, "{:?}", plain.headers);
}

/// Pitfall 20: single answers are compressed, small ones, streams and raw bytes are not. G18: metadata passes.
#[tokio::test]
async fn large_answers_are_compressed() {
    let server = Server::usual().await;
    let gzip = [("Accept-Encoding", "br, gzip;q=0.8")];
    let answer = send(server.address, "GET", "/v1/gadgets:wait", &gzip, None).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("x-kept"), Some("yes"));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_string(&mut plain).unwrap();
    assert!(plain.contains(&"g".repeat(5000)));
    for path in ["/v1/projects/p/widgets/w", "/v1/gadgets:follow?count=200", "/v1/gadgets:download?count=500"]
    {
        let answer = send(server.address, "GET", path, &gzip, None).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{path}");
    }
}

/// A gzip body that unfolds beyond the limit is refused.
#[tokio::test]
async fn a_compressed_bomb_is_refused() {
    let server = Server::usual().await;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut bomb, &vec![b' '; 5 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let headers = [JSON, ("Content-Encoding", "gzip")];
    assert_eq!(send(server.address, "POST", "/v1/everything", &headers, Some(&bomb)).await.status, 413);
}

/// Pitfall 17: what JSON can nest but protobuf cannot is the client's error, on either side of the limit.
#[tokio::test]
async fn depth_is_refused_before_protobuf_fails_on_it() {
    let server = Server::usual().await;
    for depth in 1..140 {
        let body = format!("{{\"object\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let nested = format!("{}{{}}{}", "{\"inner\":".repeat(depth), "}".repeat(depth));
        for body in [body, nested] {
            let answer = send(server.address, "POST", "/v1/everything", &[JSON], Some(body.as_bytes())).await;
            assert!(
                answer.status == 200 || answer.status == 400,
                "depth {depth}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
}

/// Every refusal names the field in proto names.
#[tokio::test]
async fn refusals_name_their_field() {
    let server = Server::usual().await;
    for (body, field) in [
        (r#"{"inner":{"inners":[{},{"anInt32":"x"}]}}"#, "inner.inners[1].an_int32"),
        (r#"{"byName":{"a":1,"b":{}}}"#, "by_name.b"),
        (r#"{"nope":1}"#, "nope"),
        (r#"{"strings":["a",1]}"#, "strings[1]"),
        (r#"{"at":"noon"}"#, "at"),
        (r#"{"left":"x","middle":{}}"#, "middle"),
        (r#"{"a_string":"x","aString":"y"}"#, "a_string"),
        (r#"{"any":{"@type":"type.googleapis.com/no.Such"}}"#, "any"),
    ] {
        let answer = send(server.address, "POST", "/v1/everything", &[JSON], Some(body.as_bytes())).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let details = answer.json()["details"].clone();
        let violations = details.as_array().unwrap().iter().find_map(|detail| detail.get("fieldViolations"));
        assert_eq!(violations.unwrap()[0]["field"], field, "{details}");
    }
    let query = send(server.address, "GET", "/v1/gadgets:follow?count=x", &[], None).await.json();
    assert!(query["message"].as_str().unwrap().starts_with("count: expected a 32-bit integer"), "{query}");
}

/// Pitfall 21: extensions of the request go with the call.
#[tokio::test]
async fn extensions_reach_the_service() {
    #[derive(Clone)]
    struct Peer(u16);
    let transcoder = Transcoder::new(&pool(), widgets::options()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let routes = gadgets::add(widgets::routes()).prepare();
    let grpc = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        tell.send(request.extensions().get::<Peer>().map(|peer| peer.0)).unwrap();
        tower::ServiceExt::oneshot(routes.clone(), request)
    });
    let mut request = http::Request::get("/v1/fail").body(tonic::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Peer(7));
    assert_eq!(transcoder.call(request, grpc).await.status(), 200);
    assert_eq!(told.recv().unwrap(), Some(7));
}

/// The same server speaks HTTP/2 without TLS to clients that know.
#[tokio::test]
async fn rest_works_over_http2() {
    let server = Server::usual().await;
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let started = Instant::now();
    let url = format!("http://{}/v1/gadgets:wait?pauseMs=5000", server.address);
    let answer = client.get(url).header("x-server-timeout", "0.05").send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_2, 504));
    assert!(started.elapsed() < Duration::from_secs(4));
}

/// G19: metadata after the only message of an answer becomes headers, without what belongs to gRPC.
#[tokio::test]
async fn metadata_in_trailers_becomes_headers() {
    use http_body_util::{BodyExt as _, Full};
    let transcoder = Transcoder::new(&pool(), widgets::options()).unwrap();
    let grpc = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        let pairs = [("grpc-status", "0"), ("x-late", "yes"), ("x-late-bin", "AA"), ("grpc-message", "")];
        let trailers: http::HeaderMap = pairs
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let body = Full::new(bytes::Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
        Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::new(body)))
    });
    let request = http::Request::get("/v1/fail").body(tonic::body::Body::empty()).unwrap();
    let response = transcoder.call(request, grpc).await;
    assert_eq!((response.status().as_u16(), &response.headers()["x-late"]), (200, &"yes".parse().unwrap()));
    for hidden in ["grpc-status", "grpc-message", "x-late-bin"] {
        assert!(!response.headers().contains_key(hidden), "{hidden}");
    }
}

/// G30, G31: a detail of a type nobody here knows is left out, and so is DebugInfo; the rest stays. G18: metadata of an
/// error is kept.
#[tokio::test]
async fn unknown_and_debug_details_are_left_out() {
    use prost::Message as _;
    let any =
        |name: &str| prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: Vec::new() };
    let details = ["no.such.Type", "google.rpc.DebugInfo", "google.rpc.ErrorInfo"].map(any).to_vec();
    let details = tonic_types::pb::Status { code: 5, message: "gone".into(), details }.encode_to_vec();
    let mut status = tonic::Status::with_details(tonic::Code::NotFound, "gone", details.into());
    status.metadata_mut().insert("x-kept", "yes".parse().unwrap());
    let transcoder = Transcoder::new(&pool(), widgets::options()).unwrap();
    let grpc = tower::service_fn(move |_: http::Request<tonic::body::Body>| {
        let response = status.clone().into_http::<tonic::body::Body>();
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    let request = http::Request::get("/v1/fail").body(tonic::body::Body::empty()).unwrap();
    let response = transcoder.call(request, grpc).await;
    assert_eq!((response.status().as_u16(), &response.headers()["x-kept"]), (404, &"yes".parse().unwrap()));
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let kinds: Vec<_> = body["details"].as_array().unwrap().iter().map(|detail| &detail["@type"]).collect();
    assert_eq!(kinds, ["type.googleapis.com/google.rpc.ErrorInfo"]);
}
