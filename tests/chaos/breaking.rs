//! The faults, each under its number in the catalogue of the tests, and what a round of them is.
use std::time::{Duration, Instant};

use rand::{Rng, seq::SliceRandom};
use switchboard::{fault::Point, sandbox::Behaviour};

use crate::{
    poison,
    processes::Role,
    proxy::Line,
    world::{LEASE, World},
};

/// How long something takes that must not take forever.
const SOON: Duration = Duration::from_secs(5);
/// A provider's answer takes so long: time to be killed in.
const DELAY: u64 = 40;

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// F1: a process is killed.
    Kill(Role),
    /// F2: a process stands still for longer than its leases.
    Pause(Role),
    /// F3: Redis is killed and comes back with its file, after longer than the patience of the relays.
    RedisCrash,
    /// F4: Redis forgets everything.
    Flush,
    /// F5: Redis is killed and comes back with an empty disk.
    RedisEmpty,
    /// F7: Redis answers nobody for a while.
    RedisPause,
    /// F9: PostgreSQL crashes.
    PostgresCrash,
    /// F10: PostgreSQL ends connections.
    Terminate,
    /// F11: locks that are held, and statements that are cancelled as a time limit does.
    Timeouts,
    /// F13: a line is silent, deaf or cut.
    Network,
    /// F14: a provider fails, lies about it, is slow, repeats itself and mixes up its reports.
    Provider,
    /// F15: entries that are no tickets, tickets of long ago, payloads that nobody can read.
    Poison,
    /// F15: a handler panics, takes its process down, or does that after it said what it means to do.
    Handler,
    /// F17: a process is asked to stop under load.
    Term(Role),
    /// F18: one worker is of a version that does not know a kind of job.
    OldVersion,
    /// F19: nearly every caller hangs up before the answer.
    Storm,
    /// A crash, an error or a delay at a named point.
    Point,
    /// A worker dies between the end of a job and its record.
    Acks,
    /// A relay dies while its dispatch is not on disk, and nobody takes tickets.
    Claims,
    /// The results of a worker reach the database after its leases ended.
    Late,
}

/// Each of them once: what needs calm or has long consequences first, the rest in any order.
pub fn round(world: &mut World) -> Vec<Fault> {
    let mut rest = vec![
        Fault::Kill(Role::Api),
        Fault::Kill(Role::Worker),
        Fault::Kill(Role::Relay),
        Fault::Pause(Role::Worker),
        Fault::Pause(Role::Relay),
        Fault::RedisCrash,
        Fault::Flush,
        Fault::RedisEmpty,
        Fault::RedisPause,
        Fault::PostgresCrash,
        Fault::Terminate,
        Fault::Timeouts,
        Fault::Network,
        Fault::Network,
        Fault::Provider,
        Fault::Poison,
        Fault::Handler,
        Fault::Term(Role::Api),
        Fault::Term(Role::Worker),
        Fault::Storm,
        Fault::Point,
        Fault::Point,
        Fault::Point,
        Fault::Flush,
    ];
    rest.shuffle(&mut world.chance);
    [vec![Fault::Acks, Fault::Claims, Fault::OldVersion, Fault::Late], rest].concat()
}

