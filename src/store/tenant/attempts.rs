//! Attempts to sign in, counted per account and network before the password is looked at, so that
//! guesses in parallel count too.
//! Unscoped because: whoever signs in has no tenant yet.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Value};

use crate::{
    domain::lockout::{Attempt, attempt},
    error::{Error, Result},
    store::{SystemDb, Tx, sql::statement},
};

/// The write, changing nothing, takes the row's lock.
const SEEN: &str = "insert into sign_in_attempt (account, network, failures, last_at) values ($1, $2, 0, $3) \
     on conflict (account, network) do update set failures = sign_in_attempt.failures \
     returning failures, last_at";
const COUNT: &str =
    "update sign_in_attempt set failures = $3, last_at = $4 where account = $1 and network = $2";
const FORGIVE: &str = "delete from sign_in_attempt where account = $1 and network = $2";

/// The attempts on one account (SHA-256 of its e-mail key, known or not) from one network.
pub struct Attempts<'a, C> {
    db: &'a SystemDb<C>,
    account: [u8; 32],
    network: &'a str,
}

impl<C: ConnectionTrait> SystemDb<C> {
    pub fn attempts<'a>(&'a self, account: [u8; 32], network: &'a str) -> Attempts<'a, C> {
        Attempts { db: self, account, network }
    }
}

impl Attempts<'_, Tx> {
    /// Counts one more as a failure.
    pub async fn count(&self) -> Result<Attempt> {
        let now = self.db.env().now();
        let [account, network] = self.key();
        let seen = statement(self.db.backend(), SEEN, [account, network, now.into()]);
        let seen = self.db.conn().query_one_raw(seen).await?;
        let seen = seen.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        let last: DateTime<Utc> = seen.try_get("", "last_at")?;
        let counted = attempt(seen.try_get("", "failures")?, last, now);
        let [account, network] = self.key();
        self.run(COUNT, [account, network, counted.failures.into(), now.into()]).await?;
        Ok(counted)
    }

    /// Forgets the failures: the right password was given.
    pub async fn forgive(&self) -> Result<()> {
        self.run(FORGIVE, self.key()).await
    }

    fn key(&self) -> [Value; 2] {
        [self.account.to_vec().into(), self.network.into()]
    }

    async fn run(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<()> {
        self.db.conn().execute_raw(statement(self.db.backend(), sql, values)).await?;
        Ok(())
    }
}
