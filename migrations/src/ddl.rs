//! One text of DDL for both databases.

use sea_orm_migration::{
    prelude::{DbErr, SchemaManager},
    sea_orm::{ConnectionTrait, DbBackend},
};

/// The types whose names differ: (name in the text, PostgreSQL, SQLite).
const TYPES: &[(&str, &str, &str)] = &[
    ("{uuid}", "uuid", "blob"),
    ("{time}", "timestamptz", "text"),
    ("{json}", "jsonb", "text"),
    ("{bytes}", "bytea", "blob"),
];

/// Runs the statements of `text`, separated by semicolons. `{uuid}`, `{time}`, `{json}` and `{bytes}`
/// become the database's own types; `{pg:…}` and `{sqlite:…}` stay on one of them.
pub(crate) async fn run(manager: &SchemaManager<'_>, text: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let mut text = only(text, "{pg:", postgres);
    text = only(&text, "{sqlite:", !postgres);
    for (name, on_postgres, on_sqlite) in TYPES {
        text = text.replace(name, if postgres { on_postgres } else { on_sqlite });
    }
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        connection.execute_unprepared(statement).await?;
    }
    Ok(())
}

/// Keeps or drops the parts between `open` and the next `}`.
fn only(text: &str, open: &str, keep: bool) -> String {
    let mut parts = text.split(open);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, after) = part.split_once('}').unwrap_or((part, ""));
        if keep {
            result.push_str(inside);
        }
        result.push_str(after);
    }
    result
}
