//! What the program tells of itself: measurements, the dashboard over them, and a line for each run of a job.
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard::{
    domain::signature,
    env::Env,
    telemetry::{KNOWN, Kind},
};

use crate::{
    conversation::payload,
    support::{Pair, Server, both},
    transcoding::client::send,
};

const DASHBOARD: &str = include_str!("../../../docs/grafana.json");

async fn scrape(at: SocketAddr) -> String {
    send(at, "GET", "/metrics", &[], None).await.text()
}

/// A server to which a customer wrote: it drafted a reply, and could not reach the messenger.
async fn traded(pair: &Pair) -> Server {
    let settings = [
        ("SWITCHBOARD_DEBOUNCE_MS", "0"),
        ("SWITCHBOARD_LOG_FORMAT", "json"),
        ("SWITCHBOARD_ALLOW_PRIVATE_TARGETS", "true"),
    ];
    let server = Server::start(pair, &settings).await;
    let at: SocketAddr = server.address().parse().unwrap();
    let post = async |path: &str, token: &str, body: Value| -> Value {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(Some(("Authorization", bearer.as_str())).filter(|_| !token.is_empty()));
        let answer = send(at, "POST", path, &headers, Some(body.to_string().as_bytes())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    let person = json!({"email": "ann@shop.example", "password": "Correct-horse-9"});
    let token = post("/v1/auth:signUp", "", person).await["sessionToken"].as_str().unwrap().to_owned();
    let channel = json!({"name": "WhatsApp",
        "whatsapp": {"phoneNumberId": payload::NUMBER, "apiBaseUrl": "http://127.0.0.1:9"},
        "whatsappSecrets": {"accessToken": "t", "appSecret": "s"}});
    let channel = post("/v1/channels", &token, channel).await["channel"]["id"].as_str().unwrap().to_owned();
    let second = Env::system().now().timestamp() - payload::BEGIN;
    let body = payload::written("15550000001", "wamid.1", second, "Do you deliver?").to_string();
    let signature = signature::meta("s", body.as_bytes());
    let headers = [("Content-Type", "application/json"), ("X-Hub-Signature-256", signature.as_str())];
    let path = format!("/webhooks/whatsapp/{channel}");
    assert_eq!(send(at, "POST", &path, &headers, Some(body.as_bytes())).await.status, 200);
    let ended = |kind: &'static str, result: &'static str| {
        let (kind, result) = (format!("kind=\"{kind}\""), format!("result=\"{result}\""));
        until(&server, move |told| {
            let mut runs = told.lines().filter(|line| line.starts_with("switchboard_jobs_total{"));
            runs.any(|line| line.contains(&kind) && line.contains(&result))
        })
    };
    ended("draft_reply", "done").await;
    let bearer = format!("Bearer {token}");
    let listed = send(at, "GET", "/v1/suggestions", &[("Authorization", &bearer)], None).await.json();
    let draft = listed["suggestions"][0]["id"].as_str().unwrap();
    post(&format!("/v1/suggestions/{draft}:approve"), &token, json!({})).await;
    // Nobody listens there.
    ended("send_message", "retry").await;
    server
}

/// Waits until the measurements hold.
async fn until(server: &Server, holds: impl Fn(&str) -> bool) {
    let begin = Instant::now();
    loop {
        let told = scrape(server.address().parse().unwrap()).await;
        if holds(&told) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{told}\n{}", server.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The kinds of the measurements that are exported, by name.
fn exported(told: &str) -> BTreeMap<&str, &str> {
    let types = told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.filter(|(name, _)| name.starts_with("switchboard_")).collect()
}

/// What a query asks for: words that begin as our measurements do.
fn asked(query: &str) -> Vec<&str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("switchboard_")).collect()
}

fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// Every query of the dashboard finds what it asks for at `/metrics`, and nothing that is exported is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_shows_what_is_exported() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    for field in ["title", "uid", "schemaVersion", "templating", "__inputs"] {
        assert!(!dashboard[field].is_null(), "an import needs {field}");
    }
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "two panels are number {}", panel["id"]);
        assert!(panel["gridPos"]["w"].as_i64().is_some_and(|wide| wide <= 24), "{panel}");
        if panel["type"] != "row" {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{} shows nothing", panel["title"]);
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{}", panel["title"]);
        }
    }
    let queries = queries(&dashboard);
    assert!(queries.len() > 25, "{}", queries.len());
    both(async |pair| {
        let server = traded(&pair).await;
        let told = scrape(server.address().parse().unwrap()).await;
        let exported = exported(&told);
        let mut shown = BTreeSet::new();
        for query in &queries {
            let names = asked(query);
            assert!(!names.is_empty(), "{query} asks for nothing of ours");
            for name in names {
                let base = name.strip_suffix("_bucket").or(name.strip_suffix("_count")).unwrap_or(name);
                let kind = exported.get(base).unwrap_or_else(|| panic!("{query}: no {name} in\n{told}"));
                assert_eq!(*kind == "histogram", base != name, "{query}");
                assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
                // A counter only grows: what it did lately is what is to be seen.
                assert!(
                    *kind != "counter" || query.contains("rate(") || query.contains("increase("),
                    "{query}"
                );
                shown.insert(base);
            }
        }
        let hidden: Vec<_> = exported.keys().filter(|name| !shown.contains(**name)).collect();
        assert!(hidden.is_empty(), "no panel shows {hidden:?}");
    })
    .await;
}

