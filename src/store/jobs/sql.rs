//! What the statements of the engine have in common.

use sea_orm::{DbBackend, Statement, Value};

use crate::{env::Env, store::sql::statement};

/// As [`statement`], with `{now}`: the time of the database. PostgreSQL keeps its own, which every
/// process shares; SQLite has one process, whose clock is `env`.
pub(super) fn timed(
    backend: DbBackend,
    env: &Env,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let mut values: Vec<Value> = values.into_iter().collect();
    if backend == DbBackend::Sqlite {
        values.push(env.now().into());
        let place = format!("${}", values.len());
        return statement(backend, &sql.replace("{now}", &place), values);
    }
    statement(backend, &sql.replace("{now}", "now()"), values)
}
