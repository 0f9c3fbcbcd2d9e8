//! The nouns: what an import, a job, a machine, a result and an event are.
//!
//! Plain data and what follows from it alone. Nothing here knows a database, a
//! broker, a clock or a log.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod event;
pub mod finding;
pub mod import;
pub mod job;
pub mod machine;
pub mod name;
pub mod person;
pub mod rejected;
pub mod result;
pub mod source;

pub use event::{EventKind, NewEvent};
pub use import::{Import, LastResult, RcsType, ReviewStatus};
pub use job::{Beat, Job, JobState, Run, RunRef};
pub use machine::{Machine, MachineState, OfflineReason};
pub use name::{Hostname, PersonName, UniqueName};
pub use person::Person;
pub use rejected::RejectedRef;
pub use result::{NewResult, Report, Status};
pub use source::{BadSource, Source, SourceInput, SourcePolicy};

/// A moment in UTC, with microseconds (section 2).
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Makes an identifier type of a number that the database gives out.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Names an import.
    ImportId
);
id!(
    /// Names one intended run of an import; never reused, so it fences off every other run.
    JobId
);
id!(
    /// Names a result.
    ResultId
);

/// The token of one attempt at a job, made by the worker that makes the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RunId(pub uuid::Uuid);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
