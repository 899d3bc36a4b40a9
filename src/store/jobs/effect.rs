//! The effect ledger: what a job did, or may have done, outside of the database.

use sea_orm::{ConnectionTrait, Value};

use super::sql::timed;
use crate::{
    error::{Error, Result},
    store::{TenantDb, Tx},
};

/// What the ledger knew of an effect when a run came to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Nothing: the intent is recorded now.
    Fresh,
    /// It happened; what the provider called it.
    Done(Option<String>),
    /// An earlier run meant to, and did not come back.
    Intended,
    /// Somebody gave up finding out.
    Unknown,
}

const BEGIN: &str = "insert into effect (tenant_id, key, state, created_at) values ($1, $2, 1, {now}) \
     on conflict (tenant_id, key) do update set tries = effect.tries + 1 \
     returning state, tries, provider_ref";

impl TenantDb {
    /// Records the intent to have an effect, before it is tried; durable when this returns.
    pub async fn begin_effect(&self, key: [u8; 32]) -> Result<Recorded> {
        self.transaction(async |db| {
            let values: [Value; 2] = [db.tenant().into(), key.to_vec().into()];
            let row = db.conn().query_one_raw(timed(db.backend(), db.env(), BEGIN, values)).await?;
            let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
            let (state, tries): (i16, i32) = (row.try_get("", "state")?, row.try_get("", "tries")?);
            Ok(match (state, tries) {
                (1, 1) => Recorded::Fresh,
                (1, _) => Recorded::Intended,
                (2, _) => Recorded::Done(row.try_get("", "provider_ref")?),
                _ => Recorded::Unknown,
            })
        })
        .await
    }
}

impl TenantDb<Tx> {
    /// Records that it happened, with whatever else this transaction writes about it.
    pub async fn effect_done(&self, key: [u8; 32], provider_ref: Option<&str>) -> Result<()> {
        let done = "update effect set state = 2, provider_ref = $3, done_at = {now} \
             where tenant_id = $1 and key = $2";
        self.settle(done, key, [provider_ref.map(str::to_owned).into()]).await.map(drop)
    }

    /// Records that what was in doubt happened; false when it was not in doubt.
    pub async fn effect_found(&self, key: [u8; 32], provider_ref: Option<&str>) -> Result<bool> {
        let found = "update effect set state = 2, provider_ref = $3, done_at = {now} \
             where tenant_id = $1 and key = $2 and state in (1, 3)";
        Ok(self.settle(found, key, [provider_ref.map(str::to_owned).into()]).await? > 0)
    }

    /// Records that nobody can tell whether it happened.
    pub async fn effect_unknown(&self, key: [u8; 32]) -> Result<()> {
        self.settle("update effect set state = 3 where tenant_id = $1 and key = $2 and state = 1", key, [])
            .await
            .map(drop)
    }

    /// Forgets the intent: it certainly did not happen, and may be tried afresh.
    pub async fn effect_undone(&self, key: [u8; 32]) -> Result<()> {
        self.settle("delete from effect where tenant_id = $1 and key = $2 and state <> 2", key, [])
            .await
            .map(drop)
    }

    async fn settle<const N: usize>(&self, sql: &str, key: [u8; 32], more: [Value; N]) -> Result<u64> {
        let values = [self.tenant().into(), key.to_vec().into()].into_iter().chain(more);
        let settled = self.conn().execute_raw(timed(self.backend(), self.env(), sql, values)).await?;
        Ok(settled.rows_affected())
    }
}
