//! What is read: a JSON document for programs, with the field names of the wire; people get the same as text.
//!
//! Sources are without user-info here, and so are the texts that tools wrote.

use serde::Serialize;

use super::output::{Mood, Text};
use crate::domain::event::ImportRef;
use crate::domain::job::JobStateName;
use crate::domain::machine::MachineStateName;
use crate::domain::source::redact;
use crate::domain::{
    Hostname, Import, Job, JobId, LastResult, Machine, NewResult, OfflineReason, PersonName, ResultId,
    ReviewStatus, RunId, Status, Timestamp,
};
use crate::protocol::work::ImportBody;
use crate::workflow::Policy;

/// An import.
#[derive(Debug, Serialize)]
pub(super) struct ImportDocument {
    #[serde(flatten)]
    pub(super) import: ImportBody,
    pub(super) review_status: ReviewStatus,
    pub(super) owner: PersonName,
    pub(super) registrant: PersonName,
    /// Its own; none means the default for its RCS.
    pub(super) update_interval_s: Option<i64>,
    pub(super) effective_update_interval_s: i64,
    pub(super) date_created: Timestamp,
    pub(super) date_last_successful: Option<Timestamp>,
    pub(super) date_source_changed: Option<Timestamp>,
    pub(super) consecutive_failure_count: u32,
    pub(super) consecutive_infrastructure_failure_count: u32,
    pub(super) last_result: Option<LastResultDocument>,
}

/// The latest result of an import, as the import knows it.
#[derive(Debug, Serialize)]
pub(super) struct LastResultDocument {
    pub(super) job: JobId,
    pub(super) run: RunId,
    pub(super) status: Status,
    pub(super) date_job_started: Timestamp,
    pub(super) date_created: Timestamp,
}

/// A job. What exists only while it runs is null while it waits.
#[derive(Debug, Serialize)]
pub(super) struct JobDocument {
    pub(super) job: JobId,
    pub(super) import: ImportRef,
    pub(super) rcs_type: crate::domain::RcsType,
    pub(super) state: JobStateName,
    pub(super) requested_by: Option<PersonName>,
    pub(super) date_created: Timestamp,
    pub(super) date_due: Timestamp,
    pub(super) date_dispatched: Option<Timestamp>,
    pub(super) machine: Option<Hostname>,
    pub(super) run: Option<RunId>,
    pub(super) date_started: Option<Timestamp>,
    pub(super) heartbeat: Option<Timestamp>,
    pub(super) log_tail: Option<String>,
}

/// A result.
#[derive(Debug, Serialize)]
pub(super) struct ResultDocument {
    pub(super) id: ResultId,
    pub(super) job: JobId,
    pub(super) import: ImportRef,
    pub(super) run: RunId,
    pub(super) machine: Hostname,
    pub(super) requested_by: Option<PersonName>,
    pub(super) status: Status,
    pub(super) date_job_started: Timestamp,
    pub(super) date_created: Timestamp,
    pub(super) duration_s: i64,
    pub(super) reason: Option<String>,
    pub(super) log_excerpt: String,
    pub(super) log_url: Option<String>,
    pub(super) stats: serde_json::Map<String, serde_json::Value>,
}

/// A machine.
#[derive(Debug, Serialize)]
pub(super) struct MachineDocument {
    pub(super) machine: Hostname,
    pub(super) state: MachineStateName,
    pub(super) offline_reason: Option<OfflineReason>,
    pub(super) date_state: Timestamp,
    pub(super) heartbeat: Option<Timestamp>,
    pub(super) running_jobs: i64,
}

impl ImportDocument {
    pub(super) fn of(import: &Import, policy: &Policy) -> Self {
        Self {
            import: ImportBody::redacted(import),
            review_status: import.review_status,
            owner: import.owner.clone(),
            registrant: import.registrant.clone(),
            update_interval_s: import.update_interval.map(|interval| interval.num_seconds()),
            effective_update_interval_s: policy.effective_interval(import).num_seconds(),
            date_created: import.date_created,
            date_last_successful: import.date_last_successful,
            date_source_changed: import.date_source_changed,
            consecutive_failure_count: import.consecutive_failure_count,
            consecutive_infrastructure_failure_count: import.consecutive_infrastructure_failure_count,
            last_result: import.last_result.as_ref().map(LastResultDocument::of),
        }
    }

    /// Where it comes from, for people.
    pub(super) fn source(&self) -> String {
        let parts = [&self.import.url, &self.import.cvs_root, &self.import.cvs_module];
        parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
    }
}

impl LastResultDocument {
    fn of(last: &LastResult) -> Self {
        Self {
            job: last.job_id,
            run: last.run,
            status: last.status,
            date_job_started: last.date_job_started,
            date_created: last.date_created,
        }
    }
}

impl JobDocument {
    pub(super) fn of(job: &Job, import: ImportRef) -> Self {
        let run = job.run();
        Self {
            job: job.id,
            import,
            rcs_type: job.rcs_type,
            state: job.state_name(),
            requested_by: job.requesting_user.clone(),
            date_created: job.date_created,
            date_due: job.date_due,
            date_dispatched: job.date_dispatched,
            machine: run.map(|run| run.machine.clone()),
            run: run.map(|run| run.id),
            date_started: run.map(|run| run.date_started),
            heartbeat: run.map(|run| run.heartbeat),
            log_tail: run.map(|run| redact(&run.log_tail)),
        }
    }
}

impl ResultDocument {
    pub(super) fn of(result: &NewResult, import: ImportRef) -> Self {
        Self {
            id: result.id,
            job: result.job_id,
            import,
            run: result.run,
            machine: result.machine.clone(),
            requested_by: result.requesting_user.clone(),
            status: result.status,
            date_job_started: result.date_job_started,
            date_created: result.date_created,
            duration_s: result.duration().num_seconds(),
            reason: result.reason.as_deref().map(redact),
            log_excerpt: redact(&result.log_excerpt),
            log_url: result.log_url.as_deref().map(redact),
            stats: result.stats.clone(),
        }
    }
}

impl MachineDocument {
    pub(super) fn of(machine: &Machine, running_jobs: i64) -> Self {
        Self {
            machine: machine.hostname.clone(),
            state: machine.state.name(),
            offline_reason: machine.state.offline_reason(),
            date_state: machine.date_state,
            heartbeat: machine.heartbeat,
            running_jobs,
        }
    }
}

/// A result's status, which is good or bad.
pub(super) fn status(status: Status) -> Text {
    Text::new(status, if status.is_success() { Mood::Good } else { Mood::Bad })
}

/// A review status; FAILING is bad.
pub(super) fn review_status(status: ReviewStatus) -> Text {
    Text::new(status, if status == ReviewStatus::Failing { Mood::Bad } else { Mood::Plain })
}
