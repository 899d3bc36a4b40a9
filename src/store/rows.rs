//! Rows read by position. Reading by name costs a search for each column, and for each absent value the
//! making of an error with that name in it: more than all other work on a page of messages (measured).

use sea_orm::{DbErr, QueryResult, TryGetable};
use serde_json::Value as Json;
use sqlx::{Row as _, ValueRef as _};

/// A row whose columns come in the order of the entity's fields.
pub(super) trait Positional: Sized {
    fn read(columns: Columns<'_>) -> Result<Self, DbErr>;
}

/// The columns of a row, one after the other.
pub(super) struct Columns<'r> {
    row: &'r QueryResult,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r QueryResult) -> Self {
        Self { row, next: 0 }
    }

    /// The next column, which holds a value.
    pub(super) fn one<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let at = self.next;
        self.next += 1;
        self.row.try_get_by_index(at)
    }

    /// The next column, which may hold none.
    pub(super) fn maybe<T: TryGetable>(&mut self) -> Result<Option<T>, DbErr> {
        let absent = match self.row.try_as_pg_row() {
            Some(row) => row.try_get_raw(self.next).is_ok_and(|value| value.is_null()),
            None => false,
        };
        if absent {
            self.next += 1;
            return Ok(None);
        }
        self.one()
    }

    /// The next column, which holds JSON: mostly an empty list or object, and those need no parser.
    pub(super) fn json(&mut self) -> Result<Json, DbErr> {
        let raw = self.row.try_as_pg_row().and_then(|row| row.try_get_raw(self.next).ok());
        let empty = match raw.as_ref().and_then(|raw| raw.as_bytes().ok()) {
            // How PostgreSQL sends a jsonb: its version, then the text.
            Some(b"\x01[]") => Json::Array(Vec::new()),
            Some(b"\x01{}") => Json::Object(serde_json::Map::new()),
            _ => return self.one(),
        };
        self.next += 1;
        Ok(empty)
    }
}

/// Implements [`Positional`]: every field of the entity, in its order, as `one`, `maybe` or `json`.
macro_rules! positional {
    ($model:ty { $($field:ident: $read:ident),* $(,)? }) => {
        impl crate::store::rows::Positional for $model {
            fn read(mut columns: crate::store::rows::Columns<'_>) -> Result<Self, sea_orm::DbErr> {
                // Fields are evaluated in the order in which they are written.
                Ok(Self { $($field: columns.$read()?),* })
            }
        }
    };
}
pub(super) use positional;