/// A measurement that the code makes is announced with its kind and what it means; what was announced with
/// known labels is there before it first happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_measurement_is_announced() {
    let mut made = BTreeSet::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (macro_name, kind) in
                [("counter!(", Kind::Counter), ("gauge!(", Kind::Gauge), ("histogram!(", Kind::Histogram)]
            {
                for (at, _) in text.match_indices(&format!("metrics::{macro_name}")) {
                    let rest = text[at..].split_once('(').unwrap().1.trim_start();
                    let Some((name, _)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
                        continue;
                    };
                    let known = KNOWN.iter().find(|known| known.name == name);
                    let known =
                        known.unwrap_or_else(|| panic!("{}: {name} is not announced", path.display()));
                    assert_eq!(known.kind, kind, "{name}");
                    made.insert(name.to_owned());
                }
            }
        }
    }
    assert!(made.len() > 25, "{made:?}");

    let pair = Pair::sqlite().await; // the same at the start of any server
    let server = Server::start(&pair, &[]).await;
    let told = scrape(server.address().parse().unwrap()).await;
    for expected in [
        "switchboard_jobs_fenced_completion_total 0",
        "switchboard_jobs_dead_total{why=\"crashes\"} 0",
        "switchboard_jobs_admitted_total{queue=\"mail\"} 0",
        "switchboard_cancelled_begin_total 0",
    ] {
        assert!(told.lines().any(|line| line == expected), "{expected}: {told}");
    }
    for expected in [
        "switchboard_jobs_depth{queue=\"send\",state=\"dead\"}",
        "switchboard_jobs_oldest_ready_bucket_seconds{bucket=\"7\"}",
        "switchboard_jobs_paused{queue=\"sys\"}",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

/// One line a run, with everything that a query of the log needs and nothing that anybody wrote; and numbers
/// whose labels name no tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_leaves_one_line_without_what_was_written() {
    both(async |pair| {
        let server = traded(&pair).await;
        let output = server.output();
        let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let runs: Vec<&Value> = lines.iter().filter(|line| line["message"] == "job").collect();
        let draft: Vec<_> = runs.iter().filter(|run| run["kind"] == "draft_reply").collect();
        assert_eq!(draft.len(), 1, "{output}");
        let draft = draft[0];
        assert_eq!(
            (&draft["outcome"], &draft["queue"], &draft["level"]),
            (&json!("done"), &json!("ai"), &json!("INFO"))
        );
        assert_eq!((&draft["epoch"], &draft["tries"], &draft["crashes"]), (&json!(1), &json!(0), &json!(0)));
        assert!(draft["tenant"].as_str().unwrap().starts_with("ten_"), "{draft}");
        assert!(draft["job"].as_str().unwrap().starts_with("job_"), "{draft}");
        assert!(draft["ms"].as_str().unwrap().parse::<f64>().is_ok(), "{draft}");
        let failed = runs.iter().find(|run| run["kind"] == "send_message").unwrap();
        assert_eq!((&failed["outcome"], &failed["level"]), (&json!("retry"), &json!("WARN")), "{failed}");
        assert!(failed["error"].as_str().is_some_and(|error| !error.is_empty()), "{failed}");
        assert!(!output.contains("Do you deliver"), "{output}");

        let told = scrape(server.address().parse().unwrap()).await;
        assert!(!told.contains("ten_") && !told.contains("job_0"), "{told}");
    })
    .await;
}
