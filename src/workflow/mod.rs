//! The only way to change a job.
//!
//! Each rule is one function: the job as it is, what was said, and the time go in; a [`Transition`] (what
//! must be written) or a [`Rejection`] (why nothing may be) comes out. Rules do no I/O and read no clock.
//!
//! | job before | rule                        | job after | event     |
//! |------------|-----------------------------|-----------|-----------|
//! | none       | [`job::new`]                | pending   |           |
//! | pending    | [`job::delete_pending`]     | gone      |           |
//! | pending    | [`job::request`]            | pending   | `REQUEST` |
//! | pending    | [`job::dispatch`]           | pending   |           |
//! | pending    | [`job::start`]              | running   | `START`   |
//! | running    | [`job::heartbeat`]          | running   |           |
//! | running    | [`job::finish`]             | gone      | `FINISH`  |
//! | running    | [`job::reclaim`]            | gone      | `RECLAIM` |
//! | running    | [`job::kill`]               | gone      | `KILL`    |
//!
//! A job that ends leaves a result, and a next job as long as its import is REVIEWED.
//!
//! Commands are decided in batches: [`Needs`] says what must be locked and loaded, [`Batch`] folds the
//! commands over the [`Snapshot`] of that, and [`Changes`] are what must be written. One command is a batch
//! of one; there is no second path.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod batch;
mod changes;
pub mod command;
#[cfg(test)]
mod fixtures;
pub mod hearing;
mod history;
pub mod import;
pub mod job;
pub mod machine;
mod needs;
mod policy;
pub mod rejected;
mod rejection;
mod rights;
mod snapshot;

pub use batch::Batch;
pub use changes::{Changes, Difference};
pub use command::{Act, Ask, Command, KillTarget, Made, Outcome, Registration, Reply, Update};
pub use hearing::Hearing;
pub use needs::Needs;
pub use policy::Policy;
pub use rejection::Rejection;
pub use rights::{check_acts, check_handles_rejected, check_operates, may_see};
pub use snapshot::{Fresh, Past, Snapshot};

use crate::domain::{Import, ImportId, Job, JobId, Machine, NewEvent, NewResult, Timestamp};

/// What a rule says: this changes, or nothing may.
pub type Decision = Result<Transition, Rejection>;

/// When a rule is asked, and by which numbers.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The time of the transaction, read after the locks.
    pub now: Timestamp,
    /// The numbers.
    pub policy: &'a Policy,
    /// The ids that new rows get.
    pub fresh: Fresh,
}

/// What must be written, all or nothing.
#[derive(Debug, Default, PartialEq)]
pub struct Transition {
    /// The import as it is afterwards.
    pub import: Option<Import>,
    /// The import that goes, with its jobs and results.
    pub deleted_import: Option<ImportId>,
    /// What becomes of the job that this is about.
    pub job: Option<JobChange>,
    /// The import's next job.
    pub next_job: Option<Job>,
    /// What the job left behind.
    pub result: Option<NewResult>,
    /// The machine as it is afterwards.
    pub machine: Option<Machine>,
    /// What happened, in this order.
    pub events: Vec<NewEvent>,
}

/// What becomes of a job.
#[derive(Debug, PartialEq)]
pub enum JobChange {
    /// It is this afterwards.
    Set(Job),
    /// It is gone.
    Delete(JobId),
}
