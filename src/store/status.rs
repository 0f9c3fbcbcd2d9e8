//! The numbers of the status screen.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable};
use diesel_async::RunQueryDsl;
use serde::Serialize;

use super::{Error, Store};

/// How the whole system does, in numbers.
#[derive(Clone, Debug, PartialEq, QueryableByName, Serialize)]
pub struct Status {
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

impl Store {
    /// How the whole system does. Every count is of something small, or of the last minute.
    pub async fn status(&mut self) -> Result<Status, Error> {
        let query = diesel::sql_query(
            "SELECT
                (SELECT count(*) FROM jobs WHERE state = 'PENDING' AND date_due <= now()) AS due,
                (SELECT extract(epoch FROM now() - min(date_due))::float8 FROM jobs
                    WHERE state = 'PENDING' AND date_due <= now()) AS lateness_s,
                (SELECT count(*) FROM jobs WHERE state = 'PENDING' AND date_dispatched IS NOT NULL) AS dispatched,
                (SELECT count(*) FROM jobs WHERE state = 'RUNNING') AS running,
                (SELECT count(*) FROM machines WHERE state = 'ONLINE') AS machines_online,
                (SELECT count(*) FROM results WHERE date_created > now() - interval '1 minute')
                    AS results_last_minute,
                (SELECT count(*) FROM results WHERE date_created > now() - interval '1 minute'
                    AND status NOT LIKE 'SUCCESS%') AS failures_last_minute,
                (SELECT count(*) FROM imports WHERE review_status = 'FAILING') AS failing,
                (SELECT next_id - 1 - last_id FROM event_counter, event_cursor) AS relay_lag,
                (SELECT extract(epoch FROM now() - heard)::float8 FROM hearing) AS echo_age_s",
        );
        Ok(query.get_result(self.connection()).await?)
    }
}
