//! Rate limits: the generic cell rate algorithm (GCRA), in Redis for all processes, or in memory.

mod local;
mod settle;
mod shared;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use redis::aio::ConnectionManager;
use xxhash_rust::xxh3::xxh3_64;

use super::identify::tenant;
use crate::{
    auth::Identity,
    config::{Rate, Rates},
    env::Env,
    error::{Error, Result},
    id::{ChannelId, TenantId},
    wire::policy::v1::RateClass,
};

/// Decides whether one more call fits.
pub struct Limits {
    rates: Rates,
    local: Arc<local::Local>,
    /// Deliveries that proved nothing. Counted in each process alone: looking must not cost a round trip,
    /// and these must not crowd out those who are counted above.
    refused: local::Local,
    shared: Option<(shared::Shared, Arc<settle::Settling>)>,
    env: Env,
}

/// How the processes agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    /// Before each call, and exactly: for what is guessed or costs money.
    Before,
    /// Afterwards: a call does not wait for Redis.
    After,
}

/// Whose calls are counted together, of which class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    class: &'static str,
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// One IPv4 address, or the /64 of an IPv6 address: that much is one household.
    Network(Option<IpAddr>),
    /// A hash of the account's name, from one network.
    Account(u64, Option<IpAddr>),
    Caller(uuid::Uuid),
    Tenant(TenantId),
    Channel(ChannelId),
    /// Whoever delivers to a channel, or to the address for all of them, from one network.
    Sender(Option<IpAddr>, Option<ChannelId>),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |ip: &Option<IpAddr>| ip.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        match &self.who {
            Who::Network(ip) => write!(f, "rl:{}:ip:{}", self.class, address(ip)),
            Who::Account(name, ip) => write!(f, "rl:{}:account:{name:016x}:{}", self.class, address(ip)),
            Who::Caller(id) => write!(f, "rl:{}:caller:{id}", self.class),
            Who::Tenant(id) => write!(f, "rl:{}:tenant:{id}", self.class),
            Who::Channel(id) => write!(f, "rl:{}:channel:{id}", self.class),
            Who::Sender(ip, None) => write!(f, "rl:{}:sender:{}", self.class, address(ip)),
            Who::Sender(ip, Some(id)) => write!(f, "rl:{}:sender:{}:{id}", self.class, address(ip)),
        }
    }
}

/// Where a caller stands after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Until everything is available again.
    pub(super) reset: Duration,
    /// `None`: the call fits. Else when it would.
    pub(super) wait: Option<Duration>,
}

impl Standing {
    /// RESOURCE_EXHAUSTED in whole seconds, as `retry-after` counts.
    pub(super) fn verdict(&self) -> Result<()> {
        match self.wait {
            None => Ok(()),
            Some(wait) => Err(Error::Limited { retry: Duration::from_secs(whole_seconds(wait).max(1)) }),
        }
    }
}

pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Limits {
    pub fn new(rates: Rates, redis: Option<ConnectionManager>, env: Env) -> Self {
        let local = Arc::new(local::Local::default());
        let shared = redis.map(|redis| {
            let settling = settle::Settling::new(redis.clone(), local.clone(), env.clone());
            (shared::Shared::new(redis), settling)
        });
        Self { rates, local, refused: local::Local::default(), shared, env }
    }

    /// Counts one proven delivery of a messenger; RESOURCE_EXHAUSTED when it is one too many.
    pub async fn delivery(&self, channel: ChannelId) -> Result<()> {
        let Some(rate) = self.rates.webhook else { return Ok(()) };
        let key = Key { class: "webhook", who: Who::Channel(channel) };
        let standing = self.spend(vec![(key, rate)], Counting::After).await;
        standing.map_or(Ok(()), |standing| standing.verdict())
    }

    /// Whether an address may try to deliver to a channel (`None`: to the address for all): RESOURCE_EXHAUSTED
    /// while too many of its deliveries there were refused. Each channel counts apart, as a messenger delivers
    /// to all from the same addresses: a tenant with a wrong secret must not cut off the others.
    pub fn hear(&self, address: Option<IpAddr>, channel: Option<ChannelId>) -> Result<()> {
        let Some((key, rate)) = self.sender(address, channel) else { return Ok(()) };
        let pace = Pace::of(rate);
        pace.standing(rate, self.refused.look(&key, pace, self.env.now().timestamp_micros())).verdict()
    }

    /// Counts one delivery that proved nothing.
    pub fn refuse(&self, address: Option<IpAddr>, channel: Option<ChannelId>) {
        let Some((key, rate)) = self.sender(address, channel) else { return };
        self.refused.spend(&key, Pace::of(rate), self.env.now().timestamp_micros());
    }

    fn sender(&self, address: Option<IpAddr>, channel: Option<ChannelId>) -> Option<(Key, Rate)> {
        Some((Key { class: "public", who: Who::Sender(network(address), channel) }, self.rates.public?))
    }

    /// Counts one attempt to get at an account; `None` without a limit.
    pub(super) async fn attempt(&self, account: &str, address: Option<IpAddr>) -> Option<Standing> {
        let rate = self.rates.auth?;
        let name = xxh3_64(account.trim().to_lowercase().as_bytes());
        let key = Key { class: "auth", who: Who::Account(name, network(address)) };
        self.spend(vec![(key, rate)], Counting::Before).await
    }

    /// Counts one call of a class. Answers the tightest of its limits; `None` without any.
    pub(super) async fn call(
        &self,
        class: RateClass,
        identity: Option<&Identity>,
        address: Option<IpAddr>,
    ) -> Option<Standing> {
        let counting = match class {
            RateClass::Read | RateClass::Write | RateClass::Stream | RateClass::Webhook => Counting::After,
            RateClass::Ai
            | RateClass::Bulk
            | RateClass::Auth
            | RateClass::Public
            | RateClass::Unspecified => Counting::Before,
        };
        self.spend(self.limits(class, identity, address), counting).await
    }

    fn limits(
        &self,
        class: RateClass,
        identity: Option<&Identity>,
        address: Option<IpAddr>,
    ) -> Vec<(Key, Rate)> {
        let (name, rate, together) = match class {
            RateClass::Read => ("read", self.rates.read, false),
            RateClass::Write => ("write", self.rates.write, false),
            RateClass::Stream => ("stream", self.rates.stream, false),
            RateClass::Ai => ("ai", self.rates.ai, true),
            RateClass::Bulk => ("bulk", self.rates.bulk, true),
            RateClass::Webhook => ("webhook", self.rates.webhook, true),
            RateClass::Auth => ("auth", self.rates.auth_address, false),
            RateClass::Public | RateClass::Unspecified => ("public", self.rates.public, false),
        };
        let Some(rate) = rate else { return Vec::new() };
        let by_network = matches!(class, RateClass::Auth | RateClass::Public | RateClass::Unspecified);
        let Some(identity) = identity.filter(|_| !by_network) else {
            return vec![(Key { class: name, who: Who::Network(network(address)) }, rate)];
        };
        let of_tenant = |rate| tenant(identity).map(|id| (Key { class: name, who: Who::Tenant(id) }, rate));
        let caller = match identity {
            Identity::Person { user, .. } => user.0,
            Identity::Machine { key, .. } => key.0,
        };
        let own = (Key { class: name, who: Who::Caller(caller) }, rate);
        if together {
            return vec![of_tenant(rate).unwrap_or(own)];
        }
        let shared = Rate { count: rate.count.saturating_mul(self.rates.tenant_factor), ..rate };
        std::iter::once(own).chain(of_tenant(shared)).collect()
    }

    /// Counts a call in each of `limits`, until one refuses it. Answers that one, or the tightest.
    async fn spend(&self, limits: Vec<(Key, Rate)>, counting: Counting) -> Option<Standing> {
        let cells = match &self.shared {
            Some((shared, _)) if counting == Counting::Before && !limits.is_empty() => {
                shared.spend(&limits).await
            }
            _ => None,
        };
        let standings: Vec<Standing> = match cells {
            Some(cells) => {
                let paced = limits.iter().zip(cells);
                paced.map(|((_, rate), cell)| Pace::of(*rate).standing(*rate, cell)).collect()
            }
            None => self.alone(&limits),
        };
        if let (Counting::After, Some((_, settling))) = (counting, &self.shared) {
            let passed = limits.iter().zip(&standings).filter(|(_, standing)| standing.wait.is_none());
            passed.for_each(|((key, rate), _)| settling.note(key, Pace::of(*rate)));
        }
        let refused = standings.iter().find(|standing| standing.wait.is_some());
        refused.or_else(|| standings.iter().min_by_key(|standing| standing.remaining)).copied()
    }

    /// In this process: for those that settle afterwards, and without Redis: limited, not open.
    fn alone(&self, limits: &[(Key, Rate)]) -> Vec<Standing> {
        let now = self.env.now().timestamp_micros();
        let mut standings = Vec::with_capacity(limits.len());
        for (key, rate) in limits {
            let pace = Pace::of(*rate);
            let standing = pace.standing(*rate, self.local.spend(key, pace, now));
            standings.push(standing);
            if standing.wait.is_some() {
                break;
            }
        }
        standings
    }
}

fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    match address? {
        IpAddr::V6(v6) => Some(IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into())),
        v4 => Some(v4),
    }
}

/// A rate in the terms of GCRA, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// What one call costs.
    emission: i64,
    /// How far ahead of its pace a caller may be.
    tolerance: i64,
}

/// The answer of GCRA, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    allowed: bool,
    /// Until the call would fit; not positive when it does.
    wait: i64,
    /// Until all is available again.
    ahead: i64,
}

impl Pace {
    fn of(rate: Rate) -> Self {
        let tolerance = i64::try_from(rate.per.as_micros()).unwrap_or(i64::MAX / 4);
        Self { emission: (tolerance / i64::from(rate.count)).max(1), tolerance }
    }

    /// Decides one call at `now`; `arrival` is the theoretical arrival time of the last one.
    fn decide(self, arrival: Option<i64>, now: i64) -> (Cell, i64) {
        let arrival = arrival.unwrap_or(now).max(now);
        let next = arrival + self.emission;
        let wait = next - self.tolerance - now;
        if wait > 0 {
            (Cell { allowed: false, wait, ahead: arrival - now }, arrival)
        } else {
            (Cell { allowed: true, wait, ahead: next - now }, next)
        }
    }

    fn standing(self, rate: Rate, cell: Cell) -> Standing {
        let micros = |time: i64| Duration::from_micros(u64::try_from(time).unwrap_or(0));
        let left = (self.tolerance - cell.ahead).max(0) / self.emission;
        Standing {
            limit: rate.count,
            remaining: if cell.allowed { u32::try_from(left).unwrap_or(u32::MAX).min(rate.count) } else { 0 },
            reset: micros(cell.ahead),
            wait: (!cell.allowed).then(|| micros(cell.wait)),
        }
    }
}

#[cfg(test)]
mod tests;
