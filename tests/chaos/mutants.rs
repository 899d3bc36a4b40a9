//! The mechanisms that the promises rest on, each left out in turn: if nobody notices, the chaos proves nothing.
//!
//! `CHAOS_MUTANT` is the name of a [`Mechanism`], or `none` for the same faults with everything in place. A mutant
//! is provoked by the faults that its mechanism is there for, and by nothing that another one would mend.
use std::time::{Duration, Instant};

use rand::Rng;
use switchboard::{
    fault::{Mechanism, Point},
    sandbox::Behaviour,
};

use crate::{breaking::Fault, poison, processes::Role, world::World};

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant(Option<Mechanism>);

impl Mutant {
    pub fn named(name: &str) -> Self {
        if name == "none" {
            return Self(None);
        }
        let mechanism = Mechanism::ALL.iter().copied().find(|mechanism| mechanism.name() == name);
        Self(Some(mechanism.unwrap_or_else(|| panic!("no mechanism is called {name:?}"))))
    }

    pub fn without(self) -> Option<&'static str> {
        self.0.map(Mechanism::name)
    }

    /// Breaks what the mechanism mends. Returns how often.
    pub async fn provoke(self, world: &mut World) -> usize {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let all = [self.0].into_iter().flatten().collect::<Vec<_>>();
        let all = if all.is_empty() { Mechanism::ALL } else { &all[..] };
        let mut count = 0;
        for mechanism in all {
            count += provoke(*mechanism, world).await;
        }
        count
    }
}

async fn provoke(mechanism: Mechanism, world: &mut World) -> usize {
    match mechanism {
        // Runs are taken down in the middle.
        Mechanism::Sweeper => {
            for shop in &world.shops {
                shop.sandbox.behave(Behaviour { delay_ms: 500, ..Behaviour::default() });
            }
            again(world, 4, Fault::Kill(Role::Worker)).await
        }
        Mechanism::StartFence => {
            let mut count = 0;
            while count < 20 {
                count += poison::stale(world).await;
                world.rest(200..400).await;
            }
            count
        }
        Mechanism::AckAfterCommit => again(world, 3, Fault::Acks).await,
        Mechanism::PublishAfterCommit => again(world, 3, Fault::Claims).await,
        Mechanism::GenerationCheck => again(world, 3, Fault::Flush).await,
        // Who enqueues dawdles between the gate and the commit, while the job before ends.
        Mechanism::GateLock => {
            let (begin, mut count) = (Instant::now(), 0);
            while begin.elapsed() < Duration::from_secs(15) {
                if !world.armed(Point::CommandBeforeCommit).exists() {
                    let millis = world.chance.random_range(100..500);
                    world.arm(Point::CommandBeforeCommit, &format!("delay {millis}"));
                    count += 1;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            count
        }
    }
}

async fn again(world: &mut World, times: usize, fault: Fault) -> usize {
    for _ in 0..times {
        world.suffer(fault).await;
        world.rest(500..1_500).await;
    }
    times
}
