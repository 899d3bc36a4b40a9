//! Finding the channel that a webhook is for.
//!
//! Unscoped because: a webhook names a channel, and the channel names the tenant.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::Channel;
use crate::{
    domain::conversation::ChannelKind,
    error::Result,
    id::ChannelId,
    store::{
        SystemDb,
        entity::channel::{Column, Entity},
    },
};

impl SystemDb {
    /// The channel behind a webhook's path, if it is there and on. The path is no secret: whoever asks must
    /// prove by signature that the messenger sent the request.
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        let found = Entity::find()
            .filter(Column::Id.eq(id))
            .filter(Column::Enabled.eq(true))
            .filter(Column::DeleteTime.is_null());
        Ok(found.one(self.conn()).await?)
    }

    /// The channel of an account at a messenger, such as a WhatsApp phone number id, if it is on.
    pub async fn channel_of(&self, kind: ChannelKind, account: &str) -> Result<Option<Channel>> {
        let found = Entity::find()
            .filter(Column::Kind.eq(kind))
            .filter(Column::Account.eq(account))
            .filter(Column::Enabled.eq(true))
            .filter(Column::DeleteTime.is_null());
        Ok(found.one(self.conn()).await?)
    }
}
