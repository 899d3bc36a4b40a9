//! Tickets in Redis Streams. Each lane of a queue has a stream, a generation that shows whether Redis was
//! emptied, a sorted set of snoozed tickets and a quarantine; all share one hash tag.

mod link;

use std::time::Duration;

use redis::{
    Script,
    streams::{StreamAutoClaimReply, StreamId, StreamReadReply},
};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use self::link::Link;
use super::{
    bus::{Delivery, Depth, Receipt, Trouble},
    ticket,
};
use crate::{domain::queue::Queue, store::jobs::Ticket};

/// Tickets or entries in one call of a script: `unpack` and the server's patience are finite.
const BATCH: usize = 500;

pub struct RedisBus {
    link: Link,
    prefix: String,
    lanes: usize,
    consumer: String,
    generation: String,
    scripts: Scripts,
}

struct Scripts {
    publish: Script,
    ack: Script,
    snooze: Script,
    promote: Script,
    ensure: Script,
    gc: Script,
    poison: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            publish: Script::new(include_str!("scripts/publish.lua")),
            ack: Script::new(include_str!("scripts/ack.lua")),
            snooze: Script::new(include_str!("scripts/snooze.lua")),
            promote: Script::new(include_str!("scripts/promote.lua")),
            ensure: Script::new(include_str!("scripts/ensure.lua")),
            gc: Script::new(include_str!("scripts/gc.lua")),
            poison: Script::new(include_str!("scripts/poison.lua")),
        }
    }
}

impl RedisBus {
    /// `incarnation` is this process's own, never used again: who comes back under an old name would take
    /// over what the old one holds.
    pub fn new(client: redis::Client, prefix: String, lanes: usize, incarnation: Uuid) -> Self {
        Self {
            link: Link::new(client),
            prefix,
            lanes: lanes.max(1),
            consumer: format!("{}-{}", std::process::id(), incarnation.simple()),
            generation: incarnation.simple().to_string(),
            scripts: Scripts::default(),
        }
    }

    fn key(&self, queue: Queue, lane: usize, part: &str) -> String {
        format!("{}{{jq:{}:{lane}}}:{part}", self.prefix, queue.name())
    }
    fn stream(&self, queue: Queue, lane: usize) -> String {
        self.key(queue, lane, "s")
    }
    fn lane(&self, ticket: &Ticket) -> usize {
        let hash = xxh3_64(ticket.job.0.as_bytes()) % self.lanes as u64;
        usize::try_from(hash).unwrap_or(0)
    }

    pub(super) fn away(&self) -> Duration {
        self.link.away()
    }

    /// The settings that Redis runs with: `maxmemory` and `maxmemory-policy`.
    pub async fn memory_policy(&self) -> Result<(u64, String), Trouble> {
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg("maxmemory*");
        let answer: std::collections::HashMap<String, String> = self.link.query(&ask).await?;
        let most = answer.get("maxmemory").and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Ok((most, answer.get("maxmemory-policy").cloned().unwrap_or_default()))
    }

    /// Writes something small that goes by itself.
    pub(super) async fn takes_more(&self) -> bool {
        let mut write = redis::cmd("SET");
        write.arg(format!("{}jq:room", self.prefix)).arg(1).arg("EX").arg(60);
        self.link.query::<()>(&write).await.is_ok()
    }

    pub(super) async fn publish(
        &self,
        queue: Queue,
        tickets: Vec<Ticket>,
        cap: usize,
    ) -> (Vec<Ticket>, Option<Trouble>) {
        let mut lanes: Vec<Vec<Ticket>> = vec![Vec::new(); self.lanes];
        for ticket in tickets {
            lanes[self.lane(&ticket)].push(ticket);
        }
        let (mut rest, mut trouble) = (Vec::new(), None);
        for (lane, mut tickets) in lanes.into_iter().enumerate() {
            while trouble.is_none() && !tickets.is_empty() {
                let batch = tickets.len().min(BATCH);
                let mut call = self.scripts.publish.key(self.stream(queue, lane));
                call.key(self.key(queue, lane, "gen")).arg(cap);
                for ticket in &tickets[..batch] {
                    call.arg(ticket.job.0.as_bytes()).arg(ticket.tenant.0.as_bytes());
                    call.arg(&ticket.kind).arg(ticket.epoch);
                }
                match self.link.call::<usize>(&call).await {
                    Ok(added) => {
                        tickets.drain(..added.min(batch));
                        if added < batch {
                            break;
                        }
                    }
                    Err(error) => trouble = Some(error),
                }
            }
            rest.append(&mut tickets);
        }
        (rest, trouble)
    }

    pub(super) async fn fetch(
        &self,
        queue: Queue,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Trouble> {
        // COUNT is per stream. With fewer free slots than lanes, some lanes take turns.
        let lanes = most.min(self.lanes);
        let first = if lanes < self.lanes { rand::random_range(0..self.lanes) } else { 0 };
        let wait = if lanes < self.lanes { wait.min(Duration::from_millis(20)) } else { wait };
        let lanes: Vec<usize> = (first..first + lanes).map(|lane| lane % self.lanes).collect();
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg("w").arg(&self.consumer).arg("COUNT").arg(most / lanes.len().max(1));
        read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(1).max(1)).arg("STREAMS");
        let keys: Vec<String> = lanes.iter().map(|lane| self.stream(queue, *lane)).collect();
        read.arg(&keys).arg(vec![">"; keys.len()]);
        let reply: Option<StreamReadReply> = self.link.read(queue, &read, wait).await?;

        let mut deliveries = Vec::new();
        for stream in reply.into_iter().flat_map(|reply| reply.keys) {
            let place = keys.iter().position(|key| *key == stream.key);
            let Some(lane) = place.map(|place| lanes[place]) else { continue };
            for entry in stream.ids {
                deliveries.extend(self.read(queue, lane, entry).await?);
            }
        }
        Ok(deliveries)
    }

