//! What `/metrics` tells, and that no client can make it tell more and more.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::client::{PLANS, address, bytes, call, connect, patiently, sign_up, subscribe, web};
use crate::support::{Pair, Server, rpc};
use crate::transcoding::client::send;

async fn scrape(at: SocketAddr) -> String {
    let answer = send(at, "GET", "/metrics", &[], None).await;
    assert_eq!((answer.status, answer.complete), (200, true));
    answer.text()
}

/// Waits until the metrics hold.
async fn until(at: SocketAddr, holds: impl Fn(&str) -> bool) -> String {
    patiently(async {
        loop {
            let metrics = scrape(at).await;
            if holds(&metrics) {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// The value of the series whose labels are these, in any order.
fn value(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let mut found =
        lines.filter(|line| labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\""))));
    found.next()?.rsplit(' ').next()?.parse().ok()
}

fn methods(metrics: &str) -> BTreeSet<String> {
    let labels = metrics.lines().filter(|line| line.starts_with("switchboard_request"));
    let labels = labels.filter_map(|line| line.split("method=\"").nth(1)?.split('"').next());
    labels.map(str::to_owned).collect()
}

/// Requests are counted by wire, method and status, and timed in buckets. Pitfall 24: each wire's failures count as
/// what they are, not as HTTP 200.
#[tokio::test]
async fn requests_are_counted_by_wire_method_and_status() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let connection = connect(at).await;
    let tenant = "/switchboard.tenant.v1.TenantService/GetTenant";
    call(&connection, PLANS, &[], &[]).await;
    call(&connection, tenant, &[], &[]).await;
    web(at, tenant, &[], &[]).await;
    send(at, "GET", "/v1/plans", &[], None).await;
    send(at, "GET", "/v1/tenant", &[], None).await;
    send(at, "GET", "/v1/tenant", &[], None).await;

    let (plans, tenant) = (PLANS.trim_start_matches('/'), tenant.trim_start_matches('/'));
    for (wire, method, status, count) in [
        ("grpc", plans, "grpc-0", 1.0),
        ("grpc", tenant, "grpc-16", 1.0),
        ("grpc-web", tenant, "grpc-16", 1.0),
        ("http", plans, "200", 1.0),
        ("http", tenant, "401", 2.0),
    ] {
        let labels = [("wire", wire), ("method", method), ("status", status)];
        until(at, |metrics| value(metrics, "switchboard_requests_total", &labels) == Some(count)).await;
    }
    let metrics = scrape(at).await;
    for bound in ["0.005", "1", "+Inf"] {
        let labels = [("wire", "http"), ("method", tenant), ("le", bound)];
        assert!(
            value(&metrics, "switchboard_request_seconds_bucket", &labels).is_some(),
            "{bound}: {metrics}"
        );
    }
}

/// A stream is in flight until its client leaves.
#[tokio::test]
async fn what_is_in_flight_is_counted_and_ends() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let token = sign_up(at).await;
    let stream = subscribe(at, &token).await;
    // The request that asks counts too.
    let count = |wanted: u32| {
        move |metrics: &str| {
            metrics.lines().any(|line| line == format!("switchboard_requests_in_flight {wanted}"))
        }
    };
    until(at, count(2)).await;
    drop(stream);
    until(at, count(1)).await;
}

/// Paths, HTTP methods and rpc names that a client makes up do not become labels.
#[tokio::test]
async fn clients_cannot_add_labels() {
    let pair = Pair::sqlite().await;
    let server = Server::start(&pair, &[]).await;
    let at = address(&server);
    let connection = connect(at).await;
    for n in 0..40 {
        call(&connection, &format!("/made.up{n}/Method{n}"), &[], &[]).await;
        call(&connection, &format!("/switchboard.tenant.v1.AuthService/Made{n}"), &[], &[]).await;
        web(at, &format!("/made.up{n}/Method{n}"), &[], &[]).await;
        send(at, "GET", &format!("/made/up/{n}"), &[], None).await;
        send(at, "GET", &format!("/v1/made{n}"), &[], None).await;
        send(at, "GET", &format!("/webhooks/made{n}/x"), &[], None).await;
        bytes(at, format!("MADE{n} /v1/plans HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
            .await;
    }
    let metrics = scrape(at).await;
    assert!(!metrics.to_ascii_lowercase().contains("made"), "{metrics}");
    let known: BTreeSet<String> =
        rpc::methods().map(|method| rpc::path(&method).trim_start_matches('/').to_owned()).collect();
    let others: Vec<String> =
        methods(&metrics).into_iter().filter(|method| !known.contains(method)).collect();
    assert!(others.len() < 12, "{others:?}");
}
