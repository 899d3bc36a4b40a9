//! Delta sync of rows. The feed of changes is the event log: its numbers are given after a change committed, so
//! whoever has read up to a number has missed nothing before it, however late a change committed; and no
//! command pays for the feed. Rows are read as they are now: one that changed again behind the end of the
//! cycle is left to the next cycle.

mod rows;

use std::collections::{HashMap, HashSet};

use sea_orm::ConnectionTrait;
use uuid::Uuid;

pub use rows::Row;

use super::{TenantDb, events::Touched};
pub use crate::domain::sync::{Collection, Cursor};
use crate::{
    domain::sync::first,
    error::{Error, Result},
    id::{ConversationId, CustomerId, DocumentId, Id, MessageId, ProductId},
};

/// Entries of the log read for one page.
const SCAN: u64 = 500;
/// Entries behind a page that are asked for rows that changed again. What lies beyond is not known: its row
/// comes now and once more later.
const AHEAD: u64 = 2_000;
/// A page ends with the row that makes it larger than this: an answer holds 4 MiB.
const BYTES: usize = 1_500_000;
/// Documents in a page: each may be 200 kB.
const DOCUMENTS: usize = 50;

/// A row of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub id: Uuid,
    /// `None` when it is gone.
    pub row: Option<Row>,
}

/// A page, and how far the copy has come with it.
#[derive(Clone, Debug)]
pub struct Page {
    pub rows: Vec<Changed>,
    pub cursor: Cursor,
    /// The end of the cycle: a number of the log.
    pub until: i64,
    pub more: bool,
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// What clients keep copies of.
    pub fn copies(&self) -> Copies<'_, C> {
        Copies(self)
    }
}

/// What clients keep copies of.
pub struct Copies<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> Copies<'_, C> {
    /// The next `limit` rows at most of a copy at `cursor` (`None`: with nothing in it) in the cycle that ends
    /// at `until` (`None`: at what is the newest number now).
    ///
    /// # Errors
    /// [`Error::OffLog`] when changes behind the cursor were dropped, or it is of another log; `Invalid` for a
    /// cycle that ends in the future.
    pub async fn pull(
        &self,
        collection: Collection,
        cursor: Option<Cursor>,
        until: Option<i64>,
        limit: usize,
    ) -> Result<Page> {
        let limit = if collection == Collection::Documents { limit.min(DOCUMENTS) } else { limit };
        let head = self.0.events().head().await?;
        if until.is_some_and(|until| until > head.newest) {
            return Err(Error::invalid("until_seq", "is past the end of the log"));
        }
        let until = until.unwrap_or(head.newest);
        let seen = cursor.unwrap_or_else(|| Cursor::new(until));
        head.admit(seen.to)?;
        let until = until.max(seen.to);

        let (mut rows, to) = self.forward(collection, seen, until, limit).await?;
        let mut cursor = Cursor { to, ..seen };
        if to == until && !seen.complete && rows.len() < limit {
            let room = limit - rows.len();
            let mut older = self.older(collection, seen.from, room).await?;
            let fitting = fitting(older.iter().map(|row| row.row.as_ref()));
            cursor.complete = older.len() < room && fitting == older.len();
            older.truncate(fitting);
            cursor.from = older.last().map(|row| row.id).or(cursor.from);
            rows.append(&mut older);
        }
        // After the rows were read: whatever they show that is behind the end has its entry in the log by now.
        let again = self.0.events().touched_since(collection.kinds(), to, AHEAD).await?;
        let again: HashSet<Uuid> = again.iter().filter_map(|touched| collection.row(touched)).collect();
        rows.retain(|row| !again.contains(&row.id));
        // Meanwhile old entries may have been dropped, and with them some that this page is made of.
        self.0.events().head().await?.admit(seen.to)?;
        Ok(Page { rows, cursor, until, more: cursor.to < until || !cursor.complete })
    }

    /// Rows that changed behind the cursor, and the number up to which they are all there.
    async fn forward(
        &self,
        collection: Collection,
        seen: Cursor,
        until: i64,
        limit: usize,
    ) -> Result<(Vec<Changed>, i64)> {
        if seen.to == until {
            return Ok((Vec::new(), until));
        }
        let touched = self.0.events().touched(collection.kinds(), seen.to, until, SCAN).await?;
        let end = match touched.last().and_then(|last| last.seq) {
            Some(last) if u64::try_from(touched.len()).unwrap_or(SCAN) >= SCAN => last,
            _ => until,
        };
        let named = touched.iter().filter_map(|touched| Some((touched.seq?, collection.row(touched)?)));
        let (named, before) = first(named, limit);
        let mut to = before.unwrap_or(end);
        let ids: Vec<Uuid> = named.iter().map(|(_, id)| *id).collect();
        let found = self.of_ids(collection, &ids).await?;
        let mut found: HashMap<Uuid, Row> = found.into_iter().map(|row| (row.id(), row)).collect();
        let mut rows: Vec<(i64, Changed)> =
            named.into_iter().map(|(seq, id)| (seq, Changed { id, row: found.remove(&id) })).collect();
        let fitting = fitting(rows.iter().map(|(_, row)| row.row.as_ref()));
        if let Some((seq, _)) = rows.get(fitting) {
            to = seq - 1;
            rows.truncate(fitting);
        }
        // What is still to come backward comes then.
        let come =
            rows.into_iter().map(|(_, row)| row).filter(|row| row.row.is_none() || !seen.ahead(row.id));
        Ok((come.collect(), to))
    }
}

/// How many of these rows a page can hold: one at least.
fn fitting<'r>(rows: impl Iterator<Item = Option<&'r Row>>) -> usize {
    let mut bytes = 0;
    let mut count = 0;
    for row in rows {
        if bytes > BYTES {
            break;
        }
        bytes += row.map_or(100, Row::bytes);
        count += 1;
    }
    count
}

impl Collection {
    /// The kinds of entries that speak of its rows.
    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Customers => &["customer.updated", "conversation.created"],
            // What is said is counted and shown in the conversation.
            Self::Conversations => &[
                "conversation.created",
                "conversation.updated",
                "message.created",
                "message.edited",
                "message.deleted",
            ],
            Self::Messages => &[
                "message.created",
                "message.status_changed",
                "message.edited",
                "message.deleted",
                "message.reacted",
            ],
            Self::Products | Self::Documents => &["tenant.updated"],
        }
    }

    /// The row that an entry of one of its kinds speaks of.
    fn row(self, touched: &Touched) -> Option<Uuid> {
        let subject = touched.subject.as_str();
        match self {
            Self::Customers => uuid::<CustomerId>(touched.customer.as_deref().unwrap_or(subject)),
            Self::Conversations => touched.conversation.map(ConversationId::uuid),
            Self::Messages => uuid::<MessageId>(subject),
            Self::Products => uuid::<ProductId>(subject),
            Self::Documents => uuid::<DocumentId>(subject),
        }
    }
}

/// The id, if it is one of this kind.
fn uuid<T: Id>(text: &str) -> Option<Uuid> {
    text.parse().ok().map(T::uuid)
}
