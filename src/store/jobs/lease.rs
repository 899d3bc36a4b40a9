//! Leases: who leads, by the database's clock. Leading saves work; two leaders at once are still correct.

use std::time::Duration;

use super::sql::{pause, timed};
use crate::{
    error::Result,
    store::{SystemDb, Tx},
};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

// A holder that was late starts a new term: what it knew may be outdated.
const TAKE: &str = "insert into lease (name, holder, term, expires_at) values ($1, $2, 1, {in $3}) \
     on conflict (name) do update set \
         term = case when lease.holder = excluded.holder and lease.expires_at > {now} \
             then lease.term else lease.term + 1 end, \
         holder = excluded.holder, expires_at = excluded.expires_at \
     where lease.holder = excluded.holder or lease.expires_at <= {now} \
     returning term";

impl SystemDb {
    /// Takes or renews leases for `ttl`. For each name its term, or `None` when somebody else holds it.
    pub async fn take_leases(
        &self,
        names: &[String],
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Vec<Option<i64>>> {
        self.transaction(async |db| {
            let mut terms = Vec::with_capacity(names.len());
            for name in names {
                terms.push(db.take_lease(name, holder, ttl).await?);
            }
            Ok(terms)
        })
        .await
    }

    /// Gives leases back, so that the next holder need not wait.
    pub async fn release_leases(&self, names: &[String], holder: Uuid) -> Result<()> {
        self.transaction(async |db| {
            for name in names {
                let release = "update lease set expires_at = {now} where name = $1 and holder = $2";
                let values: [Value; 2] = [name.clone().into(), holder.into()];
                db.conn().execute_raw(timed(db.backend(), db.env(), release, values)).await?;
            }
            Ok(())
        })
        .await
    }
}

impl SystemDb<Tx> {
    async fn take_lease(&self, name: &str, holder: Uuid, ttl: Duration) -> Result<Option<i64>> {
        let values: [Value; 3] = [name.into(), holder.into(), pause(self.backend(), self.env(), ttl)];
        let row = self.conn().query_one_raw(timed(self.backend(), self.env(), TAKE, values)).await?;
        Ok(row.map(|row| row.try_get("", "term")).transpose()?)
    }
}
