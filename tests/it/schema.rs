//! What the migrations made is what the code reads and writes.
use std::collections::BTreeMap;

use sea_orm::{ColumnType, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use switchboard::store::tables;

use crate::support::both;

/// The columns of a table in the database: kind and whether NULL may stand in it.
async fn columns(database: &DatabaseConnection, table: &str) -> BTreeMap<String, (String, bool)> {
    let sql = match database.get_database_backend() {
        DbBackend::Sqlite => format!(
            "select name, lower(type) as kind, \"notnull\" = 0 and pk = 0 as nullable from pragma_table_info('{table}')"
        ),
        _ => format!(
            "select column_name as name, data_type as kind, is_nullable = 'YES' as nullable \
             from information_schema.columns where table_schema = 'public' and table_name = '{table}'"
        ),
    };
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await;
    let read = |row: sea_orm::QueryResult| {
        let text = |name: &str| row.try_get::<String>("", name).unwrap();
        (text("name"), (text("kind"), row.try_get("", "nullable").unwrap()))
    };
    rows.unwrap().into_iter().map(read).collect()
}

/// What a kind of SeaORM is called in each database.
fn kind(kind: &ColumnType, backend: DbBackend) -> &'static str {
    let (postgres, sqlite) = match kind {
        ColumnType::Uuid => ("uuid", "blob"),
        ColumnType::TimestampWithTimeZone => ("timestamp with time zone", "text"),
        ColumnType::JsonBinary | ColumnType::Json => ("jsonb", "text"),
        ColumnType::VarBinary(_) | ColumnType::Blob | ColumnType::Binary(_) => ("bytea", "blob"),
        ColumnType::Text | ColumnType::String(_) | ColumnType::Enum { .. } => ("text", "text"),
        ColumnType::Boolean => ("boolean", "boolean"),
        ColumnType::SmallInteger => ("smallint", "smallint"),
        ColumnType::Integer => ("integer", "integer"),
        ColumnType::BigInteger => ("bigint", "bigint"),
        ColumnType::Double => ("double precision", "double"),
        other => panic!("{other:?} has no place in the schema"),
    };
    if backend == DbBackend::Sqlite { sqlite } else { postgres }
}

#[tokio::test]
async fn every_entity_is_a_table_of_the_migrated_schema() {
    both(async |pair| {
        let database = Database::connect(&pair.database_url).await.unwrap();
        let backend = database.get_database_backend();
        for table in tables() {
            let expected = table.columns.iter().map(|column| {
                (column.name.to_owned(), (kind(&column.kind, backend).to_owned(), column.nullable))
            });
            let expected: BTreeMap<_, _> = expected.collect();
            assert_eq!(expected, columns(&database, table.name).await, "{}", table.name);
        }
    })
    .await;
}

/// A table of a tenant's rows leads with the tenant, and so does every reference from it: a row cannot point
/// into another tenant.
#[tokio::test]
async fn a_reference_between_rows_of_tenants_carries_the_tenant() {
    let pair = crate::support::Pair::postgres().await; // its catalogue says it; SQLite runs the same DDL
    let database = Database::connect(&pair.database_url).await.unwrap();
    let sql = "select c.conrelid::regclass::text as source, c.confrelid::regclass::text as target, \
             (select array_agg(a.attname::text) from pg_attribute a \
                 where a.attrelid = c.conrelid and a.attnum = any (c.conkey)) @> '{tenant_id}' as carries \
         from pg_constraint c where c.contype = 'f' and exists (select 1 from pg_attribute a \
             where a.attrelid = c.confrelid and a.attname = 'tenant_id')";
    let rows = database.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    assert!(rows.len() > 10, "{}", rows.len());
    for row in rows {
        let text = |name: &str| row.try_get::<String>("", name).unwrap();
        assert!(row.try_get::<bool>("", "carries").unwrap(), "{} → {}", text("source"), text("target"));
    }
}
