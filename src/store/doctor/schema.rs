//! The migrations of this program, against those that were run.

use std::collections::BTreeSet;

use diesel::QueryableByName;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use crate::domain::finding::Examination;
use crate::store::migrate::MIGRATIONS;
use crate::store::{Error, Store};

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct IsThere {
    #[diesel(sql_type = Bool)]
    is_there: bool,
}

pub(super) async fn examine(store: &mut Store) -> Result<Examination, Error> {
    let ours: Vec<_> = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(|error| Error::Migration(error.to_string()))?
        .iter()
        .map(|migration| (migration.name().version().to_string(), migration.name().to_string()))
        .collect();
    let query = diesel::sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS is_there");
    let table: IsThere = query.get_result(store.connection()).await?;
    let run: BTreeSet<String> = if table.is_there {
        let query = diesel::sql_query("SELECT version::text AS version FROM __diesel_schema_migrations");
        let rows: Vec<Version> = query.load(store.connection()).await?;
        rows.into_iter().map(|row| row.version).collect()
    } else {
        BTreeSet::new()
    };
    let mut look = Examination::of(
        "schema",
        format!("{} migrations of version {}", ours.len(), env!("CARGO_PKG_VERSION")),
    );
    let missing: Vec<&str> =
        ours.iter().filter(|(version, _)| !run.contains(version)).map(|(_, name)| name.as_str()).collect();
    if !missing.is_empty() {
        look.wrong(format!("migrations were not run: {}", missing.join(", ")), "code-imports migrate");
    }
    let known: BTreeSet<&String> = ours.iter().map(|(version, _)| version).collect();
    for version in run.iter().filter(|version| !known.contains(version)) {
        look.note(
            format!("the migration {version} was run by a later version than {}", env!("CARGO_PKG_VERSION")),
            "install that version here too",
        );
    }
    Ok(look)
}
