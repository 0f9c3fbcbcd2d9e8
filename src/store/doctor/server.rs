//! The server: its version, and settings that would lose what was committed.

use std::collections::BTreeMap;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;

use crate::domain::finding::Examination;
use crate::store::{Error, Store};

/// The oldest that we run on, and the first that nobody has tried.
const VERSIONS: std::ops::Range<i64> = 150_000..190_000;

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    setting: String,
}

#[derive(QueryableByName)]
struct Standbys {
    #[diesel(sql_type = BigInt)]
    synchronous: i64,
    /// Whether the states of standbys are shown to us.
    #[diesel(sql_type = Bool)]
    is_visible: bool,
}

pub(super) async fn examine(store: &mut Store) -> Result<Examination, Error> {
    let query = diesel::sql_query(
        "SELECT name, coalesce(setting, '') AS setting FROM pg_settings WHERE name IN (
             'server_version', 'server_version_num', 'fsync', 'full_page_writes', 'synchronous_commit',
             'autovacuum', 'server_encoding', 'lc_messages', 'synchronous_standby_names')
         UNION ALL SELECT 'database', quote_ident(current_database())",
    );
    let rows: Vec<Setting> = query.load(store.connection()).await?;
    let settings: BTreeMap<String, String> = rows.into_iter().map(|row| (row.name, row.setting)).collect();
    let is = |name: &str| settings.get(name).map_or("", String::as_str);
    let mut look = Examination::of("postgresql", format!("version {} and settings", is("server_version")));

    let version: i64 = is("server_version_num").parse().unwrap_or_default();
    if version < VERSIONS.start {
        let what = format!("PostgreSQL {} is too old", is("server_version"));
        look.wrong(what, "apt-get install postgresql (15 or later), and pg_upgrade");
    } else if version >= VERSIONS.end {
        let what = format!("nobody has tried PostgreSQL {} with this program", is("server_version"));
        look.note(what, "run `make test` against it, with DATABASE_URL set");
    }
    settings_that_lose(&mut look, &is);
    if !speaks_english(store).await? {
        let what = format!(
            "the server's messages are not English (lc_messages is {:?}), so an ill-formed message ends a session \
            instead of being rejected alone",
            is("lc_messages")
        );
        look.wrong(what, format!("ALTER DATABASE {} SET lc_messages = 'C';", is("database")));
    }
    examine_standby(&mut look, store, is("synchronous_standby_names")).await?;
    Ok(look)
}

fn settings_that_lose<'a>(look: &mut Examination, is: &impl Fn(&str) -> &'a str) {
    let system =
        |name: &str, value: &str| format!("ALTER SYSTEM SET {name} = {value}; SELECT pg_reload_conf();");
    for name in ["fsync", "full_page_writes"] {
        if is(name) != "on" {
            let what = format!("{name} is off: when the host crashes, everything may be lost");
            look.wrong(what, system(name, "on"));
        }
    }
    if is("autovacuum") != "on" {
        look.wrong("autovacuum is off: tables and indexes grow for ever", system("autovacuum", "on"));
    }
    if is("synchronous_commit") == "off" {
        look.wrong(
            "synchronous_commit is off: what was answered may be lost when the server crashes",
            format!("ALTER DATABASE {} SET synchronous_commit = on;", is("database")),
        );
    }
    if is("server_encoding") != "UTF8" {
        look.wrong(
            format!(
                "the database's encoding is {}, and what is written to it is UTF-8",
                is("server_encoding")
            ),
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0; then pg_dump and restore",
        );
    }
}

/// Whether a data exception is known as one: that is why the language matters.
async fn speaks_english(store: &mut Store) -> Result<bool, Error> {
    let number = diesel::sql_query("SELECT 'not a number'::text::int");
    match number.execute(store.connection()).await.map_err(Error::from) {
        Err(error) if error.is_unreachable() => Err(error),
        Err(error) => Ok(error.is_a_messages_fault()),
        Ok(_) => Ok(false),
    }
}

async fn examine_standby(look: &mut Examination, store: &mut Store, names: &str) -> Result<(), Error> {
    if names.is_empty() {
        look.note(
            "there is no synchronous standby: a failover, or the loss of this server's disk, loses what was answered",
            "make one, and ALTER SYSTEM SET synchronous_standby_names = '…'; SELECT pg_reload_conf();",
        );
        return Ok(());
    }
    let query = diesel::sql_query(
        "SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
             pg_has_role('pg_read_all_stats', 'USAGE') AS is_visible FROM pg_stat_replication",
    );
    let standbys: Standbys = query.get_result(store.connection()).await?;
    if standbys.is_visible && standbys.synchronous == 0 {
        look.wrong(
            format!("none of the synchronous standbys ({names}) is connected: every COMMIT waits"),
            "start the standby; if it is lost: ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();",
        );
    }
    Ok(())
}
