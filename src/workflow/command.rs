//! What can be wished for, and what is answered.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Rejection;
use crate::domain::machine::MachineStateName;
use crate::domain::source::SourceInput;
use crate::domain::{
    Beat, Hostname, Import, ImportId, Job, JobId, PersonName, RcsType, RejectedRef, Report, ReviewStatus,
    RunId, RunRef, Timestamp, UniqueName,
};

/// A wish to change something, whoever has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A worker wants to run a job.
    Start {
        /// What it names.
        run: RunRef,
        /// Where it would run.
        machine: Hostname,
    },
    /// A machine is alive, and says what it runs.
    Heartbeat {
        /// Who speaks.
        machine: Hostname,
        /// Whether it runs nothing at all.
        is_idle: bool,
        /// What it runs.
        beats: Vec<Beat>,
    },
    /// A worker says how a run ended.
    Finish {
        /// What it names.
        run: RunRef,
        /// Where it ran.
        machine: Hostname,
        /// How it ended.
        report: Report,
    },
    /// We heard ourselves.
    Echo {
        /// The database's time when it was sent.
        sent: Timestamp,
    },
    /// Makes the job of an import (section 4).
    NewJob {
        /// Which import.
        import: ImportId,
    },
    /// Deletes the pending job of an import (section 4).
    DeletePendingJob {
        /// Which import.
        import: ImportId,
    },
    /// Asks for a job to run as soon as possible (section 4).
    RequestJob {
        /// Which job.
        job: JobId,
        /// Who asks.
        user: PersonName,
    },
    /// The dispatcher hands a due job to its work queue.
    Dispatch {
        /// Which job.
        job: JobId,
    },
    /// The dispatcher's work message did not plainly arrive.
    Undispatch {
        /// Which job.
        job: JobId,
        /// The mark that it set; another one stays.
        date_dispatched: Timestamp,
    },
    /// The reaper believes that a job's machine went silent.
    Reclaim {
        /// The job's import, which is locked first.
        import: ImportId,
        /// Which job.
        job: JobId,
    },
    /// The reaper believes that a machine went silent.
    Watch {
        /// Which machine.
        machine: Hostname,
    },
    /// A person asks for something, and their rights are looked at.
    Ask(Ask),
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Who asks.
    pub user: PersonName,
    /// By which a repeat is known; without one it is never a repeat.
    pub message_id: Option<String>,
    /// What is to be done.
    pub act: Act,
}

/// What a person can have done (sections 6 and 7).
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Makes an import.
    Register(Registration),
    /// Makes an import; where one is there that is as it is described, nothing changes. So a catalogue can be
    /// loaded again.
    Load(Registration),
    /// Changes an import.
    Update {
        /// Which.
        import: UniqueName,
        /// What of it.
        update: Update,
    },
    /// Asks for an import to run as soon as possible.
    Request {
        /// Which.
        import: UniqueName,
    },
    /// Gives an import that is FAILING a fresh start.
    TryAgain {
        /// Which.
        import: UniqueName,
    },
    /// Stops a run.
    Kill(KillTarget),
    /// Deletes an import.
    Delete {
        /// Which.
        import: UniqueName,
    },
    /// Sets the state of a machine.
    SetMachine {
        /// Which.
        machine: Hostname,
        /// The state that it is to have.
        state: MachineStateName,
        /// Why, for people.
        message: Option<String>,
    },
    /// Notes that rejected messages were sent again.
    Replay(Vec<RejectedRef>),
    /// Notes that rejected messages are dropped.
    Drop(Vec<RejectedRef>),
}

/// Which run is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillTarget {
    /// That of this job.
    Job(JobId),
    /// The run of this moment of this import.
    Import(UniqueName),
}

/// What is needed to make an import; the registrant is who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The name that its target will have.
    pub unique_name: UniqueName,
    /// What its source speaks.
    pub rcs_type: RcsType,
    /// Where it comes from, as somebody typed it.
    pub source: SourceInput,
    /// Whose it is; the registrant's unless given.
    pub owner: Option<PersonName>,
    /// REVIEWED unless given.
    pub review_status: Option<ReviewStatus>,
    /// How long from one run's start to the next; none means the default for its RCS.
    pub update_interval: Option<TimeDelta>,
}

/// What is to be changed of an import; what is none stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Its review status.
    pub review_status: Option<ReviewStatus>,
    /// Where it comes from; of CVS, the part that is none stays.
    pub source: SourceInput,
    /// Whose it is.
    pub owner: Option<PersonName>,
    /// How long from one run's start to the next; `Some(None)` means the default for its RCS.
    pub update_interval: Option<Option<TimeDelta>>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was applied.
    Applied(Reply),
    /// It had been applied before; the answer is the same.
    Repeated(Reply),
    /// It changes nothing, and why.
    Rejected(Rejection),
}

/// What is answered to a command that was applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is done; there is nothing to say of it.
    Done,
    /// The import as it is now: this is what is imported.
    Started(Box<Import>),
    /// The machine's state, and the runs that are not current any more.
    Heard {
        /// Whether the machine may take work.
        state: MachineStateName,
        /// What it must stop.
        stop: Vec<(JobId, RunId)>,
    },
    /// What goes onto the work queue.
    Dispatched {
        /// The job, marked.
        job: Box<Job>,
        /// Its import.
        import: Box<Import>,
    },
    /// What an ask made.
    Made(Made),
}

/// What an ask made, as it is answered, and kept to be answered again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The id of the import that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<ImportId>,
    /// The job that it made or was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Who asked first for the job to run as soon as possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<PersonName>,
    /// Whether anything is different now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// How many rejected messages it dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<usize>,
}
