//! A job: the one pending or running update of an import.

use strum::{Display, EnumString, VariantArray};

use super::{Hostname, ImportId, JobId, PersonName, RcsType, RunId, Timestamp};

/// The one pending or running update of an import. It is deleted when it ends; a result remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Never reused: it names one intended run.
    pub id: JobId,
    /// What is to be updated.
    pub import_id: ImportId,
    /// Its import's; it says which work queue the job goes to.
    pub rcs_type: RcsType,
    /// When the job was made.
    pub date_created: Timestamp,
    /// When it may be dispatched.
    pub date_due: Timestamp,
    /// When it was last handed to a work queue and not yet started.
    pub date_dispatched: Option<Timestamp>,
    /// Who asked for it to run as soon as possible.
    pub requesting_user: Option<PersonName>,
    /// Whether it waits or runs.
    pub state: JobState,
}

/// Whether a job waits or runs, with what exists only while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for `date_due` and for a machine.
    Pending,
    /// Held by a machine, which must keep the heartbeat fresh.
    Running(Run),
}

/// The part of a job that exists while a machine holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The token of the attempt.
    pub id: RunId,
    /// The machine that runs it.
    pub machine: Hostname,
    /// When the start was accepted.
    pub date_started: Timestamp,
    /// The last word from its machine about it.
    pub heartbeat: Timestamp,
    /// The last lines of its output.
    pub log_tail: String,
}

/// What every word of a worker names: all three, and its machine, must be those that are running (section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RunRef {
    /// The job.
    pub job: JobId,
    /// Its import.
    pub import: ImportId,
    /// The attempt.
    pub run: RunId,
}

/// What a heartbeat says of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The run.
    pub run: RunRef,
    /// The last lines of its output.
    pub log_tail: String,
}

/// A job's state by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantArray, serde::Serialize)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStateName {
    /// Waits.
    Pending,
    /// Runs.
    Running,
}

impl Job {
    /// Whether the job may be dispatched; equality is overdue (section 3).
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.date_due <= now
    }

    /// The name of its state.
    #[must_use]
    pub fn state_name(&self) -> JobStateName {
        match self.state {
            JobState::Pending => JobStateName::Pending,
            JobState::Running(_) => JobStateName::Running,
        }
    }

    /// The run, if it runs.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        match &self.state {
            JobState::Pending => None,
            JobState::Running(run) => Some(run),
        }
    }
}
