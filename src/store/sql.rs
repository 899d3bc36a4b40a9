//! SQL that SeaORM cannot say, in one text for both databases.

use sea_orm::{DbBackend, Statement, Value};

/// A statement whose parameters are written `$1`, `$2`, … PostgreSQL takes them as they are; SQLite
/// knows the same form as `?1`, `?2`, …
pub(super) fn statement(backend: DbBackend, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    let text = match backend {
        DbBackend::Sqlite => sql.replace('$', "?"),
        _ => sql.to_owned(),
    };
    Statement::from_sql_and_values(backend, text, values)
}
