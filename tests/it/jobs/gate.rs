//! The gate against a model of it: whatever happens to jobs of one key in whatever order, they start one at a time in
//! the order in which they were promised, and nobody waits for a job that is over.
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use switchboard::store::jobs::{Ending, NewJob, Outcome, Ticket};

use super::*;

const KEYS: usize = 2;
const MOST: usize = 6;

/// What happens next. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// One more job of a key; one that halts keeps the key shut when it dies.
    Promise {
        key: usize,
        halt: bool,
    },
    /// Whatever is ready is dispatched and started.
    Start,
    /// Dispatched, and lost on the way: its lease ends.
    LoseTicket,
    /// A running job ends.
    End {
        which: usize,
        how: usize,
    },
    /// Started, and its worker falls silent.
    Crash {
        which: usize,
    },
    Cancel {
        which: usize,
    },
    Archive,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..KEYS, prop::bool::weighted(0.15)).prop_map(|(key, halt)| Step::Promise { key, halt }),
        4 => Just(Step::Start),
        1 => Just(Step::LoseTicket),
        5 => (0_usize..8, 0_usize..6).prop_map(|(which, how)| Step::End { which, how }),
        1 => (0_usize..8).prop_map(|which| Step::Crash { which }),
        2 => (0_usize..16).prop_map(|which| Step::Cancel { which }),
        1 => Just(Step::Archive),
    ]
}

/// What the model knows of one job.
#[derive(Clone, Debug)]
struct Promised {
    id: JobId,
    key: usize,
    halt: bool,
    state: i16,
    crashes: i16,
}

/// The rule, in as few words as there are: of each key the first that is not over may run, unless one before it died
/// and halts the key.
#[derive(Default)]
struct Model(Vec<Promised>);

impl Model {
    fn settle(&mut self) {
        for key in 0..KEYS {
            let mut open = true;
            for job in self.0.iter_mut().filter(|job| job.key == key) {
                match job.state {
                    DONE | CANCELLED => {}
                    DEAD => open &= !job.halt,
                    BLOCKED if open => {
                        job.state = READY;
                        open = false;
                    }
                    _ => open = false,
                }
            }
        }
    }

    fn set(&mut self, id: JobId, state: i16) {
        self.0.iter_mut().find(|job| job.id == id).unwrap().state = state;
        self.settle();
    }

    fn all(&self, states: &[i16]) -> Vec<JobId> {
        self.0.iter().filter(|job| states.contains(&job.state)).map(|job| job.id).collect()
    }
}

/// One database, and the model of what is in it.
struct Twin<'a> {
    bench: &'a Bench,
    scope: TenantScope,
    keys: [Uuid; KEYS],
    model: Model,
    running: Vec<Ticket>,
}

const TTL: Duration = Duration::from_secs(600);

