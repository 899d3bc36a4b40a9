//! Many who listen, and one who does not.

use futures::{StreamExt, stream};
use switchboard::{
    auth::TenantScope,
    domain::event::Event,
    events::PATIENCE,
    id::TenantId,
    store::Store,
    wire::tenant::v1::{
        SubscribeRequest, SubscribeResponse, event_service_client::EventServiceClient, subscribe_response,
    },
};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::support::{
    Pair,
    app::{Person, TestApp},
    both,
};

const CROWD: usize = 5_000;
const EVENTS: i64 = 12;

async fn subscribe(
    app: &TestApp,
    token: &str,
    after: Option<i64>,
) -> Result<Streaming<SubscribeResponse>, Status> {
    let origin = http::Uri::from_static("http://switchboard");
    let mut client = EventServiceClient::with_origin(app.grpc(), origin);
    let asked = SubscribeRequest { after_seq: after, ..SubscribeRequest::default() };
    let mut request = Request::new(asked);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    Ok(client.subscribe(request).await?.into_inner())
}

/// The number of the next event; heartbeats are passed over.
async fn next(stream: &mut Streaming<SubscribeResponse>) -> Result<i64, Status> {
    loop {
        let step = stream.message().await?.and_then(|answer| answer.step);
        match step.expect("a stream does not end by itself") {
            subscribe_response::Step::Event(event) => return Ok(event.seq),
            subscribe_response::Step::Heartbeat(_) => {}
        }
    }
}

async fn write(store: &Store, scope: &TenantScope, count: usize) {
    let db = store.of(scope.clone());
    let written = db.transaction(async |db| {
        for number in 0..count {
            db.emit(Event::TenantUpdated { subject: number.to_string(), action: "test".to_owned() });
        }
        Ok(())
    });
    written.await.unwrap();
}

async fn open(pair: &Pair) -> (TestApp, Person, TenantScope) {
    let app = TestApp::with(pair, &[("SWITCHBOARD_RATE_STREAM", "off")]).await;
    let ada = app.sign_up("ada@example.com").await;
    let scope = TenantScope::of_platform(ada.tenant.parse::<TenantId>().unwrap());
    (app, ada, scope)
}

/// 5,000 streams of the whole gRPC stack in one process, from one cursor: each gets every event once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_subscribers_of_one_process_get_every_event_once_in_order() {
    both(async |pair| {
        let (app, ada, scope) = open(&pair).await;
        let (_, running) = app.serve().await;
        // What signing up told comes first; then they all have it.
        let mut first = subscribe(&app, &ada.token, Some(0)).await.unwrap();
        let mut begin = next(&mut first).await.unwrap();
        while begin < 2 {
            begin = next(&mut first).await.unwrap();
        }
        // As many at once as a server with so small a pool can take.
        let streams: Vec<_> = stream::iter(0..CROWD)
            .map(|_| subscribe(&app, &ada.token, Some(begin)))
            .buffer_unordered(32)
            .map(Result::unwrap)
            .collect()
            .await;
        let readers: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                tokio::spawn(async move {
                    for expected in begin + 1..=begin + EVENTS {
                        assert_eq!(next(&mut stream).await.unwrap(), expected);
                    }
                })
            })
            .collect();
        for count in [1, 2, 3, 6] {
            write(app.store(), &scope, count).await;
        }
        for reader in readers {
            reader.await.expect("every event, in order");
        }
        running.stop().await;
    })
    .await;
}

/// A client that takes nothing is let go with a word, and misses nothing when it comes back; its neighbour
/// does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_subscriber_is_let_go_and_resumes_without_gap_or_repeat() {
    both(async |pair| {
        let (app, ada, scope) = open(&pair).await;
        let (_, running) = app.serve().await;
        let mut quick = subscribe(&app, &ada.token, Some(0)).await.unwrap();
        let mut slow = subscribe(&app, &ada.token, Some(0)).await.unwrap();
        // It has everything there is, and then goes to sleep.
        assert_eq!((next(&mut slow).await.unwrap(), next(&mut slow).await.unwrap()), (1, 2));
        let mut seen = vec![1, 2];
        let last = PATIENCE + 502;
        for _ in 0..(PATIENCE + 500) / 100 {
            write(app.store(), &scope, 100).await;
        }
        for expected in 1..=last {
            assert_eq!(next(&mut quick).await.unwrap(), expected, "the neighbour");
        }
        let refusal = loop {
            match next(&mut slow).await {
                Ok(seq) => {
                    assert!(seq < last, "it had it all, and was not let go");
                    seen.push(seq);
                }
                Err(status) => break status,
            }
        };
        assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
        assert_eq!(refusal.get_details_error_info().expect("an ErrorInfo").reason, "SLOW_CONSUMER");
        assert!(refusal.get_details_retry_info().is_some());
        let mut again = subscribe(&app, &ada.token, seen.last().copied()).await.unwrap();
        while seen.last() != Some(&last) {
            seen.push(next(&mut again).await.unwrap());
        }
        assert_eq!(seen, (1..=last).collect::<Vec<_>>());
        running.stop().await;
    })
    .await;
}
