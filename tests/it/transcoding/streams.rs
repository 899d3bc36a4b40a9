//! Server streams as NDJSON, as Server-Sent Events, and raw.

use std::time::{Duration, Instant};

use prost_reflect::{DynamicMessage, Value};
use switchboard::edge::transcode::Options;

use super::Server;
use super::client::send;
use super::widgets;

const SSE: (&str, &str) = ("Accept", "text/event-stream");

fn stock(message: &DynamicMessage) -> Option<String> {
    match message.get_field_by_name("stock")?.as_ref() {
        Value::I64(stock) => Some(stock.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn lines_hold_results_and_at_last_the_error() {
    let server = Server::usual().await;
    let answer = send(server.address, "GET", "/v1/gadgets:follow?count=-2", &[], None).await;
    let text = answer.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("{\"result\":{") && lines[1].contains("\"stock\":\"2\""));
    assert!(
        lines[2].starts_with("{\"error\":{\"error\":\"lost\",\"code\":15,\"status\":\"DATA_LOSS\""),
        "{text}"
    );
    assert!(answer.complete);
    let whole = send(server.address, "GET", "/v1/gadgets:follow?count=1", &[], None).await;
    assert_eq!(whole.text().lines().count(), 1, "a stream that ends well just ends");
}

/// G24: ids, a cursor from Last-Event-ID, and a named event with the status at the end.
#[tokio::test]
async fn events_carry_ids_and_resume_and_end_with_their_status() {
    let options =
        Options { event_id: Some(stock), resume_field: Some("after_seq".into()), ..widgets::options() };
    let server = Server::start(options).await;
    let headers = [SSE, ("Last-Event-ID", "41")];
    let answer = send(server.address, "GET", "/v1/gadgets:follow?count=2&afterSeq=7", &headers, None).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let text = answer.text();
    let events: Vec<&str> = text.trim_end().split("\n\n").collect();
    assert!(events[0].starts_with("id: 42\ndata: {"), "{text}");
    assert!(events[1].starts_with("id: 43\ndata: {"), "{text}");
    assert!(
        events[2].starts_with("event: status\ndata: {\"error\":\"\",\"code\":0,\"status\":\"OK\""),
        "{text}"
    );
    let failed = send(server.address, "GET", "/v1/gadgets:follow?count=-1", &[SSE], None).await.text();
    assert!(failed.contains("event: status\ndata: {\"error\":\"lost\",\"code\":15"), "{failed}");
}

/// G24: comments keep a silent stream open.
#[tokio::test]
async fn a_silent_event_stream_sends_comments() {
    let options = Options {
        keep_alive: Duration::from_millis(40),
        first_message: Duration::from_millis(10),
        ..widgets::options()
    };
    let server = Server::start(options).await;
    let text =
        send(server.address, "GET", "/v1/gadgets:follow?count=1&pauseMs=300", &[SSE], None).await.text();
    let before = text.split("data:").next().unwrap();
    assert!(before.matches(": keep-alive\n\n").count() >= 3, "{text}");
}

/// G25: a stream is no JSON document.
#[tokio::test]
async fn a_stream_as_one_json_document_is_refused() {
    let server = Server::usual().await;
    let headers = [("Accept", "application/json")];
    let answer = send(server.address, "GET", "/v1/gadgets:follow?count=1", &headers, None).await;
    assert_eq!(answer.status, 406);
    let lenient = [("Accept", "application/json, text/plain, */*")];
    assert_eq!(send(server.address, "GET", "/v1/gadgets:follow?count=1", &lenient, None).await.status, 200);
}

/// G27 and pitfalls 5, 6: the deadline covers the body of a stream and ends it with code 4.
#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let server = Server::usual().await;
    let started = Instant::now();
    let headers = [("grpc-timeout", "400m")];
    let answer = send(server.address, "GET", "/v1/gadgets:follow?count=99&pauseMs=90", &headers, None).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(text.lines().count() >= 2 && text.lines().last().unwrap().contains("\"code\":4"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// G23: a raw stream that fails is cut off, not ended.
#[tokio::test]
async fn a_download_that_fails_is_cut_off() {
    let server = Server::usual().await;
    let whole = send(server.address, "GET", "/v1/gadgets:download?count=2", &[], None).await;
    assert_eq!((whole.text().as_str(), whole.header("content-type")), ("a,b\na,b\n", Some("text/csv")));
    assert!(whole.complete);
    let broken = send(server.address, "GET", "/v1/gadgets:download?count=-1&pauseMs=100", &[], None).await;
    assert_eq!(broken.status, 200);
    assert!(!broken.complete, "the client must see that something is missing");
}

/// A call that fails at once keeps its HTTP status, also when the failure comes out of the stream.
#[tokio::test]
async fn a_stream_that_fails_at_once_answers_with_its_status() {
    let server = Server::usual().await;
    let answer =
        send(server.address, "GET", "/v1/gadgets:follow?count=0&pauseMs=0&after_seq=-5", &[], None).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    let early = send(server.address, "GET", "/v1/watch?code=-1", &[SSE], None).await;
    assert_eq!((early.status, early.header("content-type")), (404, Some("application/json")));
    assert_eq!(early.json()["status"], "NOT_FOUND");
}