impl Twin<'_> {
    async fn admit(&self, ttl: Duration) -> Vec<Ticket> {
        self.bench.store.system().admit(Queue::Send, &[(self.scope.tenant(), 50)], ttl).await.unwrap()
    }

    async fn take(&mut self, step: Step) {
        let system = self.bench.store.system();
        match step {
            Step::Promise { key, halt } => self.promise(key, halt).await,
            Step::Start => {
                let tickets = self.admit(TTL).await;
                let mut ready: Vec<JobId> = tickets.iter().map(|ticket| ticket.job).collect();
                let mut expected = self.model.all(&[READY]);
                ready.sort();
                expected.sort();
                assert_eq!(ready, expected);
                if !tickets.is_empty() {
                    assert_eq!(system.start(&tickets, TTL).await.unwrap().len(), tickets.len());
                }
                tickets.iter().for_each(|ticket| self.model.set(ticket.job, RUNNING));
                self.running.extend(tickets);
            }
            Step::LoseTicket => {
                let lost = self.admit(Duration::ZERO).await.len() as u64;
                assert_eq!(system.sweep(100).await.unwrap().undelivered, lost);
            }
            Step::End { which, how } if !self.running.is_empty() => {
                let ticket = self.running.remove(which % self.running.len());
                let error = "as the story goes".to_owned();
                let after = Duration::ZERO;
                let crashes = &mut self.model.0.iter_mut().find(|job| job.id == ticket.job).unwrap().crashes;
                let (ending, state) = match how {
                    0 | 1 => (Ending::Done, DONE),
                    2 => (Ending::Dead { error }, DEAD),
                    3 => (Ending::Cancelled, CANCELLED),
                    4 => {
                        *crashes += 1;
                        (Ending::Crashed { after, error }, if *crashes >= 3 { DEAD } else { READY })
                    }
                    _ => (Ending::Retry { after, error }, READY),
                };
                let id = ticket.job;
                let finished = system.finish(&[Outcome { ticket: ticket.clone(), ending }]).await.unwrap();
                assert_eq!(finished.recorded.len(), 1);
                // The same news once more is no news.
                let again = Outcome { ticket, ending: Ending::Done };
                assert!(system.finish(&[again]).await.unwrap().recorded.is_empty());
                self.model.set(id, state);
            }
            Step::Crash { which } if !self.running.is_empty() => {
                let ticket = self.running.remove(which % self.running.len());
                system.heartbeat(std::slice::from_ref(&ticket), Duration::ZERO).await.unwrap();
                assert_eq!(system.sweep(100).await.unwrap().total(), 1);
                let job = self.model.0.iter_mut().find(|job| job.id == ticket.job).unwrap();
                job.crashes += 1;
                let state = if job.crashes >= 4 { DEAD } else { READY };
                self.model.set(ticket.job, state);
            }
            Step::Cancel { which } => {
                let waiting = self.model.all(&[READY, BLOCKED]);
                let Some(id) = waiting.get(which % waiting.len().max(1)) else { return };
                let db = self.bench.store.of(self.scope.clone());
                assert!(db.transaction(async |db| db.cancel_job(*id).await).await.unwrap());
                self.model.set(*id, CANCELLED);
            }
            Step::Archive => _ = system.archive_jobs(Duration::ZERO).await.unwrap(),
            Step::End { .. } | Step::Crash { .. } => {}
        }
    }

    async fn promise(&mut self, key: usize, halt: bool) {
        if self.model.all(&[READY, RUNNING, BLOCKED]).len() >= MOST {
            return;
        }
        let new = NewJob {
            queue: Queue::Send,
            kind: "scripted".into(),
            payload: Vec::new(),
            run_at: None,
            order: Some(self.keys[key]),
            halt,
            unique: None,
            max_tries: 12,
            expires_at: None,
        };
        let db = self.bench.store.of(self.scope.clone());
        let id = db.transaction(async |db| db.enqueue(new.clone()).await).await.unwrap().unwrap();
        self.model.0.push(Promised { id, key, halt, state: BLOCKED, crashes: 0 });
        self.model.settle();
    }

    /// Every row stands where the model says; what is not there any more is over.
    async fn compare(&self) {
        let sql = "select id, state from job where tenant_id = $1";
        let rows = self.bench.ask(sql, [self.scope.tenant().into()]).await;
        let rows: HashMap<JobId, i16> = rows
            .iter()
            .map(|row| (row.try_get("", "id").unwrap(), row.try_get("", "state").unwrap()))
            .collect();
        for job in &self.model.0 {
            match rows.get(&job.id) {
                Some(state) => assert_eq!(*state, job.state, "{job:?} of {:?}", self.model.0),
                None => assert!(matches!(job.state, DONE | DEAD | CANCELLED), "{job:?} is gone"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_does_what_its_model_does() {
    on_databases(async |bench| {
        // SQLite costs a fraction: it takes most of the stories.
        let postgres = bench.redis.is_none() && bench.pair.name == "postgres";
        let config =
            Config { cases: if postgres { 12 } else { 40 }, failure_persistence: None, ..Config::default() };
        let runtime = tokio::runtime::Handle::current();
        let stories = prop::collection::vec(step(), 1..40);
        let told = TestRunner::new(config).run(&stories, |story| {
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                tokio::task::block_in_place(|| runtime.block_on(tell(&bench, &story)));
            }));
            told.map_err(|panic| {
                let words = panic.downcast_ref::<String>().cloned();
                TestCaseError::fail(words.unwrap_or_else(|| "panicked".to_owned()))
            })
        });
        if let Err(story) = told {
            panic!("{story}");
        }
    })
    .await;
}

/// Each story has a tenant of its own.
async fn tell(bench: &Bench, story: &[Step]) {
    let scope = bench.newcomer().await;
    let mut twin = Twin { bench, scope, keys: [key(), key()], model: Model::default(), running: Vec::new() };
    for step in story {
        twin.take(*step).await;
        twin.compare().await;
    }
    // To the end: whatever is not shut off by a halt ends.
    for _ in 0..MOST * 3 {
        twin.take(Step::Start).await;
        while !twin.running.is_empty() {
            twin.take(Step::End { which: 0, how: 0 }).await;
        }
        twin.compare().await;
    }
    for job in twin.model.0.iter().filter(|job| job.state == BLOCKED) {
        let before = twin.model.0.iter().take_while(|other| other.id != job.id);
        let halts = |other: &Promised| other.key == job.key && other.halt && other.state == DEAD;
        assert!(before.into_iter().any(halts), "{job:?} waits for nobody");
    }
}
