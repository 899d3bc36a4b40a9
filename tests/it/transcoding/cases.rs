//! Runs the conformance cases; the rules of comparison are those of their Python runner.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::Server;
use super::client::{Answer, send};

const CASES: &str = include_str!("../../data/transcoding/cases.json");

/// Cases A001 to F198.
#[tokio::test]
async fn every_conformance_case_holds() {
    let server = Server::usual().await;
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 149);
    let mut failures = Vec::new();
    for case in &cases {
        let headers: Vec<(&str, &str)> = case["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let body = body(&case["body"]);
        let (method, path) = (case["method"].as_str().unwrap(), case["path"].as_str().unwrap());
        let answer = send(server.address, method, path, &headers, body.as_deref()).await;
        if let Err(problem) = check(case, &answer) {
            failures.push(format!("{} {}: {problem}", case["id"], case["what"]));
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn body(spec: &Value) -> Option<Vec<u8>> {
    if spec.is_null() {
        return None;
    }
    if let Some(text) = spec["text"].as_str() {
        return Some(text.as_bytes().to_vec());
    }
    if let Some(text) = spec["base64"].as_str() {
        return Some(BASE64_STANDARD.decode(text).unwrap());
    }
    let part = |name: &str| spec[name].as_str().unwrap().to_owned();
    let fill = part("fill").repeat(usize::try_from(spec["count"].as_u64().unwrap()).unwrap());
    Some(format!("{}{fill}{}", part("prefix"), part("suffix")).into_bytes())
}

/// `want` is a subset of `got`; `{"$absent": true}` stands for a key that must not be there.
fn holds(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => want.iter().all(|(key, want)| match got.get(key) {
            _ if want["$absent"] == true => !got.contains_key(key),
            Some(got) => holds(want, got),
            None => false,
        }),
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| holds(want, got))
        }
        _ => want == got,
    }
}

fn check(case: &Value, answer: &Answer) -> Result<(), String> {
    let what = case["what"].as_str().unwrap();
    let preflight = what == "CORS preflight" && matches!(answer.status, 200 | 204);
    if !preflight && u64::from(answer.status) != case["status"] {
        return Err(format!("status {}, want {}", answer.status, case["status"]));
    }
    let parsed: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if case.get("json").is_some_and(|want| !holds(want, &parsed)) {
        return Err(format!("body {}, want {}", answer.text(), case["json"]));
    }
    for (name, value) in case["response_headers"].as_object().into_iter().flatten() {
        let Some(found) = answer.header(name) else { return Err(format!("no header {name}")) };
        if value.as_str().is_some_and(|want| !found.starts_with(want)) {
            return Err(format!("{name}: {found}, want {value}"));
        }
    }
    let text = answer.text();
    let ok = match what {
        _ if what.starts_with("details rendered") => {
            let kinds = ["ErrorInfo", "RetryInfo", "BadRequest"];
            let all =
                kinds.iter().all(|kind| text.contains(&format!("type.googleapis.com/google.rpc.{kind}")));
            all && text.contains("\"retryDelay\":\"1.500s\"")
                && !text.contains("DebugInfo")
                && !text.contains("secret")
        }
        "HttpBody raw in/out" => {
            answer.body == b"ct=application/vnd.acme+json; v=1;len=9;\x00\x01{\"a\":1}"
                && answer.header("content-type") == Some("application/x-echo")
        }
        "stream mid error is terminal frame" => text.contains("\"code\":14"),
        "stream SSE" => text.contains("data:"),
        "CORS disallowed origin gets no ACAO" => answer.header("access-control-allow-origin").is_none(),
        _ => true,
    };
    if ok && answer.complete { Ok(()) } else { Err(format!("{text} {:?}", answer.headers)) }
}
