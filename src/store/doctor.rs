//! Whether the database is well: what only it can say.
//!
//! | file          | what                                                    |
//! |---------------|---------------------------------------------------------|
//! | `server`      | version and settings that would lose what was committed |
//! | `schema`      | the migrations of this program, against those that were run |
//! | `permissions` | whether our role may do what the coordinator does       |
//! | `clock`       | the database's clock against this host's                |
//! | `parts`       | partitions: ahead, half detached, catching all          |
//! | `log`         | the event log: without a hole, published                |
//! | `activity`    | who is connected, for how long                          |
//!
//! All of it is cheap at any size: it reads catalogues, ends of indexes, and samples. Nothing is written.

mod activity;
mod clock;
pub(super) mod log;
mod parts;
mod permissions;
mod schema;
mod server;

use diesel_async::RunQueryDsl;

use super::{Error, Store};
use crate::domain::finding::Examination;

/// Up to so many imports are all looked at.
const ALL_IMPORTS: f64 = 200_000.0;

/// Of more than that, about so many: each costs a few reads of pages that are in no cache.
const SAMPLED_IMPORTS: f64 = 20_000.0;

/// So many RUNNING jobs are looked at, of more.
const SAMPLED_JOBS: i64 = 10_000;

/// So many of the latest events are looked at, of more.
const SAMPLED_EVENTS: i64 = 100_000;

/// How much is looked at where looking costs as much as there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Depth {
    /// Of the imports.
    pub(super) imports_percent: f64,
    /// Of the RUNNING jobs.
    pub(super) jobs: i64,
    /// The latest events.
    pub(super) events: i64,
    /// The latest results.
    pub(super) results_minutes: i64,
}

impl Depth {
    /// All there is.
    pub(super) const WHOLE: Self =
        Self { imports_percent: 100.0, jobs: i64::MAX, events: i64::MAX, results_minutes: 60 * 24 * 366_000 };
}

impl Store {
    /// Looks at everything. A look that fails is a finding, and the next one is taken.
    ///
    /// At a large catalogue some looks are samples, and say so, unless `is_thorough`.
    pub async fn examine(&mut self, is_thorough: bool) -> Vec<Examination> {
        if is_thorough && let Err(error) = self.take_time().await {
            return vec![failed(&error)];
        }
        let mut seen = vec![server::examine(self).await, clock::examine(self).await];
        let schema = schema::examine(self).await;
        let is_schema_there = schema.as_ref().is_ok_and(|schema| !schema.is_wrong());
        seen.push(schema);
        seen.push(activity::examine(self).await);
        // Without our tables each of the others would say so once more.
        if is_schema_there {
            seen.push(permissions::examine(self).await);
            seen.push(parts::examine(self).await);
            let depth = if is_thorough { Ok(Depth::WHOLE) } else { self.depth().await };
            match depth {
                Ok(depth) => {
                    seen.push(self.examine_invariants(depth).await);
                    seen.push(log::examine(self, depth).await);
                }
                Err(error) => seen.push(Err(error)),
            }
        }
        seen.into_iter().map(|look| look.unwrap_or_else(|error| failed(&error))).collect()
    }

    async fn take_time(&mut self) -> Result<(), Error> {
        diesel::sql_query("SET statement_timeout = 0").execute(self.connection()).await?;
        Ok(())
    }

    async fn depth(&mut self) -> Result<Depth, Error> {
        let imports = f64::from(self.estimate("imports").await?);
        if imports <= ALL_IMPORTS {
            return Ok(Depth::WHOLE);
        }
        let imports_percent = SAMPLED_IMPORTS / imports * 100.0;
        Ok(Depth { imports_percent, jobs: SAMPLED_JOBS, events: SAMPLED_EVENTS, results_minutes: 10 })
    }

    /// How many rows a table has, as the planner believes.
    async fn estimate(&mut self, table: &str) -> Result<f32, Error> {
        #[derive(diesel::QueryableByName)]
        struct Estimate {
            #[diesel(sql_type = diesel::sql_types::Float)]
            rows: f32,
        }
        let query = diesel::sql_query("SELECT reltuples AS rows FROM pg_class WHERE oid = $1::regclass");
        let query = query.bind::<diesel::sql_types::Text, _>(table);
        Ok(query.get_result::<Estimate>(self.connection()).await?.rows)
    }
}

/// A look that could not be taken.
fn failed(error: &Error) -> Examination {
    let mut look = Examination::of("database", "nothing: the look failed");
    let remedy = if error.is_unreachable() {
        "look at the server's log, and type `code-imports doctor` again"
    } else {
        "log in as a role that may do it, or GRANT what is missing"
    };
    look.wrong(error.to_string(), remedy);
    look
}
