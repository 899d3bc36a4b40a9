//! A transaction whose answer is kept for a client that asks again under the same idempotency key. The
//! answer commits with the effect: there is no moment in which one is there without the other.

use chrono::TimeDelta;
use prost::Message;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use secrecy::ExposeSecret;

use super::{SystemDb, TenantDb, Tx, sql::statement};
use crate::{
    auth::{IdempotencyKey, Staff},
    env::Env,
    error::{Error, Result},
    id::TenantId,
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
            if let Some(kept) = db.answers().find(key).await? {
                db.repeated();
                return Ok(kept);
            }
            let answer = answer(work.clone()(db).await?)?;
            db.answers().keep(key, &answer).await?;
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

impl SystemDb {
    /// As [`TenantDb::command`], for what staff do to no tenant in particular; `key` is the request's.
    pub async fn command<T, M: Message + Default>(
        &self,
        staff: Staff,
        key: Option<&IdempotencyKey>,
        work: impl AsyncFnOnce(&SystemDb<Tx>) -> Result<T> + Clone,
        answer: impl Fn(T) -> Result<M>,
    ) -> Result<M> {
        let Some(key) = key else { return answer(self.transaction(work).await?) };
        self.transaction(async |db| {
            let answers = Answers { conn: db.conn(), env: db.env(), of: Of::Staff(staff) };
            if let Some(kept) = answers.find(key).await? {
                return Ok(kept);
            }
            let answer = answer(work.clone()(db).await?)?;
            answers.keep(key, &answer).await?;
            Ok(answer)
        })
        .await
    }
}

impl TenantDb<Tx> {
    fn answers(&self) -> Answers<'_> {
        Answers { conn: self.conn(), env: self.env(), of: Of::Tenant(self.tenant()) }
    }
}

/// Whose answers: a tenant's, or those to one of the platform's staff.
enum Of {
    Tenant(TenantId),
    Staff(Staff),
}

/// The answers that are kept.
struct Answers<'a> {
    conn: &'a Tx,
    env: &'a Env,
    of: Of,
}

impl Answers<'_> {
    async fn find<M: Message + Default>(&self, key: &IdempotencyKey) -> Result<Option<M>> {
        let backend = self.conn.get_database_backend();
        let mut values = vec![self.owner(), key.hash().to_vec().into(), self.env.now().into()];
        let free = match backend {
            DbBackend::Sqlite => FREE_SQLITE,
            _ => {
                let (lock, _) = key.hash().split_first_chunk().expect("a hash has more than 8 bytes");
                values.push(i64::from_be_bytes(*lock).into());
                FREE_POSTGRES
            }
        };
        let seen = statement(backend, &self.sql(&SEEN.replace("{free}", free)), values);
        let seen: Option<QueryResult> = self.conn.query_one_raw(seen).await?;
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
        let now = self.env.now();
        let keep = [
            self.owner(),
            key.hash().to_vec().into(),
            key.method().into(),
            key.request().to_vec().into(),
            key.seal(&answer.encode_to_vec(), self.env)?.into(),
            now.into(),
            (now + KEPT).into(),
        ];
        let keep = statement(self.conn.get_database_backend(), &self.sql(KEEP), keep);
        let kept = self.conn.execute_raw(keep).await?;
        if kept.rows_affected() == 0 { Err(Error::InProgress) } else { Ok(()) }
    }

    fn owner(&self) -> Value {
        match self.of {
            Of::Tenant(tenant) => tenant.into(),
            Of::Staff(staff) => staff.user().into(),
        }
    }

    fn sql(&self, text: &str) -> String {
        match self.of {
            Of::Tenant(_) => text.to_owned(),
            Of::Staff(_) => text.replace("idempotency_key", "platform_key").replace("tenant_id", "staff_id"),
        }
    }
}
