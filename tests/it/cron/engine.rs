//! The loop that fires: in every process that admits jobs, and nobody leads.
use std::time::Instant;

use switchboard::{
    ai::{Ai, Switches},
    auth::seal::Keyring,
    channels::Http,
    jobs::{Engine, EngineHandle, EngineSettings, Parts, Registry},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::jobs::runs;

const PATIENCE: Duration = Duration::from_secs(40);

async fn start(store: Store, shutdown: &CancellationToken) -> EngineHandle {
    let settings = EngineSettings {
        lease: Duration::from_millis(1_500),
        lead: Duration::from_millis(900),
        ..EngineSettings::default()
    };
    let parts = Parts {
        store,
        keys: Keyring::new(&[]),
        http: Http::new(true, Duration::from_secs(1)),
        ai: Ai::Offline,
        switches: Switches::default(),
        public_url: "https://chat.example".into(),
    };
    let registry = Registry::default().with::<Scripted>();
    Engine::start(settings, parts, registry, shutdown.clone()).await.unwrap()
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !done().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_run_each_fire_once() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:59Z").await;
        let shutdown = CancellationToken::new();
        let mut engines = vec![start(tower.store.clone(), &shutdown).await];
        if pair.name == "postgres" {
            engines.push(start(tower.beside().await, &shutdown).await);
        }
        let names: Vec<String> = (0..10).map(|n| format!("s{n}")).collect();
        for name in &names {
            tower.every_minute(name).await;
        }
        let tenant = tower.scope.tenant();
        for minute in 1..=3 {
            tower.wait(1);
            until("every schedule's job", async || runs(tenant).len() >= 10 * minute).await;
        }
        let over = async || tower.ask("select 1 from job where state in (0, 1, 2)", []).await.is_empty();
        until("their end", over).await;
        // Nothing of these is due any more. Whoever fires the next one would fire them before it, because
        // they were due earlier.
        tower.put("probe", "* * * * *", "UTC", CatchUp::Skip).await.unwrap();
        let due = [tower.env.now().into()];
        tower.ask("update cron set next_at = $1 where name = 'probe'", due).await;
        until("the probe", async || runs(tenant).contains(&"probe".to_owned())).await;
        shutdown.cancel();
        for engine in engines {
            engine.drained().await;
        }
        let mut all = runs(tenant);
        all.sort();
        let expected = names.iter().flat_map(|name| vec![name.clone(); 3]);
        let mut expected: Vec<String> = expected.chain(["probe".to_owned()]).collect();
        expected.sort();
        assert_eq!(all, expected);
        let fires = tower.fires().await;
        assert_eq!(fires.iter().collect::<std::collections::BTreeSet<_>>().len(), fires.len());
    })
    .await;
}

/// The job of a kind that no process knows waits for one that does, and holds up nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_from_elsewhere_holds_up_nobody() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:59Z").await;
        tower.every_minute("foreign").await;
        tower.ask("update cron set kind = 'from_the_next_version'", []).await;
        tower.every_minute("known").await;
        tower.wait(1);
        let shutdown = CancellationToken::new();
        let engine = start(tower.store.clone(), &shutdown).await;
        let tenant = tower.scope.tenant();
        for minute in 1..=2 {
            until("the known one's job", async || runs(tenant).len() >= minute).await;
            tower.wait(1);
        }
        shutdown.cancel();
        engine.drained().await;
        assert!(runs(tenant).iter().all(|name| name == "known"));
        let left = "select state from job where kind = 'from_the_next_version'";
        let left = tower.ask(left, []).await;
        assert!(!left.is_empty());
        for row in left {
            let state: i16 = row.try_get("", "state").unwrap();
            assert!([0, 1].contains(&state), "{state}: nobody judged it");
        }
    })
    .await;
}

/// Whoever waits for the next time hears of a new one.
#[tokio::test]
async fn a_change_of_a_schedule_wakes_the_loop() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:00Z").await;
        let woken = async |change: &str| {
            let woken = tokio::time::timeout(PATIENCE, tower.store.hints().rescheduled()).await;
            assert!(woken.is_ok(), "{change} wakes nobody");
        };
        tower.every_minute("tick").await;
        woken("a new schedule").await;
        tower.set_enabled("tick", false).await;
        woken("a switch").await;
        tower.put("tick", "0 0 * * *", "UTC", CatchUp::One).await.unwrap();
        woken("another expression").await;
        let tenant = tower.scope.tenant();
        let hint =
            switchboard::store::Hint { tenant, events: false, queues: switchboard::store::Hint::SCHEDULES };
        tower.store.hints().pass_on(hint);
        woken("another process").await;

        tower.put("tick", "0 0 * * *", "UTC", CatchUp::One).await.unwrap();
        tower.wait(24 * 60);
        tower.look().await;
        let quiet = tokio::time::timeout(Duration::from_millis(50), tower.store.hints().rescheduled()).await;
        assert!(quiet.is_err(), "neither the same again nor a fire is a change");
    })
    .await;
}
