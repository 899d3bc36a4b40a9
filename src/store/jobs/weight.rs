//! How much of the platform's time a tenant's plan buys.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use uuid::Uuid;

use crate::{
    error::Result,
    id::TenantId,
    store::{SystemDb, sql::statement},
};

/// Only what is paid for counts: a trial or a gift has no plan.
const WEIGHT: &str = "select s.tenant_id, p.job_weight from subscription s join plan p on p.id = s.plan_id \
     where s.status in ('active', 'past_due') and s.tenant_id ";

impl SystemDb {
    /// Turns' worth of those of `tenants` whose plan says so; the others have one.
    pub async fn job_weights(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, usize)>> {
        let mut rows = Vec::new();
        if self.backend() == DbBackend::Postgres {
            let list: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
            let sql = [WEIGHT, "= any($1::uuid[])"].concat();
            rows = self.conn().query_all_raw(statement(self.backend(), &sql, [list.into()])).await?;
        } else {
            let sql = [WEIGHT, "= $1"].concat();
            for tenant in tenants {
                let values: [Value; 1] = [(*tenant).into()];
                rows.extend(self.conn().query_all_raw(statement(self.backend(), &sql, values)).await?);
            }
        }
        let weight = |row: &QueryResult| {
            let weight: i16 = row.try_get("", "job_weight")?;
            Ok((row.try_get("", "tenant_id")?, usize::try_from(weight).unwrap_or(1)))
        };
        rows.iter().map(weight).collect()
    }
}
