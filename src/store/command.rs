//! A transaction whose answer is kept for a client that asks again under the same idempotency key. The
//! answer commits with the effect: there is no moment in which one is there without the other.

use chrono::TimeDelta;
use prost::Message;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};
use secrecy::ExposeSecret;

use super::{TenantDb, Tx, sql::statement};
use crate::{
    auth::IdempotencyKey,
    error::{Error, Result},
};

/// How long an answer is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(72);

// One round trip: the lock says whether the first call is still at work, the row what it came to. SQLite has
// one writer: whoever reads this is alone.
const SEEN: &str = "select {free} as free, k.request_hash, k.answer from (select 1) one \
     left join idempotency_key k on k.tenant_id = $1 and k.key_hash = $2 and k.expire_time > $3";
const FREE_POSTGRES: &str = "case when pg_try_advisory_xact_lock($4) then 1 else 0 end";
const FREE_SQLITE: &str = "1";

// A row that is there already has expired, or was written after `SEEN` looked.
const KEEP: &str = "insert into idempotency_key \
         (tenant_id, key_hash, method, request_hash, answer, create_time, expire_time) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, key_hash) do update set \
         method = excluded.method, request_hash = excluded.request_hash, answer = excluded.answer, \
         create_time = excluded.create_time, expire_time = excluded.expire_time \
     where idempotency_key.expire_time <= excluded.create_time";

impl TenantDb {
    /// As [`transaction`](Self::transaction), for a command whose outcome `answer` puts into words. Under an
    /// idempotency key in the scope it happens once: whoever asks again gets the same answer.
    ///
    /// # Errors
    /// Besides those of `work` and `answer`: `IDEMPOTENCY_KEY_REUSED` for another request under the same key,
    /// [`Error::InProgress`] while the first one is at work.
    pub async fn command<T, M: Message + Default>(
        &self,
        work: impl AsyncFnOnce(&TenantDb<Tx>) -> Result<T> + Clone,
        answer: impl Fn(T) -> Result<M>,
    ) -> Result<M> {
        let Some(key) = self.scope().idempotency() else { return answer(self.transaction(work).await?) };
        self.transaction(async |db| {
            if let Some(kept) = db.answered(key).await? {
                db.repeated();
                return Ok(kept);
            }
            let answer = answer(work.clone()(db).await?)?;
            db.keep(key, &answer).await?;
            Ok(answer)
        })
        .await
    }

    /// As [`command`](Self::command), or with `validate_only` all its checks and none of its effects: the same
    /// `work`, rolled back.
    pub async fn command_or_check<T, M: Message + Default>(
        &self,
        validate_only: bool,
        work: impl AsyncFnOnce(&TenantDb<Tx>) -> Result<T> + Clone,
        answer: impl Fn(T) -> Result<M>,
    ) -> Result<M> {
        if validate_only { answer(self.rehearsal(work).await?) } else { self.command(work, answer).await }
    }
}

impl TenantDb<Tx> {
    async fn answered<M: Message + Default>(&self, key: &IdempotencyKey) -> Result<Option<M>> {
        let mut values = vec![self.tenant().into(), key.hash().to_vec().into(), self.env().now().into()];
        let free = match self.backend() {
            DbBackend::Sqlite => FREE_SQLITE,
            _ => {
                let (lock, _) = key.hash().split_first_chunk().expect("a hash has more than 8 bytes");
                values.push(i64::from_be_bytes(*lock).into());
                FREE_POSTGRES
            }
        };
        let seen = statement(self.backend(), &SEEN.replace("{free}", free), values);
        let seen: Option<QueryResult> = self.conn().query_one_raw(seen).await?;
        let seen = seen.ok_or_else(|| Error::internal(anyhow::anyhow!("an outer join without a row")))?;
        if let Some(request) = seen.try_get::<Option<Vec<u8>>>("", "request_hash")? {
            if request != key.request() {
                let message = "the key was used for another request";
                return Err(Error::rejected("IDEMPOTENCY_KEY_REUSED", message));
            }
            let answer = key.unseal(&seen.try_get::<Vec<u8>>("", "answer")?)?;
            return M::decode(answer.expose_secret()).map(Some).map_err(Error::internal);
        }
        if seen.try_get::<i32>("", "free")? == 0 { Err(Error::InProgress) } else { Ok(None) }
    }

    async fn keep(&self, key: &IdempotencyKey, answer: &impl Message) -> Result<()> {
        let now = self.env().now();
        let keep = [
            self.tenant().into(),
            key.hash().to_vec().into(),
            key.method().into(),
            key.request().to_vec().into(),
            key.seal(&answer.encode_to_vec(), self.env())?.into(),
            now.into(),
            (now + KEPT).into(),
        ];
        let kept = self.conn().execute_raw(statement(self.backend(), KEEP, keep)).await?;
        if kept.rows_affected() == 0 { Err(Error::InProgress) } else { Ok(()) }
    }
}
