//! Brings the schema to what this program expects.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::Bool;
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::Link;
use super::{DatabaseUrl, Error, Store};

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Only one process migrates at a time; the others wait, and find it done.
const MIGRATION_LOCK: i64 = 0x636f_6465_0002;

/// How often whoever waits asks whether the other is done. It does not wait inside of the question: its snapshot
/// would hold up the other's `CREATE INDEX CONCURRENTLY`.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

impl Store {
    /// Runs the migrations that are missing, and says which those were.
    ///
    /// Needs a runtime of several threads: the harness blocks the one that it runs on.
    pub async fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, Error> {
        // A migration may take long; it ends when it ends. An index that is built beside others waits for their
        // transactions, and one that gave up would be left INVALID; the others set how long they wait for a lock.
        let url = url.with_option("statement_timeout=0").with_option("lock_timeout=0");
        let mut link = Link::connect(&url, "migrate").await?;
        let mut looks = tokio::time::interval(LOCK_INTERVAL);
        while !is_locked(&mut link).await? {
            looks.tick().await;
        }
        let mut harness = AsyncMigrationHarness::new(link.connection);
        let run = harness.run_pending_migrations(MIGRATIONS);
        let run = run.map(|versions| versions.iter().map(ToString::to_string).collect());
        match run.map_err(|error| error.to_string()) {
            Ok(versions) => Ok(versions),
            Err(reason) => Err(why(harness.into_inner(), reason).await),
        }
    }

    /// The migrations that this database lacks.
    pub async fn missing_migrations(url: &DatabaseUrl) -> Result<Vec<String>, Error> {
        let link = Link::connect(url, "migrate").await?;
        let mut harness = AsyncMigrationHarness::new(link.connection);
        let pending = harness.pending_migrations(MIGRATIONS);
        let pending = pending.map_err(|error| Error::Migration(error.to_string()))?;
        Ok(pending.iter().map(|migration| migration.name().to_string()).collect())
    }
}

/// A migration that failed is for people, but not where the server went away meanwhile: it is begun again.
async fn why(mut connection: AsyncPgConnection, reason: String) -> Error {
    let asked = diesel::sql_query("SELECT 1").execute(&mut connection).await;
    match asked.map_err(Error::from) {
        Err(gone) if gone.is_unreachable() => gone,
        _ => Error::Migration(reason),
    }
}

/// Takes the lock, if nobody has it.
async fn is_locked(link: &mut Link) -> Result<bool, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        is_locked: bool,
    }
    let query = diesel::sql_query(format!("SELECT pg_try_advisory_lock({MIGRATION_LOCK}) AS is_locked"));
    Ok(query.get_result::<Row>(&mut link.connection).await?.is_locked)
}
