//! Row ↔ domain. A row that breaks what a type says is [`Error::Corrupt`], never a panic.

use chrono::TimeDelta;
use diesel::prelude::*;
use uuid::Uuid;

use super::Error;
use super::schema::{imports, jobs, machines};
use crate::domain::{
    Import, ImportId, Job, JobId, JobState, LastResult, Machine, MachineState, Run, RunId, Source, Timestamp,
};

diesel::define_sql_function! {
    /// The database's clock, which goes on within a transaction.
    fn clock_timestamp() -> Timestamptz;
}

/// A job as the table has it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = jobs, check_for_backend(diesel::pg::Pg))]
pub(super) struct JobRow {
    id: i64,
    import_id: i64,
    rcs_type: String,
    state: String,
    date_created: Timestamp,
    date_due: Timestamp,
    date_dispatched: Option<Timestamp>,
    requesting_user: Option<String>,
    machine: Option<String>,
    run: Option<Uuid>,
    date_started: Option<Timestamp>,
    heartbeat: Option<Timestamp>,
    log_tail: Option<String>,
}

impl JobRow {
    /// Its place among those that wait: longest due first.
    pub(super) fn place(&self) -> (Timestamp, i64) {
        (self.date_due, self.id)
    }
}

impl TryFrom<JobRow> for Job {
    type Error = Error;

    fn try_from(row: JobRow) -> Result<Self, Error> {
        let corrupt = Corrupt { table: "jobs", id: &row.id };
        let run = match (row.machine, row.run, row.date_started, row.heartbeat, row.log_tail) {
            (None, None, None, None, None) => None,
            (Some(machine), Some(run), Some(date_started), Some(heartbeat), Some(log_tail)) => Some(Run {
                id: RunId(run),
                machine: corrupt.parse("machine", &machine)?,
                date_started,
                heartbeat,
                log_tail,
            }),
            _ => return Err(corrupt.error("half a run")),
        };
        let state = match (row.state.as_str(), run) {
            ("PENDING", None) => JobState::Pending,
            ("RUNNING", Some(run)) => JobState::Running(run),
            _ => return Err(corrupt.error("its state and its run differ")),
        };
        Ok(Self {
            id: JobId(row.id),
            import_id: ImportId(row.import_id),
            rcs_type: corrupt.parse("rcs_type", &row.rcs_type)?,
            date_created: row.date_created,
            date_due: row.date_due,
            date_dispatched: row.date_dispatched,
            requesting_user: corrupt.parse_optional("requesting_user", row.requesting_user.as_deref())?,
            state,
        })
    }
}

/// An import as the table has it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = imports, check_for_backend(diesel::pg::Pg))]
pub(super) struct ImportRow {
    id: i64,
    unique_name: String,
    registrant: String,
    owner: String,
    rcs_type: String,
    url: Option<String>,
    cvs_root: Option<String>,
    cvs_module: Option<String>,
    review_status: String,
    update_interval_seconds: Option<i64>,
    date_created: Timestamp,
    date_last_successful: Option<Timestamp>,
    date_source_changed: Option<Timestamp>,
    last_job_id: Option<i64>,
    last_run: Option<Uuid>,
    last_status: Option<String>,
    last_date_job_started: Option<Timestamp>,
    last_date_created: Option<Timestamp>,
    consecutive_failure_count: i64,
    consecutive_infrastructure_failure_count: i64,
}

impl TryFrom<ImportRow> for Import {
    type Error = Error;

    fn try_from(row: ImportRow) -> Result<Self, Error> {
        let corrupt = Corrupt { table: "imports", id: &row.id };
        let source = Source::from_columns(row.url, row.cvs_root, row.cvs_module);
        let last = (
            row.last_job_id,
            row.last_run,
            row.last_status,
            row.last_date_job_started,
            row.last_date_created,
        );
        let last_result = match last {
            (None, None, None, None, None) => None,
            (Some(job_id), Some(run), Some(status), Some(date_job_started), Some(date_created)) => {
                let status = corrupt.parse("last_status", &status)?;
                Some(LastResult {
                    job_id: JobId(job_id),
                    run: RunId(run),
                    status,
                    date_job_started,
                    date_created,
                })
            }
            _ => return Err(corrupt.error("half a last result")),
        };
        let interval = row.update_interval_seconds.map(TimeDelta::try_seconds);
        Ok(Self {
            id: ImportId(row.id),
            unique_name: corrupt.parse("unique_name", &row.unique_name)?,
            registrant: corrupt.parse("registrant", &row.registrant)?,
            owner: corrupt.parse("owner", &row.owner)?,
            rcs_type: corrupt.parse("rcs_type", &row.rcs_type)?,
            source: source.ok_or_else(|| corrupt.error("no source"))?,
            review_status: corrupt.parse("review_status", &row.review_status)?,
            update_interval: match interval {
                Some(None) => return Err(corrupt.error("update_interval_seconds is out of range")),
                Some(interval) => interval,
                None => None,
            },
            date_created: row.date_created,
            date_last_successful: row.date_last_successful,
            date_source_changed: row.date_source_changed,
            last_result,
            consecutive_failure_count: corrupt.count(row.consecutive_failure_count)?,
            consecutive_infrastructure_failure_count: corrupt
                .count(row.consecutive_infrastructure_failure_count)?,
        })
    }
}

/// A machine as the table has it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = machines, check_for_backend(diesel::pg::Pg))]
pub(super) struct MachineRow {
    hostname: String,
    state: String,
    offline_reason: Option<String>,
    date_state: Timestamp,
    heartbeat: Option<Timestamp>,
}

impl TryFrom<MachineRow> for Machine {
    type Error = Error;

    fn try_from(row: MachineRow) -> Result<Self, Error> {
        let corrupt = Corrupt { table: "machines", id: &row.hostname };
        let state = match (row.state.as_str(), row.offline_reason) {
            ("ONLINE", None) => MachineState::Online,
            ("QUIESCING", None) => MachineState::Quiescing,
            ("OFFLINE", Some(reason)) => MachineState::Offline(corrupt.parse("offline_reason", &reason)?),
            _ => return Err(corrupt.error("its state and its reason differ")),
        };
        let hostname = corrupt.parse("hostname", &row.hostname)?;
        Ok(Self { hostname, state, date_state: row.date_state, heartbeat: row.heartbeat })
    }
}

/// Says which row is corrupt.
pub(super) struct Corrupt<'a> {
    pub(super) table: &'static str,
    pub(super) id: &'a dyn std::fmt::Display,
}

impl Corrupt<'_> {
    pub(super) fn error(&self, what: impl ToString) -> Error {
        Error::Corrupt { table: self.table, id: self.id.to_string(), what: what.to_string() }
    }

    pub(super) fn parse<T: std::str::FromStr>(&self, column: &str, text: &str) -> Result<T, Error> {
        text.parse().map_err(|_| self.error(format!("{column} is {text:?}")))
    }

    pub(super) fn parse_optional<T: std::str::FromStr>(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<T>, Error> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    fn count(&self, count: i64) -> Result<u32, Error> {
        u32::try_from(count).map_err(|_| self.error(format!("a count of {count}")))
    }
}
