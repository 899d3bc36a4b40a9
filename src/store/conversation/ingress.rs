//! Finding the channel that a webhook is for.
//!
//! Unscoped because: a webhook names a channel, and the channel names the tenant.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

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

    /// The channels that are on of these accounts at a messenger, such as WhatsApp phone number ids: `most` of
    /// them, those first that were connected first. Several tenants may claim one account; nothing but a
    /// signature tells whose it is.
    pub async fn channels_of(
        &self,
        kind: ChannelKind,
        accounts: &[String],
        most: u64,
    ) -> Result<Vec<Channel>> {
        let found = Entity::find()
            .filter(Column::Kind.eq(kind))
            .filter(Column::Account.is_in(accounts))
            .filter(Column::Enabled.eq(true))
            .filter(Column::DeleteTime.is_null());
        Ok(found.order_by_asc(Column::Id).limit(most).all(self.conn()).await?)
    }
}
