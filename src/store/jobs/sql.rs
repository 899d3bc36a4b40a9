//! What the statements of the engine have in common: the database's clock, and columns of a batch.

use std::time::Duration;

use sea_orm::{DbBackend, Statement, Value};
use uuid::Uuid;

use super::Ticket;
use crate::{env::Env, store::sql::statement};

/// As [`statement`], with `{now}`, the time of the database, and `{in $1}`, that time plus the
/// [`pause`] in `$1`. PostgreSQL keeps its own time, which every process shares; SQLite has one process,
/// whose clock is `env`.
pub(super) fn timed(
    backend: DbBackend,
    env: &Env,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let mut values: Vec<Value> = values.into_iter().collect();
    let (now, before, after) = match backend {
        DbBackend::Sqlite => {
            let place = format!("${}", values.len() + 1);
            if sql.contains("{now}") {
                values.push(env.now().into());
            }
            (place, "", "")
        }
        _ => ("now()".to_owned(), "(now() + ", "::bigint * interval '1 millisecond')"),
    };
    let mut parts = sql.split("{in ");
    let mut text = parts.next().unwrap_or_default().replace("{now}", &now);
    for part in parts {
        let (place, rest) = part.split_once('}').expect("{in $n} is closed");
        text.extend([before, place, after, &rest.replace("{now}", &now)]);
    }
    statement(backend, &text, values)
}

/// The longest pause: neither database can count to the end of all times.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A pause as `{in $n}` takes it, a hundred years at most.
pub(super) fn pause(backend: DbBackend, env: &Env, pause: Duration) -> Value {
    match backend {
        DbBackend::Sqlite => (env.now() + pause.min(FOREVER)).into(),
        _ => millis(pause).into(),
    }
}

/// A pause in milliseconds, a hundred years at most.
pub(super) fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.min(FOREVER).as_millis()).unwrap_or(i64::MAX)
}

/// Tenants, ids and epochs of tickets, as three arrays.
pub(super) fn columns<'a>(tickets: impl IntoIterator<Item = &'a Ticket>) -> [Value; 3] {
    let mut columns: (Vec<Uuid>, Vec<Uuid>, Vec<i32>) = Default::default();
    for ticket in tickets {
        columns.0.push(ticket.tenant.0);
        columns.1.push(ticket.job.0);
        columns.2.push(ticket.epoch);
    }
    [columns.0.into(), columns.1.into(), columns.2.into()]
}

/// PostgreSQL refuses a NUL in a text, and nobody reads a novel.
pub(super) fn short(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(2_000).collect()
}
