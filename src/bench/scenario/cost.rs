//! What a run cost: processor time of each side for a message or job. A machine that others use changes the seconds
//! of a run, but hardly these.

use std::time::Duration;

use super::drained::per_second;
use crate::bench::process::{Serve, cpu_of};
use crate::bench::{Place, Sample};

/// Processor time, in microseconds for each of what was counted.
#[derive(Debug)]
pub(super) struct Cost {
    serve: f64,
    database: f64,
}

impl Cost {
    /// What it cost since both were started: `serve`, and its sessions at the database, where that runs here.
    pub(super) async fn of(place: &Place, serve: &Serve, count: i64) -> anyhow::Result<Self> {
        let sql = place.sql().await?;
        let sessions = "SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'code-imports%'";
        let rows = sql.query(sessions, &[]).await?;
        let pids = rows.iter().filter_map(|row| u32::try_from(row.get::<_, i32>(0)).ok());
        let database: Duration = pids.filter_map(|pid| cpu_of(pid).ok()).sum();
        Ok(Self { serve: microseconds(serve.cpu()?, count), database: microseconds(database, count) })
    }

    /// Adds it to a sample.
    pub(super) fn tell(&self, sample: Sample) -> Sample {
        sample.with("cpu_us_serve", self.serve).with("cpu_us_database", self.database)
    }
}

pub(super) fn microseconds(time: Duration, count: i64) -> f64 {
    1e6 / per_second(count, time)
}
