//! What one process tells others, and how much it takes on itself.
use futures::StreamExt;
use serde_json::json;
use switchboard::{
    domain::{conversation::ChannelKind, event::Event, signature},
    events::{Hub, carry_wakes, sequence},
    jobs::Terms,
    sandbox::Behaviour,
    store::{Hint, Settings, connect},
};

use super::*;
use crate::{
    conversation::{
        payload::{BEGIN, NUMBER, written},
        shop::{raw, sandbox},
    },
    support::app::TestApp,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A relay or sequencer of another process need not wait for its next look. Beside SQLite there is no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_other_processes_and_its_own_only_once() {
    let bench = Bench::over(Pair::postgres().await, true).await;
    let url = bench.pair.database_url.clone();
    let there = connect(&Settings { url, pool: 2 }, Env::system()).await.unwrap();
    let stop = CancellationToken::new();
    let (mut here_hears, mut there_hears) = (bench.store.hints().listen(), there.hints().listen());
    let prefix = format!("{}:", key());
    for store in [&bench.store, &there] {
        let client = bench.redis.clone().unwrap();
        tokio::spawn(carry_wakes(store.clone(), client, prefix.clone(), stop.clone()));
    }
    // Until both listen.
    let mut commits = 0;
    let heard = loop {
        commits += 1;
        bench.promise(&[Scripted::new(commits, &[])], Terms::now()).await;
        let heard = tokio::time::timeout(Duration::from_millis(200), there_hears.recv()).await;
        if let Ok(heard) = heard {
            break heard.unwrap();
        }
        assert!(commits < 100, "nobody is woken");
    };
    assert_eq!(heard, Hint { tenant: bench.tenant(), events: false, queues: Queue::Send.bit() });

    let other = TenantScope::of_platform(Env::system().id());
    there.hints().tell(Hint { tenant: other.tenant(), events: true, queues: 0 });
    let mut own = 0;
    loop {
        let hint = tokio::time::timeout(PATIENCE, here_hears.recv()).await.unwrap().unwrap();
        if hint.tenant == other.tenant() {
            assert!(hint.events);
            break;
        }
        own += 1;
    }
    assert_eq!(own, commits, "a process does not wake itself once more");
    stop.cancel();
}

/// Of two processes one numbers the events; when it dies, the other one does. SQLite has one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_numbers_the_events_of_one_that_died() {
    let bench = Bench::over(Pair::postgres().await, false).await;
    let url = bench.pair.database_url.clone();
    let there = connect(&Settings { url, pool: 4 }, Env::system()).await.unwrap();
    let stop = CancellationToken::new();
    let numbered = async || {
        bench.ask("select count(*) as n from event where seq is not null", []).await[0]
            .try_get::<i64>("", "n")
            .unwrap()
    };
    let leader = async || {
        let rows = bench.ask("select distinct holder from lease where name like 'sequencer:%'", []).await;
        assert_eq!(rows.len(), 1, "one leads all shards");
        rows[0].try_get::<Uuid>("", "holder").unwrap()
    };
    let say = async |n: i64| {
        let db = bench.store.of(bench.scope.clone());
        let written = db.transaction(async |db| {
            db.emit(Event::TenantUpdated { subject: n.to_string(), action: "test".to_owned() });
            Ok(())
        });
        written.await.unwrap();
        bench.until(PATIENCE, "the number", async || numbered().await == n).await;
    };
    let first = tokio::spawn(sequence(bench.store.clone(), Hub::local(), stop.clone()));
    say(1).await;
    let second = tokio::spawn(sequence(there, Hub::local(), stop.clone()));
    let leads = leader().await;
    for n in 2..20 {
        say(n).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(leader().await, leads);
    // Dies without a word: its lease has to end by itself.
    first.abort();
    say(20).await;
    assert_ne!(leader().await, leads);
    stop.cancel();
    second.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_tells_others_of_its_commits() {
    let pair = Pair::postgres().await;
    let app = TestApp::start(&pair).await;
    let (_, running) = app.serve().await;
    let redis = redis::Client::open(pair.redis_url.clone().unwrap()).unwrap();
    let mut wakes = redis.get_async_pubsub().await.unwrap();
    wakes.subscribe("wake").await.unwrap();
    let person = app.sign_up("ana@shop.example").await;
    let tenant: TenantId = person.tenant.parse().unwrap();
    let mut wakes = wakes.on_message();
    let named = async {
        while let Some(wake) = wakes.next().await {
            // Other tests share this Redis.
            if wake.get_payload_bytes().windows(16).any(|part| part == tenant.0.as_bytes()) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, named).await.expect("the new tenant's first events are told");
    running.stop().await;
}

/// The setting is about the process: on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_takes_on_as_many_jobs_as_it_is_set_to() {
    const SECRET: &str = "an app secret";
    let pair = Pair::sqlite().await;
    let sandbox = sandbox().await;
    sandbox.behave(Behaviour { delay_ms: 400, silent: true, ..Behaviour::default() });
    let settings = [("SWITCHBOARD_JOB_SLOTS", "1"), ("SWITCHBOARD_ALLOW_PRIVATE_TARGETS", "true")];
    let app = TestApp::with(&pair, &settings).await;
    let (_, running) = app.serve().await;
    let owner = app.sign_up("ana@shop.example").await;
    let channel = json!({
        "name": "WhatsApp",
        "whatsapp": {"phoneNumberId": NUMBER, "apiBaseUrl": sandbox.url()},
        "whatsappSecrets": {"accessToken": "t", "appSecret": SECRET},
    });
    let channel = app.ok("ChannelService.CreateChannel", &owner, channel).await;
    let channel = channel["channel"]["id"].as_str().unwrap();
    let now = Env::system().now().timestamp() - BEGIN;
    for n in 0..12 {
        let body = written(&format!("49151123456{n:02}"), &format!("wamid.{n}"), now, "hello").to_string();
        let request = raw(&body, "x-hub-signature-256", &signature::meta(SECRET, body.as_bytes()));
        app.app.ingress().receive(ChannelKind::Whatsapp, channel, &request).await.unwrap();
    }
    let inbox = app.ok("ConversationService.ListConversations", &owner, json!({})).await;
    for conversation in inbox["conversations"].as_array().unwrap() {
        let answer = json!({"conversationId": conversation["id"], "text": "Yes."});
        app.ok("MessageService.SendMessage", &owner, answer).await;
    }
    let raw = Database::connect(&pair.database_url).await.unwrap();
    let (begin, mut most) = (Instant::now(), 0);
    while sandbox.sent().len() < 12 {
        let row = raw
            .query_one_raw(Statement::from_string(
                DbBackend::Sqlite,
                "select count(*) as n from job where queue = 0 and state = 2",
            ))
            .await;
        most = most.max(row.unwrap().unwrap().try_get::<i64>("", "n").unwrap());
        assert!(begin.elapsed() < PATIENCE, "{} were sent", sandbox.sent().len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running.stop().await;
    // Four sends a slot; one that just ended may still stand in the record as running.
    assert!((1..=8).contains(&most), "{most} at once");
}
