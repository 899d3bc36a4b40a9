//! Everything that runs: two processes of each role, PostgreSQL and Redis behind lines that can be broken, two
//! shops with their providers, and somebody who keeps looking.
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng, rngs::StdRng};
use sea_orm::Database;
use switchboard::fault::Point;

use crate::{
    cluster::Cluster,
    counters::Counters,
    faults::shop::Shop,
    processes::{self, Process, Role},
    proxy::Proxy,
    watch::Watch,
};

/// Leases that end soon, few slots, no limits on calls.
const SETTINGS: &[(&str, &str)] = &[
    ("SWITCHBOARD_MASTER_KEY", "tests:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("SWITCHBOARD_PEPPER", "a pepper for tests and nothing else"),
    ("SWITCHBOARD_BCRYPT_COST", "10"),
    ("SWITCHBOARD_ALLOW_PRIVATE_TARGETS", "true"),
    ("SWITCHBOARD_DEBOUNCE_MS", "300"),
    ("SWITCHBOARD_DATABASE_POOL", "8"),
    ("SWITCHBOARD_JOB_LEASE_SECONDS", "2"),
    ("SWITCHBOARD_JOB_SLOTS", "4"),
    ("SWITCHBOARD_DRAIN_SECONDS", "2"),
    ("SWITCHBOARD_RATE_PUBLIC", "off"),
    ("SWITCHBOARD_RATE_READ", "off"),
    ("SWITCHBOARD_RATE_WRITE", "off"),
    ("SWITCHBOARD_RATE_STREAM", "off"),
    ("SWITCHBOARD_RATE_WEBHOOK", "off"),
    ("SWITCHBOARD_LOG_LEVEL", "warn,switchboard=info"),
];

/// A silent worker has lost its jobs after so long.
pub const LEASE: Duration = Duration::from_secs(2);

pub struct World {
    // In this order they go: the processes before what they need.
    pub processes: Vec<Process>,
    pub shops: Vec<Arc<Shop>>,
    pub watch: Watch,
    pub counters: Counters,
    pub postgres: Proxy,
    pub redis: Proxy,
    pub providers: Vec<Proxy>,
    pub cluster: Cluster,
    pub folder: tempfile::TempDir,
    pub chance: StdRng,
    /// Jobs of a known kind that this program made up.
    pub poisoned: i64,
    roster: Arc<Mutex<Vec<(u32, String)>>>,
}

impl World {
    /// `without` names a mechanism that works in none of the processes.
    pub async fn create(chance: StdRng, without: Option<&str>) -> Self {
        let cluster = tokio::task::block_in_place(|| Cluster::with(&[("SERVICES_REDIS_KEEPS", "1")]));
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (database_url, redis_url) = (cluster.database_url("postgres"), cluster.redis_url(0));
        let postgres = Proxy::to(address(&database_url)).await;
        let redis = Proxy::to(address(&redis_url)).await;

        let mut settings: Vec<(String, String)> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        set("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port));
        set("REDIS_URL", format!("redis://127.0.0.1:{}/0", redis.port));
        set("FAULTS_IN", folder.path().display().to_string());
        if let Some(without) = without {
            set("FAULTS_WITHOUT", without.to_owned());
        }
        tokio::task::block_in_place(|| processes::run("migrate", &settings));
        let roles = [Role::Api, Role::Api, Role::Worker, Role::Worker, Role::Relay, Role::Relay];
        let mut all: Vec<Process> = (0..)
            .zip(roles)
            .map(|(number, role)| Process::start(role, number, &settings, folder.path()))
            .collect();
        for process in &mut all {
            process.ready().await;
        }

        let database = Database::connect(&database_url).await.expect("PostgreSQL is there");
        let watch = Watch::begin(database, redis::Client::open(redis_url.as_str()).expect("a URL")).await;
        let (mut shops, mut providers) = (Vec::new(), Vec::new());
        let servers: Vec<String> = all[..2].iter().map(Process::url).collect();
        for _ in 0..2 {
            let line = async |provider: &str| {
                let proxy = Proxy::to(address(provider)).await;
                let url = format!("http://127.0.0.1:{}", proxy.port);
                providers.push(proxy);
                url
            };
            shops.push(Shop::behind(&database_url, Some(&redis_url), &servers, line).await);
        }
        let world = Self {
            processes: all,
            shops,
            watch,
            counters: Counters::default(),
            postgres,
            redis,
            providers,
            cluster,
            folder,
            chance,
            poisoned: 0,
            roster: Arc::default(),
        };
        world.enlist();
        world.keep_counting();
        world
    }

    /// Who is asked for its counters.
    fn enlist(&self) {
        let roster = self.processes.iter().map(|process| (process.pid(), process.address()));
        *self.roster.lock().expect("no reader panicked") = roster.collect();
    }

    fn keep_counting(&self) {
        let (roster, counters) = (self.roster.clone(), self.counters.clone());
        tokio::spawn(async move {
            loop {
                let known = roster.lock().expect("no reader panicked").clone();
                for (pid, address) in known {
                    if let Some(text) = processes::get(&address, "/metrics").await {
                        counters.note(pid, &text);
                    }
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }

    /// Asks every process that answers for its counters.
    pub async fn count(&self) {
        for process in &self.processes {
            if let Some(text) = process.metrics().await {
                self.counters.note(process.pid(), &text);
            }
        }
    }

    /// How often a process was started.
    pub fn lives(&self) -> usize {
        self.processes.iter().map(|process| process.lives).sum()
    }

    /// One of the processes with that role.
    pub fn one(&mut self, role: Role) -> usize {
        let of: Vec<usize> = self.all(role);
        of[self.chance.random_range(0..of.len())]
    }

    pub fn all(&self, role: Role) -> Vec<usize> {
        (0..self.processes.len()).filter(|at| self.processes[*at].role == role).collect()
    }

    pub async fn kill(&mut self, at: usize) {
        if let Some(text) = self.processes[at].metrics().await {
            self.counters.note(self.processes[at].pid(), &text);
        }
        self.processes[at].kill();
    }

    /// Starts whoever died again, and waits until all are ready.
    pub async fn mend(&mut self) {
        for at in 0..self.processes.len() {
            if self.processes[at].has_ended() {
                self.revive(at, &[]);
            }
        }
        for process in &mut self.processes {
            process.ready().await;
        }
        self.enlist();
    }

    pub fn revive(&mut self, at: usize, more: &[(&str, &str)]) {
        self.processes[at].start_again(more);
        self.enlist();
    }

    /// The file that arms a point.
    pub fn armed(&self, point: Point) -> PathBuf {
        self.folder.path().join(point.name())
    }

    /// Has `action` happen at `point`, once; false when nobody passed it in time.
    pub async fn strike(&self, point: Point, action: &str, patience: Duration) -> bool {
        self.arm(point, action);
        let file = self.armed(point);
        let begin = std::time::Instant::now();
        while file.exists() {
            if begin.elapsed() > patience {
                return std::fs::remove_file(&file).is_err();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Leaves the logs where they can be read after this program.
    pub fn keep_logs(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    pub fn arm(&self, point: Point, action: &str) {
        let whole = self.folder.path().join("being-written");
        std::fs::write(&whole, action).expect("the folder is there");
        std::fs::rename(whole, self.armed(point)).expect("the folder is there");
    }
}

fn address(url: &str) -> SocketAddr {
    let rest = url.split("//").nth(1).expect("a URL");
    let host = rest.split('/').next().expect("a host");
    host.rsplit('@').next().expect("a host").parse().expect("an address of loopback")
}
