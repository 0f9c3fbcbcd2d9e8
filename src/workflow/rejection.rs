//! Why nothing may be changed: one name each, in the words of the specification.

use crate::domain::job::JobStateName;
use crate::domain::machine::MachineStateName;
use crate::domain::source::BadSource;
use crate::domain::{Hostname, JobId, PersonName, ReviewStatus, RunId, UniqueName};

/// Why a command changes nothing. It is an answer, not a failure: the batch goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The job is gone, and no result of it is known.
    #[error("There is no job {0}.")]
    UnknownJob(JobId),
    /// Nobody goes by that name.
    #[error("There is no person {0}.")]
    UnknownPerson(PersonName),
    /// No import goes by that name.
    #[error("There is no code import {0}.")]
    UnknownImport(String),
    /// No machine of that name ever spoke.
    #[error("There is no machine {0}.")]
    UnknownMachine(Hostname),
    /// Another run, import or machine than the job's, or a run that was reclaimed or killed.
    #[error("The run {run} of {name} is not current.")]
    SupersededRun {
        /// The run that spoke.
        run: RunId,
        /// The import that it named.
        name: String,
    },
    /// A start came second.
    #[error("The CodeImportJob associated with {name} is RUNNING.")]
    AlreadyRunning {
        /// Its import.
        name: UniqueName,
    },
    /// A request for what runs already.
    #[error("This code import is already running.")]
    ImportIsRunning,
    /// The machine takes no work.
    #[error("The machine {machine} is {state}.")]
    MachineNotOnline {
        /// Which machine.
        machine: Hostname,
        /// What it is instead.
        state: MachineStateName,
    },
    /// What needs a run needs a RUNNING job.
    #[error("The CodeImportJob associated with {name} is {state}.")]
    NotRunning {
        /// Its import.
        name: UniqueName,
        /// What it is instead.
        state: JobStateName,
    },
    /// What needs a waiting job needs a PENDING one.
    #[error("The CodeImportJob associated with {name} is {state}.")]
    NotPending {
        /// Its import.
        name: UniqueName,
        /// What it is instead.
        state: JobStateName,
    },
    /// Only a PENDING job is deleted.
    #[error("The CodeImportJob associated to {name} is {state}.")]
    NotDeletable {
        /// Its import.
        name: UniqueName,
        /// What it is instead.
        state: JobStateName,
    },
    /// The job of a REVIEWED import is not deleted.
    #[error("The review status of {0} is REVIEWED.")]
    StillReviewed(UniqueName),
    /// There is no job to delete.
    #[error("Not associated to a CodeImportJob: {0}")]
    NoJob(UniqueName),
    /// There is no run to stop.
    #[error("Not associated to a CodeImportJob: {0}")]
    NoRun(UniqueName),
    /// An import has at most one job.
    #[error("Already associated to a CodeImportJob: {0}")]
    HasJob(UniqueName),
    /// A second request.
    #[error("The CodeImportJob associated with {name} was already requested by {by}.")]
    AlreadyRequested {
        /// Its import.
        name: UniqueName,
        /// Who asked first.
        by: PersonName,
    },
    /// A job is only made for a REVIEWED import.
    #[error("Review status of {name} is not REVIEWED: {status}")]
    NotReviewed {
        /// The import.
        name: UniqueName,
        /// What it is instead.
        status: ReviewStatus,
    },
    /// A request for an import that does not run.
    #[error("This code import is {0}, and must be Reviewed for you to call requestImport.")]
    NotRequestable(ReviewStatus),
    /// Only what is FAILING is tried again.
    #[error("review_status is {0} not FAILING")]
    NotFailing(ReviewStatus),
    /// The machine cannot go to that state from where it is.
    #[error("State of machine {machine} was {state}.")]
    WrongMachineState {
        /// Which machine.
        machine: Hostname,
        /// Where it is.
        state: MachineStateName,
    },
    /// A right is missing: which, and for what.
    #[error("{user} may not {act}: that needs {right}.")]
    NotAllowed {
        /// Who asked.
        user: PersonName,
        /// For what.
        act: String,
        /// What is missing.
        right: &'static str,
    },
    /// The source may not be imported.
    #[error(transparent)]
    BadSource(#[from] BadSource),
    /// A setting that no import can have.
    #[error("{0}")]
    BadValue(String),
    /// The name is taken.
    #[error("There is already a code import {0}.")]
    NameTaken(UniqueName),
    /// The source is taken.
    #[error("That source is already imported{}.", .by.as_ref().map_or(String::new(), |by| format!(" by {by}")))]
    SourceTaken {
        /// By which import, if the asker may see it.
        by: Option<UniqueName>,
    },
    /// No rejected message is the one that is meant, or it cannot be sent again.
    #[error("There is no rejected message {0}")]
    UnknownMessage(String),
    /// The dispatcher looked, and it is not so any more.
    #[error("The CodeImportJob associated with {0} is not due, or is dispatched already.")]
    NotDue(UniqueName),
    /// The message makes the database err by itself; it alone is rejected.
    #[error("{0}")]
    Failed(String),
    /// The reaper looked, and it is not so any more.
    #[error("{0} is not silent for longer than its timeout.")]
    NotSilent(String),
}

impl Rejection {
    /// The code that programs branch on (`messages.md`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownJob(_) => "unknown-job",
            Self::UnknownPerson(_) => "unknown-person",
            Self::UnknownImport(_) => "unknown-import",
            Self::UnknownMachine(_) => "unknown-machine",
            Self::UnknownMessage(_) => "unknown-message",
            Self::SupersededRun { .. } => "superseded-run",
            Self::AlreadyRunning { .. } | Self::ImportIsRunning => "already-running",
            Self::MachineNotOnline { .. } => "machine-not-online",
            Self::NotRunning { .. } | Self::NoRun(_) => "not-running",
            Self::NotPending { .. } | Self::NotDeletable { .. } | Self::StillReviewed(_) | Self::NoJob(_) => {
                "not-pending"
            }
            Self::AlreadyRequested { .. } => "already-requested",
            Self::NotReviewed { .. } | Self::NotRequestable(_) => "not-reviewed",
            Self::NotFailing(_) => "not-failing",
            Self::WrongMachineState { .. } => "wrong-machine-state",
            Self::NotAllowed { .. } => "not-allowed",
            Self::BadSource(_) => "bad-source",
            Self::BadValue(_) => "malformed",
            Self::HasJob(_) | Self::NameTaken(_) | Self::SourceTaken { .. } => "conflict",
            Self::Failed(_) => "failed",
            Self::NotDue(_) => "not-due",
            Self::NotSilent(_) => "not-silent",
        }
    }
}
