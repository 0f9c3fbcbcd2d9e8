//! The importers of the reference worker: from a [`Run`] to a [`Report`].
//!
//! ```text
//! import ── git   talks to the remote by commands that `process` watches; publishes into the `target`
//!        └─ svn, hg, cvs, bzr   refused before any work is taken
//! ```

mod bzr;
mod cvs;
mod failure;
mod git;
mod hg;
mod lines;
mod process;
mod svn;
mod target;

#[cfg(any(test, fuzzing))]
pub(crate) use git::{git_errors, git_refs};

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use self::failure::{Failure, Step, Stopped};
use self::process::{GRACE, Supervisor};
pub use self::target::Target;
use super::{Run, StopReason};
use crate::domain::{RcsType, Report, SourcePolicy, Status};

/// Further than anybody waits, and near enough that no clock overflows.
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);

/// How this worker imports, whatever it imports.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory that holds all targets.
    pub targets: PathBuf,
    /// What may be imported. The address was checked when it was registered; what it leads to changes.
    pub policy: SourcePolicy,
    /// The program to run for Git.
    pub git: PathBuf,
    /// How long a tool may print nothing.
    pub inactivity_timeout: Duration,
    /// How long a run may take in all.
    pub run_limit: Duration,
    /// How much may be deleted at once.
    pub deletion_limit: DeletionLimit,
}

impl Settings {
    /// The usual settings.
    #[must_use]
    pub fn new(targets: PathBuf, policy: SourcePolicy) -> Self {
        Self {
            targets,
            policy,
            git: "git".into(),
            inactivity_timeout: Duration::from_hours(1),
            run_limit: Duration::from_hours(24),
            deletion_limit: DeletionLimit::default(),
        }
    }
}

/// How many refs one import may delete: the larger of the two. Beyond it, the remote is taken to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionLimit {
    /// So many are always allowed.
    pub refs: usize,
    /// So many of a hundred that are held are allowed.
    pub percent: usize,
}

impl Default for DeletionLimit {
    fn default() -> Self {
        Self { refs: 5, percent: 30 }
    }
}

impl DeletionLimit {
    /// Whether so many deletions of so many refs are few enough.
    #[must_use]
    pub fn allows(self, deleted: usize, held: usize) -> bool {
        deleted <= self.refs.max(held.saturating_mul(self.percent) / 100)
    }
}

/// An RCS that this build can not import. A worker must not take its work: a failure would be the import's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This build does not import {rcs}: {why}. It imports GIT.")]
pub struct Unsupported {
    rcs: RcsType,
    why: &'static str,
}

/// Whether this build imports `rcs`; to be asked before any work is taken.
pub fn supported(rcs: RcsType) -> Result<(), Unsupported> {
    let why = match rcs {
        RcsType::Git => return Ok(()),
        RcsType::Svn => svn::WHY_NOT,
        RcsType::Hg => hg::WHY_NOT,
        RcsType::Cvs => cvs::WHY_NOT,
        RcsType::Bzr => bzr::WHY_NOT,
    };
    Err(Unsupported { rcs, why })
}

/// What every step of a run needs.
struct Importer<'a> {
    run: &'a Run,
    settings: &'a Settings,
    supervisor: Supervisor,
}

/// What a run that did its work has to say.
#[derive(Debug)]
struct Imported {
    status: Status,
    reason: String,
    stats: serde_json::Map<String, serde_json::Value>,
}

/// Imports once: the function that [`Worker::run`](super::Worker::run) calls for each run.
///
/// Refs of the target change only while the lease is valid (duty 7), and no more once the run must stop. A run
/// that stopped has ended all that it had started when this returns. Dropping the future kills all that, too,
/// but leaves the reaping to the runtime.
pub async fn import(run: &Run, settings: &Settings) -> Report {
    let supervisor = Supervisor {
        log: run.log_tail.clone(),
        cancellation: run.stop.token().clone(),
        inactivity_timeout: settings.inactivity_timeout.min(NEVER),
        deadline: deadline(settings.run_limit),
        grace: GRACE,
    };
    let importer = Importer { run, settings, supervisor };
    match import_by_rcs(&importer).await {
        Ok(Imported { status, reason, stats }) => {
            let log_tail = Some(run.log_tail.text());
            Report { reason: Some(reason), log_tail, stats, ..Report::of(status) }
        }
        Err(stop) => failure_of(stop, run).report(&run.log_tail),
    }
}

fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit.min(NEVER)).unwrap_or(now)
}

async fn import_by_rcs(importer: &Importer<'_>) -> Step<Imported> {
    let rcs = importer.run.rcs_type;
    supported(rcs).map_err(|refusal| Failure::internal("unsupported", refusal.to_string()))?;
    match rcs {
        RcsType::Git => git::import(importer).await,
        rcs => unreachable!("{rcs} is supported, but by no importer"),
    }
}

/// How an end before the end is reported. Nobody hears it of a superseded run; of an interrupted one it says
/// that the job is to be tried again, elsewhere.
fn failure_of(stop: Stopped, run: &Run) -> Failure {
    match stop {
        Stopped::Failed(failure) => failure,
        Stopped::Superseded => Failure::internal("superseded", "a newer run has begun"),
        Stopped::Cancelled => match run.stop.reason() {
            Some(StopReason::Superseded) => {
                Failure::internal("superseded", "the run is not current any more")
            }
            Some(StopReason::Interrupted) | None => Failure::internal("interrupted", "the worker leaves"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_imported_is_supported() {
        assert_eq!(supported(RcsType::Git), Ok(()));
        let refusal = supported(RcsType::Svn).unwrap_err().to_string();
        assert!(refusal.starts_with("This build does not import SVN: "), "{refusal}");
        assert!(refusal.ends_with(" It imports GIT."), "{refusal}");
    }

    #[test]
    fn a_few_deletions_are_allowed_and_a_part_of_many() {
        #[track_caller]
        fn check(deleted: usize, held: usize, allowed: bool) {
            assert_eq!(DeletionLimit::default().allows(deleted, held), allowed);
        }
        check(0, 0, true);
        check(5, 5, true);
        check(6, 6, false);
        check(6, 20, true);
        check(30, 100, true);
        check(31, 100, false);
    }
}
