//! Sealing a tenant's secrets: the only way one enters a row, and the only way it leaves.

use sea_orm::ConnectionTrait;
use secrecy::SecretSlice;
use uuid::Uuid;

use super::TenantKey;
use crate::{
    auth::seal::{DataKey, Keyring, Place, Wrapped, key_number},
    error::{Error, Result},
    store::{TenantDb, Tx},
};

impl TenantDb<Tx> {
    /// Seals `secret` for `column` (`table.column`) of `row`, with the tenant's newest data key; makes
    /// the first one.
    pub async fn seal(&self, keyring: &Keyring, column: &str, row: Uuid, secret: &[u8]) -> Result<Vec<u8>> {
        let key = match self.keys().newest().await? {
            Some(stored) => self.open(keyring, stored)?,
            None => {
                let (key, wrapped) = keyring.make(self.tenant(), 1, self.env())?;
                // Two first secrets at once: one of the commands fails and may be sent again.
                self.keys().add(1, wrapped.master, wrapped.key).await.map_err(|error| match error {
                    Error::Exists { .. } => Error::stale(),
                    other => other,
                })?;
                key
            }
        };
        key.seal(Place { column, row }, secret, self.env())
    }
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// Opens what [`seal`](TenantDb::seal) made for the same column and row.
    pub async fn unseal(
        &self,
        keyring: &Keyring,
        column: &str,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>> {
        let number = key_number(sealed)?;
        let key = match keyring.opened(self.tenant(), number) {
            Some(key) => key,
            None => self.open(keyring, self.keys().get(number).await?)?,
        };
        key.unseal(Place { column, row }, sealed)
    }

    fn open(&self, keyring: &Keyring, stored: TenantKey) -> Result<DataKey> {
        match keyring.opened(self.tenant(), stored.number) {
            Some(key) => Ok(key),
            None => {
                let wrapped = Wrapped { master: stored.master, key: stored.wrapped };
                keyring.open(self.tenant(), stored.number, &wrapped)
            }
        }
    }
}
