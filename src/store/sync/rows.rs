//! The rows themselves, whatever their collection.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Changed, Collection, Copies};
use crate::{
    error::Result,
    id::Id,
    store::{
        conversation::{Conversation, Customer, Document, Message, Product},
        entity::{conversation, customer, document, message, product},
        scope::TenantOwned,
    },
};

/// A row of any collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Customer(Customer),
    Conversation(Conversation),
    Message(Box<Message>),
    Product(Product),
    Document(Document),
}

impl Row {
    pub fn id(&self) -> Uuid {
        match self {
            Self::Customer(row) => row.id.uuid(),
            Self::Conversation(row) => row.id.uuid(),
            Self::Message(row) => row.id.uuid(),
            Self::Product(row) => row.id.uuid(),
            Self::Document(row) => row.id.uuid(),
        }
    }

    pub fn version(&self) -> i64 {
        match self {
            Self::Customer(row) => row.version,
            Self::Conversation(row) => row.version,
            Self::Message(row) => row.version,
            Self::Product(row) => row.version,
            Self::Document(row) => row.version,
        }
    }

    pub fn update_time(&self) -> DateTime<Utc> {
        match self {
            Self::Customer(row) => row.update_time,
            Self::Conversation(row) => row.update_time,
            Self::Message(row) => row.update_time,
            Self::Product(row) => row.update_time,
            Self::Document(row) => row.update_time,
        }
    }

    /// About how large it is in an answer.
    pub(super) fn bytes(&self) -> usize {
        let texts = match self {
            Self::Customer(row) => row.display_name.len() + row.tags.to_string().len(),
            Self::Conversation(row) => row.last_message_preview.len(),
            Self::Message(row) => {
                row.text.len() + row.attachments.to_string().len() + row.reactions.to_string().len()
            }
            Self::Product(row) => row.name.len() + row.description.len() + row.delivery_info.len(),
            Self::Document(row) => row.title.len() + row.content.len() + row.tags.to_string().len(),
        };
        500 + texts
    }
}

/// An entity with copies.
trait Copied: TenantOwned<Model: Into<Row>> {
    const ID: Self::Column;
}

macro_rules! copied {
    ($($entity:ident $row:ident)*) => {$(
        impl Copied for $entity::Entity {
            const ID: $entity::Column = $entity::Column::Id;
        }

        impl From<$row> for Row {
            fn from(row: $row) -> Self {
                Self::$row(row.into())
            }
        }
    )*};
}

copied! {
    customer Customer
    conversation Conversation
    message Message
    product Product
    document Document
}

impl<C: ConnectionTrait> Copies<'_, C> {
    /// Those of `ids` that are there, in no order.
    pub async fn of_ids(&self, collection: Collection, ids: &[Uuid]) -> Result<Vec<Row>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        match collection {
            Collection::Customers => self.those::<customer::Entity>(ids).await,
            Collection::Conversations => self.those::<conversation::Entity>(ids).await,
            Collection::Messages => self.those::<message::Entity>(ids).await,
            Collection::Products => self.those::<product::Entity>(ids).await,
            Collection::Documents => self.those::<document::Entity>(ids).await,
        }
    }

    /// Those with ids below `from`, the newest first.
    pub(super) async fn older(
        &self,
        collection: Collection,
        from: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Changed>> {
        match collection {
            Collection::Customers => self.below::<customer::Entity>(from, limit).await,
            Collection::Conversations => self.below::<conversation::Entity>(from, limit).await,
            Collection::Messages => self.below::<message::Entity>(from, limit).await,
            Collection::Products => self.below::<product::Entity>(from, limit).await,
            Collection::Documents => self.below::<document::Entity>(from, limit).await,
        }
    }

    async fn those<E: Copied>(&self, ids: &[Uuid]) -> Result<Vec<Row>> {
        let found = self.0.find::<E>().filter(match self.0.backend() {
            // One parameter and one statement, however many ids.
            DbBackend::Postgres => E::ID.eq_any(ids.iter().copied()),
            _ => E::ID.is_in(ids.iter().copied()),
        });
        Ok(found.all(self.0.conn()).await?.into_iter().map(Into::into).collect())
    }

    async fn below<E: Copied>(&self, from: Option<Uuid>, limit: usize) -> Result<Vec<Changed>> {
        let mut query = self.0.find::<E>();
        if let Some(from) = from {
            query = query.filter(E::ID.lt(from));
        }
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let found = query.order_by_desc(E::ID).limit(limit).all(self.0.conn()).await?;
        let rows = found.into_iter().map(Into::<Row>::into);
        Ok(rows.map(|row| Changed { id: row.id(), row: Some(row) }).collect())
    }
}
