//! Copies of rows on clients: what is pulled and pushed.

mod cases;
mod day;
mod push;
mod races;

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, Value as Bound};
use serde_json::{Value, json};
use switchboard::id::ProductId;

use crate::support::{
    Pair,
    app::{Person, TestApp},
};

const COLLECTIONS: [(&str, &str); 5] = [
    ("COLLECTION_CUSTOMERS", "customer"),
    ("COLLECTION_CONVERSATIONS", "conversation"),
    ("COLLECTION_MESSAGES", "message"),
    ("COLLECTION_PRODUCTS", "product"),
    ("COLLECTION_DOCUMENTS", "document"),
];
const PRODUCTS: (&str, &str) = COLLECTIONS[3];

/// A server with its sequencer, and somebody who owns a shop.
async fn open(pair: &Pair) -> (TestApp, Person, switchboard::app::Running) {
    let off = [("SWITCHBOARD_RATE_READ", "off"), ("SWITCHBOARD_RATE_WRITE", "off")];
    let app = TestApp::with(pair, &off).await;
    let ada = app.sign_up("ada@example.com").await;
    let (_, running) = app.serve().await;
    (app, ada, running)
}

/// Waits until every event has its number.
async fn settled(pair: &Pair) {
    let database = Database::connect(&pair.database_url).await.unwrap();
    let waiting = "select count(*) as n from event where seq is null";
    loop {
        let count = Statement::from_string(database.get_database_backend(), waiting);
        let row = database.query_one_raw(count).await.unwrap().unwrap();
        if row.try_get::<i64>("", "n").unwrap() == 0 {
            return database.close().await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Runs SQL past the store.
async fn sql(pair: &Pair, sql: &str, values: Vec<Bound>) {
    let database = Database::connect(&pair.database_url).await.unwrap();
    let backend = database.get_database_backend();
    let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
    database.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap();
    database.close().await.unwrap();
}

fn fresh(app: &TestApp) -> String {
    app.store().env().id::<ProductId>().to_string()
}

/// Creates products in pushes of 50; answers their ids, oldest first.
async fn products(app: &TestApp, person: &Person, count: usize) -> Vec<String> {
    let mut ids: Vec<String> = (0..count).map(|_| fresh(app)).collect();
    // Within one millisecond chance decides.
    ids.sort_unstable();
    for part in ids.chunks(50) {
        let changes = part.iter().map(|id| json!({"createProduct": {"id": id, "name": "Bike"}}));
        let pushed = json!({"changes": changes.collect::<Vec<_>>()});
        let pushed = app.ok("PushChanges", person, pushed).await;
        assert!(pushed["results"].as_array().unwrap().iter().all(|result| result["ok"] == true), "{pushed}");
    }
    ids
}

/// A client's copy of one collection.
#[derive(Default)]
struct Copy {
    cursor: Option<Value>,
    until: Option<Value>,
    rows: BTreeMap<String, Value>,
}

impl Copy {
    /// Pulls one page; answers its changes, and whether there is more.
    async fn page(
        &mut self,
        app: &TestApp,
        person: &Person,
        collection: &str,
        size: usize,
    ) -> (Vec<Value>, bool) {
        let mut request = json!({"collection": collection, "pageSize": size});
        if let Some(cursor) = &self.cursor {
            request["cursor"] = cursor.clone();
        }
        if let Some(until) = &self.until {
            request["untilSeq"] = until.clone();
        }
        let answer = app.ok("PullChanges", person, request).await;
        let changes = answer["changes"].as_array().unwrap().clone();
        assert!(changes.len() <= size, "{} in a page of {size}", changes.len());
        for change in &changes {
            let id = change["id"].as_str().unwrap().to_owned();
            match change["deleted"].as_bool().unwrap() {
                true => drop(self.rows.remove(&id)),
                false => drop(self.rows.insert(id, change.clone())),
            }
        }
        let more = answer["more"].as_bool().unwrap();
        self.cursor = Some(answer["cursor"].clone());
        self.until = more.then(|| answer["untilSeq"].clone());
        (changes, more)
    }

    /// Pulls to the end of a cycle; answers the ids of each page.
    async fn cycle(
        &mut self,
        app: &TestApp,
        person: &Person,
        collection: &str,
        size: usize,
    ) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        loop {
            let (changes, more) = self.page(app, person, collection, size).await;
            pages.push(changes.iter().map(|change| change["id"].as_str().unwrap().to_owned()).collect());
            if !more {
                return pages;
            }
        }
    }
}

fn sizes(pages: &[Vec<String>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}
