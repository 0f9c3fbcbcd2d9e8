//! A result: what a job left behind when it ended.

use strum::{Display, EnumString, VariantArray};

use super::{Hostname, ImportId, Job, JobId, PersonName, ResultId, Run, RunId, Timestamp};

/// How a run ended (section 2).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    VariantArray,
    serde::Serialize,
    serde::Deserialize,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Something new was imported.
    Success,
    /// Nothing new upstream.
    #[strum(serialize = "SUCCESS_NOCHANGE")]
    #[serde(rename = "SUCCESS_NOCHANGE")]
    SuccessNoChange,
    /// Progress; more is left, so the next job is due at once.
    SuccessPartial,
    /// It failed, and nothing better is known.
    Failure,
    /// Our own side failed; not the import's fault.
    InternalFailure,
    /// There is nothing importable at that address.
    FailureInvalid,
    /// The source uses what cannot be represented.
    FailureUnsupportedFeature,
    /// The URL policy refuses the address.
    FailureForbidden,
    /// The remote answers, brokenly.
    FailureRemoteBroken,
    /// The machine went silent. Written by the coordinator only.
    Reclaimed,
    /// Somebody stopped the run. Written by the coordinator only.
    Killed,
}

impl Status {
    /// Whether the run succeeded; a success sets the failure count back.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::SuccessNoChange | Self::SuccessPartial)
    }

    /// Whether the whole source is imported now, so that the mirror is fresh (section 4).
    #[must_use]
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Success | Self::SuccessNoChange)
    }

    /// Whether the run failed through the import's own fault, and so counts as a failure (section 5).
    #[must_use]
    pub fn is_counted_failure(self) -> bool {
        !self.is_success() && !matches!(self, Self::InternalFailure | Self::Reclaimed | Self::Killed)
    }

    /// Whether our own infrastructure failed (section 5).
    #[must_use]
    pub fn is_infrastructure_failure(self) -> bool {
        matches!(self, Self::InternalFailure | Self::Reclaimed)
    }

    /// Whether trying again cannot help, so that the import is FAILING at once (section 5).
    #[must_use]
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::FailureForbidden | Self::FailureUnsupportedFeature)
    }

    /// Whether a worker may report it; the others are the coordinator's own words.
    #[must_use]
    pub fn is_reported_by_workers(self) -> bool {
        !matches!(self, Self::Reclaimed | Self::Killed)
    }

    /// The exit code by which a worker command says it (section 2), where it has one of its own.
    #[must_use]
    pub fn exit_code(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::Failure => Some(1),
            Self::SuccessNoChange => Some(2),
            Self::SuccessPartial => Some(3),
            Self::FailureInvalid => Some(4),
            Self::FailureUnsupportedFeature => Some(5),
            Self::FailureForbidden => Some(6),
            Self::FailureRemoteBroken => Some(7),
            Self::InternalFailure | Self::Reclaimed | Self::Killed => None,
        }
    }

    /// What the exit of a worker command means: a code of the table, else FAILURE, as for a signal (`None`).
    #[must_use]
    pub fn of_exit_code(code: Option<i32>) -> Self {
        let is = |status: &&Self| code.is_some() && status.exit_code().map(i32::from) == code;
        Self::VARIANTS.iter().find(is).copied().unwrap_or(Self::Failure)
    }
}

/// What a worker reports when a run ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// The last lines of its output; none keeps the tail of the last heartbeat.
    pub log_tail: Option<String>,
    /// Where the whole log can be read.
    pub log_url: Option<String>,
    /// Why, in one line, for people.
    pub reason: Option<String>,
    /// Revisions, bytes, refs changed: a JSON object, empty when nothing was said.
    pub stats: serde_json::Map<String, serde_json::Value>,
}

impl Report {
    /// A report that says no more than how the run ended.
    #[must_use]
    pub fn of(status: Status) -> Self {
        Self { status, log_tail: None, log_url: None, reason: None, stats: serde_json::Map::new() }
    }
}

/// A result that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewResult {
    /// Drawn from the sequence before the rules are asked.
    pub id: ResultId,
    /// The import that was updated.
    pub import_id: ImportId,
    /// The job that ended with it.
    pub job_id: JobId,
    /// The run that ended with it.
    pub run: RunId,
    /// Where it ran.
    pub machine: Hostname,
    /// Who had asked for it, if anybody.
    pub requesting_user: Option<PersonName>,
    /// How it ended.
    pub status: Status,
    /// When the run began.
    pub date_job_started: Timestamp,
    /// When the run ended.
    pub date_created: Timestamp,
    /// The last log tail.
    pub log_excerpt: String,
    /// Where the whole log can be read.
    pub log_url: Option<String>,
    /// Why, in one line, for people.
    pub reason: Option<String>,
    /// Revisions, bytes, refs changed: a JSON object, empty when nothing was said.
    pub stats: serde_json::Map<String, serde_json::Value>,
}

impl NewResult {
    /// The result that `run` of `job` leaves; what a worker alone can tell is empty.
    #[must_use]
    pub fn of(id: ResultId, job: &Job, run: &Run, status: Status, now: Timestamp) -> Self {
        Self {
            id,
            import_id: job.import_id,
            job_id: job.id,
            run: run.id,
            machine: run.machine.clone(),
            requesting_user: job.requesting_user.clone(),
            status,
            date_job_started: run.date_started,
            // The clock may have stepped back, as at a failover: no run ends before it began.
            date_created: now.max(run.date_started),
            log_excerpt: run.log_tail.clone(),
            log_url: None,
            reason: None,
            stats: serde_json::Map::new(),
        }
    }

    /// How long the run took.
    #[must_use]
    pub fn duration(&self) -> chrono::TimeDelta {
        self.date_created - self.date_job_started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 2, the table of result statuses.
    #[test]
    fn an_exit_code_says_a_status() {
        #[track_caller]
        fn check(code: Option<i32>, status: Status) {
            assert_eq!(Status::of_exit_code(code), status);
        }
        check(Some(0), Status::Success);
        check(Some(1), Status::Failure);
        check(Some(2), Status::SuccessNoChange);
        check(Some(3), Status::SuccessPartial);
        check(Some(4), Status::FailureInvalid);
        check(Some(5), Status::FailureUnsupportedFeature);
        check(Some(6), Status::FailureForbidden);
        check(Some(7), Status::FailureRemoteBroken);
        check(Some(8), Status::Failure);
        check(Some(139), Status::Failure);
        check(Some(-1), Status::Failure);
        check(None, Status::Failure);
    }

    #[test]
    fn a_status_is_written_as_in_the_specification() {
        let names: Vec<String> = Status::VARIANTS.iter().map(ToString::to_string).collect();
        let written: Vec<String> = Status::VARIANTS
            .iter()
            .map(|status| serde_json::to_value(status).unwrap().as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, written);
        assert_eq!(
            names,
            [
                "SUCCESS",
                "SUCCESS_NOCHANGE",
                "SUCCESS_PARTIAL",
                "FAILURE",
                "INTERNAL_FAILURE",
                "FAILURE_INVALID",
                "FAILURE_UNSUPPORTED_FEATURE",
                "FAILURE_FORBIDDEN",
                "FAILURE_REMOTE_BROKEN",
                "RECLAIMED",
                "KILLED"
            ]
        );
        for status in Status::VARIANTS {
            assert_eq!(status.to_string().parse(), Ok(*status));
        }
    }
}
