//! The two pairs that every integration test runs on: SQLite with the in-process bus, PostgreSQL with Redis.
use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use switchboard_migrations::{Migrator, MigratorTrait};
use tokio::sync::{mpsc, oneshot};

use super::Cluster;

/// A migrated, empty database of the test's own, and the bus that goes with it. Dropping it drops the database.
pub struct Pair {
    /// `sqlite` or `postgres`.
    pub name: &'static str,
    pub database_url: String,
    /// None beside SQLite: the bus is in the process.
    pub redis_url: Option<String>,
    errands: mpsc::UnboundedSender<Errand>,
    place: Place,
}

enum Place {
    File(PathBuf),
    Database(String),
    /// Goes with its cluster.
    Lent,
}

/// Both pairs, SQLite first.
pub async fn databases() -> Vec<Pair> {
    vec![Pair::sqlite().await, Pair::postgres().await]
}

/// Runs `test` on SQLite, then on PostgreSQL with Redis. The last line before a failure says on which.
pub async fn both(test: impl AsyncFn(Pair)) {
    for pair in databases().await {
        println!("on {}", pair.name);
        test(pair).await;
    }
}

impl Pair {
    pub async fn sqlite() -> Self {
        let path = Cluster::shared().scratch().join(format!("t{}/switchboard.db", number()));
        let errands = librarian();
        let (done, ready) = oneshot::channel();
        errands.send(Errand::Copy(path.clone(), done)).unwrap_or_else(|_| panic!("{LIBRARIAN}"));
        ready.await.expect(LIBRARIAN);
        Self {
            name: "sqlite",
            database_url: format!("sqlite:{}?mode=rwc", path.display()),
            redis_url: None,
            errands,
            place: Place::File(path),
        }
    }

    pub async fn postgres() -> Self {
        let number = number();
        let name = format!("t{number}");
        let errands = librarian();
        let (done, ready) = oneshot::channel();
        errands.send(Errand::Create(name.clone(), done)).unwrap_or_else(|_| panic!("{LIBRARIAN}"));
        ready.await.expect(LIBRARIAN);
        Self {
            name: "postgres",
            database_url: Cluster::shared().database_url(&name),
            redis_url: Some(Cluster::shared().redis_url(number)),
            errands,
            place: Place::Database(name),
        }
    }
}

impl Pair {
    /// The database and the Redis of a cluster of one's own, which may be broken.
    pub async fn of(cluster: &Cluster) -> Self {
        let database_url = cluster.database_url("postgres");
        migrate(&database_url).await;
        Self {
            name: "postgres",
            database_url,
            redis_url: Some(cluster.redis_url(0)),
            errands: librarian(),
            place: Place::Lent,
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let errand = match &self.place {
            Place::Lent => return,
            Place::File(path) => Errand::Remove(path.clone()),
            Place::Database(name) => Errand::Drop(name.clone()),
        };
        let _ = self.errands.send(errand);
    }
}

fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

const LIBRARIAN: &str = "the librarian lives: its panic says why it does not";

enum Errand {
    Copy(PathBuf, oneshot::Sender<()>),
    Create(String, oneshot::Sender<()>),
    Remove(PathBuf),
    Drop(String),
}

/// One thread creates and drops all databases: a connection cannot outlive its runtime, and each test has its own.
fn librarian() -> mpsc::UnboundedSender<Errand> {
    static LIBRARIAN: OnceLock<mpsc::UnboundedSender<Errand>> = OnceLock::new();
    let start = || {
        let (errands, inbox) = mpsc::unbounded_channel();
        thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work(inbox));
        });
        errands
    };
    LIBRARIAN.get_or_init(start).clone()
}

async fn work(mut inbox: mpsc::UnboundedReceiver<Errand>) {
    let cluster = Cluster::shared();
    let template = cluster.scratch().join("template.db");
    migrate(&format!("sqlite:{}?mode=rwc", template.display())).await;
    let admin = open(&cluster.database_url("postgres")).await;
    admin.execute_unprepared("create database template_of_tests").await.unwrap();
    migrate(&cluster.database_url("template_of_tests")).await;

    while let Some(errand) = inbox.recv().await {
        match errand {
            Errand::Copy(path, done) => {
                std::fs::create_dir(path.parent().expect("a folder of its own")).unwrap();
                std::fs::copy(&template, path).unwrap();
                let _ = done.send(());
            }
            Errand::Create(name, done) => {
                let create = format!("create database {name} template template_of_tests");
                admin.execute_unprepared(&create).await.unwrap();
                let _ = done.send(());
            }
            Errand::Remove(path) => {
                let _ = std::fs::remove_dir_all(path.parent().expect("a folder of its own"));
            }
            Errand::Drop(name) => {
                let _ =
                    admin.execute_unprepared(&format!("drop database if exists {name} with (force)")).await;
            }
        }
    }
}

async fn open(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

async fn migrate(url: &str) {
    let database = open(url).await;
    if let Err(error) = Migrator::up(&database, None).await {
        panic!("the migrations fail on {url}: {error}");
    }
    database.close().await.unwrap();
}
