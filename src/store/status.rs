//! The numbers of the status screen, as far as the database knows them.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use strum::VariantArray;

use super::{Error, Store};
use crate::domain::RcsType;

/// How the whole system does, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// How much there is of everything.
    #[serde(flatten)]
    pub counts: Counts,
    /// Results of the last minute, by their status.
    pub results_by_status: BTreeMap<String, i64>,
    /// Imports that gave up, by the status of their last result; `null` is one that somebody set to FAILING.
    pub failing_by_status: BTreeMap<String, i64>,
    /// The machines that are not OFFLINE, or run something; those that run most come first, a hundred at most.
    pub machines: Vec<MachineLoad>,
}

/// How much there is of everything.
#[derive(Clone, Debug, PartialEq, QueryableByName, Serialize)]
pub struct Counts {
    /// PENDING jobs that are due.
    #[diesel(sql_type = BigInt)]
    pub due: i64,
    /// For how long the one that is due longest has been due, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub lateness_s: Option<f64>,
    /// Jobs that were handed to a work queue and not yet started.
    #[diesel(sql_type = BigInt)]
    pub dispatched: i64,
    /// RUNNING jobs.
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    /// Machines that take work.
    #[diesel(sql_type = BigInt)]
    pub machines_online: i64,
    /// Machines that finish what they have.
    #[diesel(sql_type = BigInt)]
    pub machines_quiescing: i64,
    /// Machines that are OFFLINE because they fell silent.
    #[diesel(sql_type = BigInt)]
    pub machines_silent: i64,
    /// Results of the last minute.
    #[diesel(sql_type = BigInt)]
    pub results_last_minute: i64,
    /// Of those, the ones that did not succeed.
    #[diesel(sql_type = BigInt)]
    pub failures_last_minute: i64,
    /// Imports that gave up.
    #[diesel(sql_type = BigInt)]
    pub failing: i64,
    /// Events that are not published yet.
    #[diesel(sql_type = BigInt)]
    pub relay_lag: i64,
    /// For how long we have not heard ourselves, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub echo_age_s: Option<f64>,
}

/// How much a machine does.
#[derive(Clone, Debug, PartialEq, QueryableByName, Serialize)]
pub struct MachineLoad {
    /// The machine.
    #[diesel(sql_type = Text)]
    pub machine: String,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The jobs that it runs.
    #[diesel(sql_type = BigInt)]
    pub running_jobs: i64,
    /// For how long it has said nothing, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub heartbeat_age_s: Option<f64>,
}

/// So many of a status.
#[derive(QueryableByName)]
struct Share {
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// What is handed out and what is not are counted apart: each has an index, and all that are PENDING have none.
const COUNTS: &str = "
    WITH waiting AS (
        SELECT count(*) AS due, min(date_due) AS first FROM jobs
        WHERE state = 'PENDING' AND date_dispatched IS NULL AND rcs_type = ANY ($1) AND date_due <= now()
    ), dispatched AS (
        SELECT count(*) AS jobs, count(*) FILTER (WHERE date_due <= now()) AS due,
            min(date_due) FILTER (WHERE date_due <= now()) AS first
        FROM jobs WHERE state = 'PENDING' AND date_dispatched IS NOT NULL
    )
    SELECT waiting.due + dispatched.due AS due,
    extract(epoch FROM now() - least(waiting.first, dispatched.first))::float8 AS lateness_s,
    dispatched.jobs AS dispatched,
    (SELECT count(*) FROM jobs WHERE state = 'RUNNING') AS running,
    (SELECT count(*) FROM machines WHERE state = 'ONLINE') AS machines_online,
    (SELECT count(*) FROM machines WHERE state = 'QUIESCING') AS machines_quiescing,
    (SELECT count(*) FROM machines WHERE offline_reason = 'WATCHDOG') AS machines_silent,
    (SELECT count(*) FROM results WHERE date_created > now() - interval '1 minute') AS results_last_minute,
    (SELECT count(*) FROM results WHERE date_created > now() - interval '1 minute'
        AND status NOT LIKE 'SUCCESS%') AS failures_last_minute,
    (SELECT count(*) FROM imports WHERE review_status = 'FAILING') AS failing,
    (SELECT next_id - 1 - last_id FROM event_counter, event_cursor) AS relay_lag,
    (SELECT extract(epoch FROM now() - heard)::float8 FROM hearing) AS echo_age_s
    FROM waiting, dispatched";

const RESULTS_BY_STATUS: &str = "SELECT status, count(*) AS count FROM results
    WHERE date_created > now() - interval '1 minute' GROUP BY status";

const FAILING_BY_STATUS: &str =
    "SELECT coalesce(last_status, 'null') AS status, count(*) AS count FROM imports
    WHERE review_status = 'FAILING' GROUP BY last_status";

const MACHINES: &str = "SELECT hostname AS machine, machines.state AS state,
        coalesce(running_jobs, 0) AS running_jobs,
        extract(epoch FROM now() - heartbeat)::float8 AS heartbeat_age_s
    FROM machines LEFT JOIN (
        SELECT machine, count(*) AS running_jobs FROM jobs WHERE state = 'RUNNING' GROUP BY machine
    ) AS running ON machine = hostname
    WHERE machines.state <> 'OFFLINE' OR running_jobs > 0
    ORDER BY coalesce(running_jobs, 0) DESC, hostname LIMIT 100";

impl Store {
    /// How the whole system does. Every count is of something small, of what waits, or of the last minute.
    pub async fn status(&mut self) -> Result<Status, Error> {
        let rcs_types: Vec<String> = RcsType::VARIANTS.iter().map(ToString::to_string).collect();
        let counts = diesel::sql_query(COUNTS).bind::<Array<Text>, _>(rcs_types);
        Ok(Status {
            counts: counts.get_result(self.connection()).await?,
            results_by_status: self.shares(RESULTS_BY_STATUS).await?,
            failing_by_status: self.shares(FAILING_BY_STATUS).await?,
            machines: diesel::sql_query(MACHINES).load(self.connection()).await?,
        })
    }

    async fn shares(&mut self, query: &str) -> Result<BTreeMap<String, i64>, Error> {
        let shares: Vec<Share> = diesel::sql_query(query).load(self.connection()).await?;
        Ok(shares.into_iter().map(|Share { status, count }| (status, count)).collect())
    }
}
