//! PostgreSQL, and the only code that names Diesel.
//!
//! It takes and returns domain types: no row, no connection and no query leaves it. [`Store::apply`] is the
//! only code that changes a job.
//!
//! | file            | what                                                       |
//! |-----------------|------------------------------------------------------------|
//! | `apply`         | the one door: load, decide, save                           |
//! | `load`          | locks and loads all that commands may look at              |
//! | `save`          | writes what they changed, a statement per table            |
//! | `transaction`   | statements that do not wait for each other                 |
//! | `columns`       | what is written of each table                              |
//! | `due`           | candidates: what is due, what is silent; no locks held     |
//! | `events`        | the event log: append, read after a cursor                 |
//! | `leader`        | the advisory locks of dispatcher, relay, reaper, housekeeping |
//! | `partitions`    | makes them ahead, drops old ones                           |
//! | `people`        | people and teams                                           |
//! | `views`         | read-only queries for people                               |
//! | `restore`       | after a restore to an earlier moment                       |
//! | `invariants`    | section 3, as a query                                      |
//! | `doctor`        | whether the database is well                               |

mod apply;
mod columns;
mod connection;
mod doctor;
mod due;
mod error;
mod events;
mod invariants;
mod leader;
mod load;
mod migrate;
mod partitions;
mod people;
mod restore;
mod rows;
mod save;
mod schema;
mod statement;
mod status;
mod transaction;
pub mod views;

pub use connection::{BadDatabaseUrl, DatabaseUrl};
pub use due::{DueJob, LostJob, SilentJob, Watermark};
pub use error::Error;
pub use events::LogEnd;
pub use leader::Leadership;
pub use partitions::Retention;
pub use people::Listed;
pub use status::{Counts, MachineLoad, Status};

use connection::Link;
use diesel_async::AsyncPgConnection;

use crate::domain::Timestamp;
use crate::workflow::Made;

/// A database that takes no write for this long is not well.
const BEGIN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// One connection to the database, and what can be done over it.
pub struct Store {
    link: Link,
    name: String,
}

impl Store {
    /// Connects. `name` says who we are: a role, or the command line; `pg_stat_activity` shows it, and our version.
    pub async fn connect(url: &DatabaseUrl, name: &str) -> Result<Self, Error> {
        let link = Link::connect(url, name).await?;
        Ok(Self { link, name: name.to_owned() })
    }

    /// Commits a row of its own. A full or read-only database must not use up deliveries, so each session
    /// begins with this before it consumes.
    pub async fn begin_session(&mut self) -> Result<(), Error> {
        use diesel::prelude::*;
        use diesel_async::RunQueryDsl;
        use schema::sessions::dsl::{date_begun, role, sessions};

        let name = self.name.clone();
        let beginning = diesel::insert_into(sessions)
            .values((role.eq(&name), date_begun.eq(rows::clock_timestamp())))
            .on_conflict(role)
            .do_update()
            .set(date_begun.eq(rows::clock_timestamp()))
            .execute(self.connection());
        tokio::time::timeout(BEGIN_TIMEOUT, beginning).await.map_err(|_| Error::Stalled(BEGIN_TIMEOUT))??;
        self.check_warning()
    }

    /// The database's clock.
    pub async fn now(&mut self) -> Result<Timestamp, Error> {
        use diesel_async::RunQueryDsl;

        Ok(diesel::select(rows::clock_timestamp()).get_result(self.connection()).await?)
    }

    /// What was answered to the ask of this message id, if it was applied before.
    pub async fn answer_to(&mut self, id: &str) -> Result<Option<Made>, Error> {
        use diesel::prelude::*;
        use diesel_async::RunQueryDsl;
        use schema::applied_commands::dsl::{answer, applied_commands};

        let query = applied_commands.find(id).select(answer);
        let found: Option<Option<serde_json::Value>> = query.first(self.connection()).await.optional()?;
        let corrupt = rows::Corrupt { table: "applied_commands", id: &id };
        found
            .flatten()
            .map(|made| serde_json::from_value(made).map_err(|error| corrupt.error(error)))
            .transpose()
    }

    fn connection(&mut self) -> &mut AsyncPgConnection {
        &mut self.link.connection
    }

    /// An error if the server warned: what it said it committed may not be safe.
    fn check_warning(&self) -> Result<(), Error> {
        if self.link.take_warning() { Err(Error::Warned) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("name", &self.name).finish_non_exhaustive()
    }
}
