//! Copies while rows change: nothing that commits late is missed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use switchboard::{
    domain::event::Event,
    error::Error,
    events::{Hub, sequence},
    id::{Id as _, ProductId},
    store::{
        Store,
        conversation::ProductText,
        sync::{Collection, Cursor, Row},
    },
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{support::both, transaction::store};

const WRITERS: u64 = 8;
const COMMITS: usize = 30;
const PAGE: usize = 20;

fn text(name: String) -> ProductText {
    ProductText {
        sku: String::new(),
        name,
        description: String::new(),
        category: String::new(),
        price: None,
        in_stock: true,
        stock_quantity: None,
        delivery_info: String::new(),
        active: true,
    }
}

/// One transaction that changes a few rows, and takes its time before it commits.
async fn change(
    store: &Store,
    scope: &switchboard::auth::TenantScope,
    known: &[ProductId],
    seed: u64,
) -> Vec<ProductId> {
    let db = store.of(scope.clone());
    let work = async |db: &switchboard::store::TenantDb<switchboard::store::Tx>| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut made = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let tell = |id: ProductId| {
                db.emit(Event::TenantUpdated { subject: id.to_string(), action: "test".to_owned() });
            };
            let seen = match known.choose(&mut rng) {
                Some(id) if rng.random_bool(0.6) => db.products().get(*id).await.ok(),
                _ => None,
            };
            match seen {
                Some(seen) if rng.random_bool(0.3) => {
                    db.products().delete(&seen).await?;
                    tell(seen.id);
                }
                Some(seen) => {
                    db.products().change(&seen, text(rng.random::<u32>().to_string())).await?;
                    tell(seen.id);
                }
                None => {
                    let row = db.products().insert(db.env().id(), text(String::new())).await?;
                    made.push(row.id);
                    tell(row.id);
                }
            }
        }
        // On SQLite everybody waits meanwhile: little there.
        let pause = if db.env().chance() < 0.2 { 25 } else { 2 };
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=pause))).await;
        Ok(made)
    };
    // Somebody else changed the same row first.
    match db.transaction(work).await {
        Err(Error::Changed { .. }) => Vec::new(),
        other => other.unwrap(),
    }
}

/// Eight writers commit in any order, each after a delay of its own, while a client pulls small pages all the
/// time: in the end its copy is the table, versions and all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_pulled_beside_late_commits_is_the_table_in_the_end() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let stop = CancellationToken::new();
        let sequencer = tokio::spawn(sequence(store.clone(), Hub::local(), stop.clone()));
        // Some were there before the copy.
        let mut known = Vec::new();
        for seed in 0..15 {
            known.extend(change(&store, &scope, &[], 1_000 + seed).await);
        }
        let known = Arc::new(known);
        let writers = (0..WRITERS).map(|writer| {
            let (store, scope, known) = (store.clone(), scope.clone(), known.clone());
            tokio::spawn(async move {
                let mut own = known.to_vec();
                for commit in 0..COMMITS {
                    let seed = writer * 10_000 + u64::try_from(commit).unwrap();
                    own.extend(change(&store, &scope, &own, seed).await);
                }
            })
        });
        let writers = tokio::spawn(join_all(writers));

        let mut copy: BTreeMap<Uuid, i64> = BTreeMap::new();
        let (mut cursor, mut until): (Option<Cursor>, Option<i64>) = (None, None);
        let (mut pages, mut cycles) = (0, 0);
        let db = store.of(scope.clone());
        loop {
            let done = writers.is_finished();
            let waiting = db.events().touched_since(&["tenant.updated"], i64::MAX, 1).await.unwrap();
            let newest = db.events().head().await.unwrap().newest;
            let page = db.copies().pull(Collection::Products, cursor, until, PAGE).await.unwrap();
            assert!(page.rows.len() <= PAGE);
            pages += 1;
            for changed in page.rows {
                match changed.row {
                    Some(row) => {
                        let before = copy.insert(changed.id, row.version());
                        assert!(
                            before.is_none_or(|before| before <= row.version()),
                            "{before:?}: back in time"
                        );
                    }
                    None => drop(copy.remove(&changed.id)),
                }
            }
            cursor = Some(page.cursor);
            until = page.more.then_some(page.until);
            cycles += usize::from(!page.more);
            if done && waiting.is_empty() && !page.more && page.until == newest {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for writer in writers.await.unwrap() {
            writer.unwrap();
        }
        stop.cancel();
        sequencer.await.unwrap();
        let table = db.products().list(None, None, 10_000).await.unwrap();
        let table: BTreeMap<Uuid, i64> = table.into_iter().map(|row| (row.id.uuid(), row.version)).collect();
        assert!(
            table.len() > 100 && pages > 20 && cycles > 1,
            "{} rows, {pages} pages, {cycles} cycles",
            table.len()
        );
        assert_eq!(copy, table);
        println!("{} rows, {pages} pages, {cycles} cycles", table.len());

        // And a copy that begins now is the same.
        let anew = db.copies().pull(Collection::Products, None, None, 10_000).await.unwrap();
        let anew = anew.rows.iter().filter_map(|changed| changed.row.as_ref());
        assert_eq!(anew.map(|row: &Row| (row.id(), row.version())).collect::<BTreeMap<_, _>>(), table);
    })
    .await;
}
