//! How long the log is kept, and what readers hear of what is gone.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use switchboard::{
    auth::TenantScope,
    env::Env,
    events::{Follower, Hub, Step},
    store::{Settings, Store, connect, events::EventFilter},
};

use super::{number, told, write};
use crate::{
    support::{Pair, both},
    transaction::tenant_at,
};

/// The months of the log on PostgreSQL.
async fn months(pair: &Pair) -> Vec<String> {
    let database = Database::connect(&pair.database_url).await.unwrap();
    let sql = "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'event'::regclass order by 1";
    let rows = database.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "name").unwrap()).collect()
}

async fn trim(store: &Store) {
    // On SQLite a few rows at a time.
    while store.system().trim_events(2).await.unwrap() {}
}

async fn follow(store: &Store, scope: &TenantScope, after: i64) -> switchboard::error::Result<Follower> {
    Follower::start(store.clone(), &Hub::local(), scope.clone(), Some(after), EventFilter::default()).await
}

/// Old entries go, the unnumbered and the young stay, and every reader of what is gone is told: one that comes,
/// one that is on its way, one that pulls with a filter.
#[tokio::test]
async fn old_events_go_and_their_readers_are_told() {
    both(async |pair| {
        // A month that nobody prepared: what comes then waits in the rest until it has its place.
        let env = Env::manual(Env::system().now() + TimeDelta::days(200), 7);
        let settings = Settings { url: pair.database_url.clone(), pool: 4 };
        let store = connect(&settings, env.clone()).await.unwrap();
        let scope = TenantScope::of_platform(tenant_at(&pair.database_url, &env).await);
        let other = TenantScope::of_platform(tenant_at(&pair.database_url, &env).await);
        for event in 1..=3 {
            write(&store, &scope, event).await;
        }
        number(&store).await;
        write(&store, &other, 1).await;
        trim(&store).await;
        let old = store.env().now().format("event_%Y_%m").to_string();
        if pair.name == "postgres" {
            assert!(months(&pair).await.contains(&old), "{:?}", months(&pair).await);
        }
        assert_eq!(store.of(scope.clone()).events().head().await.unwrap().oldest, 1);
        let mut on_its_way = follow(&store, &scope, 1).await.unwrap();

        env.advance(TimeDelta::days(89));
        for event in 4..=6 {
            write(&store, &scope, event).await;
        }
        trim(&store).await;
        assert_eq!(store.of(scope.clone()).events().head().await.unwrap().oldest, 1, "89 days are not 90");

        // The other tenant's event has no number yet: where the months go whole, it holds its month back.
        env.advance(TimeDelta::days(33));
        trim(&store).await;
        if pair.name == "postgres" {
            assert!(months(&pair).await.contains(&old));
        }
        number(&store).await;
        trim(&store).await;
        if pair.name == "postgres" {
            let left = months(&pair).await;
            assert!(!left.contains(&old) && !left.contains(&"event_before".to_owned()), "{left:?}");
        }

        let head = store.of(scope.clone()).events().head().await.unwrap();
        assert_eq!((head.oldest, head.newest), (4, 6));
        let gone = ("4".to_owned(), "6".to_owned());
        assert_eq!(told(on_its_way.next().await.unwrap_err()), gone);
        assert_eq!(told(follow(&store, &scope, 2).await.err().unwrap()), gone);
        let filter = EventFilter { kinds: vec!["message.created".to_owned()], conversation: None };
        let pulled = store.of(scope.clone()).events().page(0, &filter, 10).await;
        assert_eq!(told(pulled.unwrap_err()), gone);
        let mut reader = follow(&store, &scope, 3).await.unwrap();
        for expected in 4..=6 {
            let Step::Event(event) = reader.next().await.unwrap() else { panic!("an event") };
            assert_eq!(event.seq, Some(expected));
        }
        let head = store.of(other.clone()).events().head().await.unwrap();
        assert_eq!((head.oldest, head.newest), (2, 1), "an empty log that has begun");
        assert!(follow(&store, &other, 1).await.is_ok());

        // Numbers go on where they were.
        write(&store, &other, 2).await;
        number(&store).await;
        let (_, found) = store.of(other).events().page(1, &EventFilter::default(), 10).await.unwrap();
        assert_eq!(found.iter().map(|event| event.seq).collect::<Vec<_>>(), [Some(2)]);
    })
    .await;
}
