//! The secrets of channels, sealed with the tenant's data key.

use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;
use serde_json::Value as Json;

use super::{Channel, Channels};
use crate::{
    auth::seal::{DataKey, Keyring, Place, Wrapped, key_number},
    error::{Error, Result},
    id::ChannelId,
    store::{TenantDb, Tx},
};

const COLUMN: &str = "channel.secrets";

impl<C: ConnectionTrait> Channels<'_, C> {
    /// The secrets of a channel: a JSON object for the adapter, and for nobody else.
    pub async fn open_secrets(&self, keys: &Keyring, channel: &Channel) -> Result<Json> {
        let key = self.data_key(keys, key_number(&channel.secrets)?).await?;
        let plain = key.unseal(place(channel.id), &channel.secrets)?;
        serde_json::from_slice(plain.expose_secret()).map_err(Error::internal)
    }

    async fn data_key(&self, keys: &Keyring, number: i32) -> Result<DataKey> {
        let db: &TenantDb<C> = self.db();
        if let Some(key) = keys.opened(db.tenant(), number) {
            return Ok(key);
        }
        let row = db.keys().get(number).await?;
        keys.open(db.tenant(), number, &Wrapped { master: row.master, key: row.wrapped })
    }
}

impl Channels<'_, Tx> {
    /// Seals secrets for the row of `channel`, with the tenant's newest data key; makes the first one.
    pub async fn seal_secrets(&self, keys: &Keyring, channel: ChannelId, secrets: &Json) -> Result<Vec<u8>> {
        let db = self.db();
        let key = match db.keys().newest().await? {
            // From the row, never from memory: a secret under a key that did not commit would be lost.
            Some(row) => {
                keys.open(db.tenant(), row.number, &Wrapped { master: row.master, key: row.wrapped })?
            }
            None => {
                let (key, wrapped) = keys.make(db.tenant(), 1, db.env())?;
                let added = db.keys().add(1, wrapped.master, wrapped.key).await;
                // Two first secrets at once: the later command may be sent again.
                added.map_err(|error| match error {
                    Error::Exists { .. } => Error::stale(),
                    other => other,
                })?;
                key
            }
        };
        let plain = serde_json::to_vec(secrets).map_err(Error::internal)?;
        key.seal(place(channel), &plain, db.env())
    }
}

fn place(channel: ChannelId) -> Place<'static> {
    Place { column: COLUMN, row: channel.0 }
}