    /// An entry that says nothing goes to the quarantine, for a person to look at; its job comes again.
    async fn read(&self, queue: Queue, lane: usize, entry: StreamId) -> Result<Option<Delivery>, Trouble> {
        if let Some(ticket) = ticket::decode(&entry) {
            let receipt = Some(Receipt { queue, lane, id: entry.id });
            return Ok(Some(Delivery { ticket, receipt }));
        }
        metrics::counter!("switchboard_jobs_poison_total", "queue" => queue.name()).increment(1);
        tracing::error!(queue = queue.name(), lane, id = entry.id, "undecodable ticket, moved to quarantine");
        let mut call = self.scripts.poison.key(self.stream(queue, lane));
        call.key(self.key(queue, lane, "px")).arg(&entry.id).arg(format!("{:?}", entry.map));
        self.link.call::<()>(&call).await?;
        Ok(None)
    }

    pub(super) async fn ack(&self, receipts: &[Receipt]) -> Result<(), Trouble> {
        for (stream, ids) in self.by_stream(receipts) {
            for ids in ids.chunks(BATCH) {
                self.link.call::<()>(self.scripts.ack.key(&stream).arg(ids)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn touch(&self, receipts: &[Receipt]) -> Result<(), Trouble> {
        for (stream, ids) in self.by_stream(receipts) {
            for ids in ids.chunks(BATCH) {
                let mut claim = redis::cmd("XCLAIM");
                // JUSTID: not another delivery.
                claim.arg(&stream).arg("w").arg(&self.consumer).arg(0).arg(ids).arg("JUSTID");
                self.link.query::<()>(&claim).await?;
            }
        }
        Ok(())
    }

    fn by_stream<'a>(&self, receipts: &'a [Receipt]) -> Vec<(String, Vec<&'a str>)> {
        let mut streams: std::collections::BTreeMap<(Queue, usize), Vec<&str>> = Default::default();
        for receipt in receipts {
            streams.entry((receipt.queue, receipt.lane)).or_default().push(&receipt.id);
        }
        streams.into_iter().map(|((queue, lane), ids)| (self.stream(queue, lane), ids)).collect()
    }

    pub(super) async fn snooze(&self, delivery: Delivery, pause: Duration) -> Result<(), Trouble> {
        let Some(Receipt { queue, lane, id }) = delivery.receipt else { return Ok(()) };
        let mut call = self.scripts.snooze.key(self.stream(queue, lane));
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        call.key(self.key(queue, lane, "z")).arg(id).arg(pause).arg(ticket::pack(&delivery.ticket));
        self.link.call(&call).await
    }

    pub(super) async fn promote(&self, queue: Queue) -> Result<u64, Trouble> {
        let mut promoted = 0;
        for lane in 0..self.lanes {
            let mut call = self.scripts.promote.key(self.key(queue, lane, "z"));
            call.key(self.stream(queue, lane)).arg(BATCH);
            loop {
                let moved = self.link.call::<u64>(&call).await?;
                promoted += moved;
                if moved < BATCH as u64 {
                    break;
                }
            }
        }
        Ok(promoted)
    }

    pub(super) async fn reclaim(&self, queue: Queue, idle: Duration) -> Result<Vec<Delivery>, Trouble> {
        let mut deliveries = Vec::new();
        for lane in 0..self.lanes {
            let mut from = "0-0".to_owned();
            loop {
                let mut claim = redis::cmd("XAUTOCLAIM");
                claim.arg(self.stream(queue, lane)).arg("w").arg(&self.consumer);
                claim
                    .arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX))
                    .arg(&from)
                    .arg("COUNT")
                    .arg(BATCH);
                let reply: StreamAutoClaimReply = self.link.query(&claim).await?;
                for entry in reply.claimed {
                    deliveries.extend(self.read(queue, lane, entry).await?);
                }
                from = reply.next_stream_id;
                if from == "0-0" {
                    break;
                }
            }
        }
        Ok(deliveries)
    }

    pub(super) async fn intact(&self, queue: Queue) -> Result<bool, Trouble> {
        for lane in 0..self.lanes {
            let mut pipe = redis::pipe();
            pipe.exists(self.key(queue, lane, "gen")).exists(self.stream(queue, lane));
            let (generation, stream): (bool, bool) = self.link.pipe(&pipe).await?;
            if !generation || !stream {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn ensure(&self, queue: Queue) -> Result<(), Trouble> {
        for lane in 0..self.lanes {
            let mut call = self.scripts.ensure.key(self.stream(queue, lane));
            self.link.call::<u8>(call.key(self.key(queue, lane, "gen")).arg(&self.generation)).await?;
        }
        Ok(())
    }

    pub(super) async fn depth(&self, queue: Queue) -> Result<Depth, Trouble> {
        let mut depth = Depth::default();
        for lane in 0..self.lanes {
            let mut pipe = redis::pipe();
            pipe.xlen(self.stream(queue, lane)).zcard(self.key(queue, lane, "z"));
            let (tickets, snoozed): (u64, u64) = self.link.pipe(&pipe).await?;
            depth.tickets += tickets;
            depth.snoozed += snoozed;
        }
        Ok(depth)
    }

    pub(super) async fn collect_garbage(&self, queue: Queue, idle: Duration) -> Result<u64, Trouble> {
        let mut removed = 0;
        for lane in 0..self.lanes {
            let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
            removed += self.link.call::<u64>(self.scripts.gc.key(self.stream(queue, lane)).arg(idle)).await?;
        }
        Ok(removed)
    }
}
