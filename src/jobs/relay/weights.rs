//! What a tenant's turn is worth: its plan says.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::{error::Result, id::TenantId, jobs::fair::PLAIN, store::Store};

/// A new plan counts after so long.
const FRESH: Duration = Duration::from_secs(30);

/// The weights of tenants that had ready jobs lately.
#[derive(Default)]
pub(in crate::jobs) struct Weights(HashMap<TenantId, (usize, Instant)>);

impl Weights {
    /// Of a tenant that nobody asked about yet, what every tenant has.
    pub(super) fn of(&self, tenant: TenantId) -> usize {
        self.0.get(&tenant).map_or(PLAIN, |(weight, _)| *weight)
    }

    /// Asks about those whose weight is not known, or not known any more.
    pub(super) async fn learn(
        &mut self,
        store: &Store,
        tenants: impl Iterator<Item = TenantId>,
    ) -> Result<()> {
        let now = Instant::now();
        self.0.retain(|_, (_, asked)| now.duration_since(*asked) < FRESH);
        let mut new: Vec<TenantId> = tenants.filter(|tenant| !self.0.contains_key(tenant)).collect();
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return Ok(());
        }
        let weights: HashMap<TenantId, usize> = store.system().job_weights(&new).await?.into_iter().collect();
        self.0.extend(
            new.into_iter().map(|tenant| (tenant, (weights.get(&tenant).copied().unwrap_or(PLAIN), now))),
        );
        Ok(())
    }
}
