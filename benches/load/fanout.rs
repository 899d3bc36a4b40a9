//! From the commit of an event to everyone who listens: 200 events a second, 1,000 streams of one process.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use switchboard::wire::tenant::v1::{
    SubscribeRequest, event_service_client::EventServiceClient, subscribe_response::Step,
};
use tonic::{Request, transport::Endpoint};

use super::{
    generator::{Outcome, Wire, ask},
    report::{Report, Target, ms},
    services::Server,
    shop::{Shop, fine_http},
};

const SUBSCRIBERS: usize = 1_000;
/// Streams of one connection, as a gateway or a browser's proxy would bundle them.
const EACH: usize = 100;
const PER_SECOND: u32 = 200;
const SECONDS: u32 = 10;
const TARGET_MS: f64 = 150.0;

/// What all streams saw.
#[derive(Default)]
struct Seen {
    events: AtomicU64,
    broken: AtomicU64,
    /// Latencies in nanoseconds.
    times: Mutex<Vec<u64>>,
}

/// Streams that listen while a tenant changes 200 times a second. Latency counts from the time in the event, which
/// is taken right before its commit; the clock is the same.
pub async fn measure(report: &mut Report, server: &Server, shop: &Shop) {
    let seen = Arc::new(Seen::default());
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS / EACH {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
        let channel = endpoint.connect().await.expect("the server listens");
        for _ in 0..EACH {
            let mut request = Request::new(SubscribeRequest::default());
            let bearer = format!("Bearer {}", shop.token).parse().expect("a header");
            request.metadata_mut().insert("authorization", bearer);
            let stream = EventServiceClient::new(channel.clone()).subscribe(request).await;
            let mut stream = stream.expect("a stream").into_inner();
            let seen = seen.clone();
            readers.push(tokio::spawn(async move {
                let mut last = None;
                while let Ok(Some(answer)) = stream.message().await {
                    let Some(Step::Event(event)) = answer.step else { continue };
                    if last.is_some_and(|last| event.seq != last + 1) {
                        seen.broken.fetch_add(1, Ordering::Relaxed);
                    }
                    last = Some(event.seq);
                    seen.events.fetch_add(1, Ordering::Relaxed);
                    let took = event.create_time.map_or(Duration::ZERO, |at| since(&at));
                    let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                    seen.times.lock().expect("nobody panicked").push(took);
                }
            }));
        }
    }

    let (count, before) = (PER_SECOND * SECONDS, server.cpu());
    let begin = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut writers = Vec::new();
    for number in 0..count {
        tick.tick().await;
        let (shop, address) = (shop.clone(), server.address.clone());
        writers.push(tokio::spawn(async move {
            let product = json!({"name": format!("Bike {number}")});
            let answer =
                ask(&address, Wire::Http1, shop.rest(&address, "/v1/products", Some(&product))).await;
            u64::from(!fine_http(&answer))
        }));
    }
    let mut failed = 0;
    for writer in writers {
        failed += writer.await.expect("a writer");
    }
    let wrote = begin.elapsed();
    let all = u64::from(count) * u64::try_from(SUBSCRIBERS).expect("a thousand");
    while seen.events.load(Ordering::Relaxed) < all && begin.elapsed() < wrote + Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let used = server.cpu() - before;
    for reader in &readers {
        reader.abort();
    }
    let (got, broken) = (seen.events.load(Ordering::Relaxed), seen.broken.load(Ordering::Relaxed));
    let mut times = std::mem::take(&mut *seen.times.lock().expect("nobody panicked"));
    times.sort_unstable();
    let per_second = f64::from(count) / wrote.as_secs_f64();
    let outcome = Outcome::of(&times, per_second, failed + broken + all.saturating_sub(got));
    report.failures("fanout", &outcome);
    let each = used.as_secs_f64() * 1e6 / got.max(1) as f64;
    let note = format!("{got} deliveries of {all}; {broken} out of order; {each:.1} us of the server each");
    report.line("fanout.events", per_second, "ev/s", None, None, &note);
    report.line("fanout.p50", ms(outcome.p50), "ms", None, None, "commit to stream");
    let target = Some(Target::AtMost(TARGET_MS));
    report.line("fanout.p99", ms(outcome.p99), "ms", None, target, "commit to stream");
}

/// The time since a moment.
fn since(at: &prost_types::Timestamp) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the clock that the event was written by")]
    let now = chrono::Utc::now();
    let at = Duration::new(at.seconds.try_into().unwrap_or(0), at.nanos.try_into().unwrap_or(0));
    let now = Duration::from_nanos(now.timestamp_nanos_opt().unwrap_or(0).try_into().unwrap_or(0));
    now.saturating_sub(at)
}
