//! Delta sync: rows and cursors to the contract, and back.

use super::tenant::v1::{self, Change, PullChangesResponse, PushError, SyncCursor, change};
use crate::{
    error::{Error, Result},
    id::{ConversationId, CustomerId, DocumentId, Id, MessageId, ProductId, TenantId},
    store::sync::{Changed, Collection, Cursor, Page, Row},
    wire,
};
use uuid::Uuid;

/// The collection of that number.
///
/// # Errors
/// None, or an unknown one.
pub fn collection(field: &str, number: i32) -> Result<Collection> {
    match v1::Collection::try_from(number) {
        Ok(v1::Collection::Customers) => Ok(Collection::Customers),
        Ok(v1::Collection::Conversations) => Ok(Collection::Conversations),
        Ok(v1::Collection::Messages) => Ok(Collection::Messages),
        Ok(v1::Collection::Products) => Ok(Collection::Products),
        Ok(v1::Collection::Documents) => Ok(Collection::Documents),
        Ok(v1::Collection::Unspecified) | Err(_) => Err(Error::invalid(field, "names no collection")),
    }
}

fn number(collection: Collection) -> i32 {
    let collection = match collection {
        Collection::Customers => v1::Collection::Customers,
        Collection::Conversations => v1::Collection::Conversations,
        Collection::Messages => v1::Collection::Messages,
        Collection::Products => v1::Collection::Products,
        Collection::Documents => v1::Collection::Documents,
    };
    collection.into()
}

/// Reads the cursor of a copy of `collection` in `tenant`.
///
/// # Errors
/// A cursor of another tenant or collection.
pub fn cursor(given: &SyncCursor, tenant: TenantId, collection: Collection) -> Result<Cursor> {
    if given.tenant_id != tenant.to_string() {
        return Err(Error::invalid("cursor.tenant_id", "is not the tenant of this session"));
    }
    if self::collection("cursor.collection", given.collection)? != collection {
        return Err(Error::invalid("cursor.collection", "is another collection"));
    }
    let from = Some(given.from_id.as_str()).filter(|id| !id.is_empty());
    let from = from.map(|id| read_id("cursor.from_id", id, collection)).transpose()?;
    Ok(Cursor { to: given.to_seq, from, complete: given.complete })
}

fn read_id(field: &str, text: &str, collection: Collection) -> Result<Uuid> {
    match collection {
        Collection::Customers => wire::id(field, text).map(CustomerId::uuid),
        Collection::Conversations => wire::id(field, text).map(ConversationId::uuid),
        Collection::Messages => wire::id(field, text).map(MessageId::uuid),
        Collection::Products => wire::id(field, text).map(ProductId::uuid),
        Collection::Documents => wire::id(field, text).map(DocumentId::uuid),
    }
}

/// An id as the contract writes it.
pub fn write_id(id: Uuid, collection: Collection) -> String {
    match collection {
        Collection::Customers => CustomerId::of(id).to_string(),
        Collection::Conversations => ConversationId::of(id).to_string(),
        Collection::Messages => MessageId::of(id).to_string(),
        Collection::Products => ProductId::of(id).to_string(),
        Collection::Documents => DocumentId::of(id).to_string(),
    }
}

/// A page of a copy of `collection` in `tenant`.
pub fn page(page: Page, tenant: TenantId, collection: Collection) -> PullChangesResponse {
    let Page { rows, cursor: Cursor { to, from, complete }, until, more } = page;
    PullChangesResponse {
        changes: rows.into_iter().map(|row| changed(row, collection)).collect(),
        cursor: Some(SyncCursor {
            tenant_id: tenant.to_string(),
            collection: number(collection),
            to_seq: to,
            from_id: from.map(|id| write_id(id, collection)).unwrap_or_default(),
            complete,
        }),
        until_seq: until,
        more,
    }
}

/// A row, or the word that it is gone.
pub fn changed(changed: Changed, collection: Collection) -> Change {
    let id = write_id(changed.id, collection);
    let Some(row) = changed.row else { return Change { id, deleted: true, ..Change::default() } };
    Change {
        id,
        deleted: false,
        version: row.version(),
        update_micros: row.update_time().timestamp_micros(),
        row: Some(match row {
            Row::Customer(row) => change::Row::Customer(row.into()),
            Row::Conversation(row) => change::Row::Conversation(row.into()),
            Row::Message(row) => change::Row::Message((*row).into()),
            Row::Product(row) => change::Row::Product((&row).into()),
            Row::Document(row) => change::Row::Document((&row).into()),
        }),
    }
}

/// Why a change was refused.
pub fn refusal(error: &Error) -> PushError {
    let fields = match error {
        Error::Invalid(wrong) => wrong.iter().map(|violation| violation.field.clone()).collect(),
        _ => Vec::new(),
    };
    PushError { reason: error.reason().to_owned(), message: error.to_string(), fields }
}