impl World {
    /// Breaks something and mends it again.
    pub async fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(role) => {
                let at = self.one(role);
                self.kill(at).await;
            }
            Fault::Pause(role) => {
                let at = self.one(role);
                self.processes[at].signal("STOP");
                // A leader's lease is 3 s.
                self.rest(if role == Role::Relay { 3_500..4_500 } else { 2_500..3_500 }).await;
                self.processes[at].signal("CONT");
            }
            Fault::RedisCrash => {
                tokio::task::block_in_place(|| self.cluster.stop_redis());
                self.rest(6_500..7_500).await;
                tokio::task::block_in_place(|| self.cluster.start_redis());
            }
            Fault::RedisEmpty => {
                tokio::task::block_in_place(|| {
                    self.cluster.stop_redis();
                    self.cluster.wipe_redis();
                });
                self.rest(100..1_500).await;
                tokio::task::block_in_place(|| self.cluster.start_redis());
            }
            Fault::Flush => self.tell_redis(&["FLUSHALL"]).await,
            Fault::RedisPause => {
                let millis = self.chance.random_range(1_100..2_200_u64).to_string();
                self.tell_redis(&["CLIENT", "PAUSE", &millis, "ALL"]).await;
                tokio::time::sleep(Duration::from_millis(2_300)).await;
            }
            Fault::PostgresCrash => {
                tokio::task::block_in_place(|| self.cluster.stop_postgres());
                self.rest(200..1_500).await;
                tokio::task::block_in_place(|| self.cluster.start_postgres());
            }
            Fault::Terminate => {
                for _ in 0..4 {
                    self.tell_postgres(&backends("pg_terminate_backend", "random() < 0.4")).await;
                    self.rest(20..200).await;
                }
            }
            Fault::Timeouts => self.hold_locks().await,
            Fault::Network => self.break_a_line().await,
            Fault::Provider => self.mislead().await,
            Fault::Poison => poison::spread(self).await,
            Fault::Handler => {
                for (point, action) in [
                    (Point::WorkerInJob, "panic"),
                    (Point::WorkerInJob, "crash"),
                    (Point::EffectAfterIntent, "crash"),
                ] {
                    self.strike(point, action, 2 * SOON).await;
                }
            }
            Fault::Term(role) => {
                let at = self.one(role);
                self.count().await;
                self.processes[at].signal("TERM");
                if !self.processes[at].ends_within(Duration::from_secs(20)).await {
                    self.watch.find(format!("a {role:?} did not end within 20 s of SIGTERM"));
                }
            }
            Fault::OldVersion => {
                let at = self.one(Role::Worker);
                self.kill(at).await;
                self.revive(at, &[("FAULTS_UNKNOWN_KIND", "draft_reply")]);
                self.processes[at].ready().await;
                let begin = Instant::now();
                // Each ticket that it puts off is late by half a minute: a few are enough.
                while begin.elapsed() < SOON && !self.puts_off(at).await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                self.kill(at).await;
            }
            Fault::Storm => {
                self.storm(true);
                self.rest(1_500..2_500).await;
                self.storm(false);
            }
            Fault::Point => {
                let point = Point::ALL[self.chance.random_range(0..Point::ALL.len())];
                let action = ["crash", "error", "delay 400"][self.chance.random_range(0..3)];
                self.strike(point, action, Duration::from_secs(2)).await;
            }
            Fault::Acks => self.die_before_the_record().await,
            Fault::Claims => self.die_before_the_dispatch().await,
            Fault::Late => {
                let late = format!("delay {}", LEASE.as_millis() + 2_000);
                self.strike(Point::CompleterBeforeCommit, &late, SOON).await;
                tokio::time::sleep(LEASE + Duration::from_millis(2_200)).await;
            }
        }
        self.mend().await;
    }

    async fn puts_off(&self, at: usize) -> bool {
        let metrics = self.processes[at].metrics().await.unwrap_or_default();
        metrics
            .lines()
            .any(|line| line.starts_with("switchboard_jobs_snoozed_total{") && !line.ends_with(" 0"))
    }

    pub async fn rest(&mut self, millis: std::ops::Range<u64>) {
        let pause = self.chance.random_range(millis);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Well again: for the time after the faults.
    pub fn behave(&self) {
        for shop in &self.shops {
            shop.sandbox.behave(Behaviour { delay_ms: DELAY, ..Behaviour::default() });
        }
    }

    fn storm(&self, blows: bool) {
        for shop in &self.shops {
            shop.storm.store(blows, std::sync::atomic::Ordering::Relaxed);
        }
    }

    pub async fn tell_redis(&self, words: &[&str]) {
        let told = async {
            let mut redis = self.watch.redis().await?;
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            Ok::<(), anyhow::Error>(command.query_async(&mut redis).await?)
        };
        told.await.expect("Redis is there");
    }

    pub async fn tell_postgres(&self, sql: &str) {
        self.watch.ask(sql, []).await.expect("PostgreSQL is there");
    }

    /// A table is locked; whoever waits for it is told that its time is up.
    async fn hold_locks(&mut self) {
        let table = ["message", "job_gate", "conversation", "event"][self.chance.random_range(0..4)];
        let held = format!("do $$ begin lock table {table} in exclusive mode; perform pg_sleep(1.5); end $$");
        let (watch, cancel) = (self.watch.clone(), backends("pg_cancel_backend", "wait_event_type = 'Lock'"));
        let holder = tokio::spawn(async move { watch.ask(&held, []).await });
        for _ in 0..3 {
            self.rest(300..450).await;
            self.tell_postgres(&cancel).await;
        }
        drop(holder.await);
    }

    async fn break_a_line(&mut self) {
        let line = [Line::Silent, Line::Deaf][self.chance.random_range(0..2)];
        let pause = Duration::from_millis(self.chance.random_range(300..2_500));
        let cut = self.chance.random_bool(0.7);
        let proxy = match self.chance.random_range(0..3) {
            0 => &self.postgres,
            1 => &self.redis,
            _ => &self.providers[0],
        };
        proxy.be(line, pause, cut).await;
        for _ in 0..3 {
            for line in [&self.postgres, &self.redis, &self.providers[1]] {
                line.cut();
            }
            self.rest(50..300).await;
        }
    }

    async fn mislead(&mut self) {
        for behaviour in [
            Behaviour { error_rate: 0.3, duplicates: 2, reorder: true, ..Behaviour::default() },
            Behaviour { timeout_after_accept: 1, fail_after_accept: 2, ..Behaviour::default() },
            Behaviour { delay_ms: 400, status_delay_ms: 300, duplicates: 1, ..Behaviour::default() },
        ] {
            for shop in &self.shops {
                shop.sandbox.behave(behaviour.clone());
            }
            self.rest(600..1_000).await;
        }
        self.behave();
    }

    /// What was not recorded must still have its ticket.
    async fn die_before_the_record(&mut self) {
        let workers = self.all(Role::Worker);
        let struck = self.strike(Point::CompleterBeforeCommit, "crash", SOON).await;
        let mut rest = [workers, self.all(Role::Relay)].concat();
        rest.retain(|at| !self.processes[*at].has_ended());
        rest.iter().for_each(|at| self.processes[*at].signal("STOP"));
        if struck {
            // In this order: nobody acknowledges any more, so what has no ticket has lost it before.
            let running = self.watch.ask("select id, epoch from job where state = 2", []).await;
            let tickets = self.watch.tickets().await;
            for row in running.expect("PostgreSQL is there") {
                let (job, epoch) = (row.try_get("", "id").unwrap(), row.try_get("", "epoch").unwrap());
                let tickets = tickets.as_ref().expect("Redis is there");
                if !tickets.contains(&crate::watch::Ticket { job, epoch }) {
                    self.watch.find("a ticket was acknowledged before the end of its job was on disk");
                }
            }
        }
        rest.iter().for_each(|at| self.processes[*at].signal("CONT"));
    }

    /// What is not dispatched on disk must not have a ticket.
    async fn die_before_the_dispatch(&mut self) {
        let workers = self.all(Role::Worker);
        workers.iter().for_each(|at| self.processes[*at].signal("STOP"));
        self.strike(Point::RelayInClaim, "crash", SOON).await;
        self.watch.compare().await.expect("PostgreSQL and Redis are there");
        workers.iter().for_each(|at| self.processes[*at].signal("CONT"));
    }
}

fn backends(function: &str, which: &str) -> String {
    format!("select {function}(pid) from pg_stat_activity where application_name = 'switchboard' and {which}")
}
