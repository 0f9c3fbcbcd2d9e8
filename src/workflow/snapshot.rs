//! The rows that a batch may look at, as they were when they were locked and loaded.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Hearing, Made};
use crate::domain::{
    Hostname, Import, ImportId, Job, JobId, Machine, Person, PersonName, ResultId, RunId, Status, Timestamp,
    UniqueName,
};

/// The rows that a batch may look at. Everything that a rule asks is in here.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The database's clock, read once after the rows were locked.
    pub now: Timestamp,
    /// Imports; those that may be written are locked.
    pub imports: HashMap<ImportId, Import>,
    /// The imports of these names that exist.
    pub names: HashMap<UniqueName, ImportId>,
    /// The imports that are made from these sources (by [`crate::domain::Source::key`]).
    pub sources: HashMap<String, ImportId>,
    /// Jobs, locked.
    pub jobs: HashMap<JobId, Job>,
    /// Results of jobs that are gone.
    pub past: HashMap<JobId, Past>,
    /// Machines that speak, or are spoken of.
    pub machines: HashMap<Hostname, Machine>,
    /// Those of them that are locked, and so may be written.
    pub locked_machines: HashSet<Hostname>,
    /// The RUNNING jobs of those of them that say that they run nothing, and are to be drained.
    pub running: HashSet<(Hostname, JobId)>,
    /// People who act, or are named.
    pub people: HashMap<PersonName, Person>,
    /// What was answered to asks that came before.
    pub answered: HashMap<String, Made>,
    /// What we know of our own listening.
    pub hearing: Option<Hearing>,
    /// Ids for new imports.
    pub import_ids: VecDeque<ImportId>,
    /// Ids for new jobs and results.
    pub fresh: VecDeque<Fresh>,
}

impl Snapshot {
    /// An import that something here refers to, and which was loaded with it.
    pub(super) fn import(&self, id: ImportId) -> &Import {
        self.imports.get(&id).unwrap_or_else(|| unreachable!("what refers to an import is loaded with it"))
    }

    /// A job that something here refers to.
    pub(super) fn job(&self, id: JobId) -> &Job {
        self.jobs.get(&id).unwrap_or_else(|| unreachable!("no job goes while something refers to it"))
    }

    /// The newest date that a locked row holds of its own run or result. A clock that stepped back, or a standby's that
    /// was behind, must not make the results and events of an import run backwards.
    pub fn newest_date(&self) -> Option<Timestamp> {
        let runs = self.jobs.values().filter_map(Job::run).map(|run| run.heartbeat);
        let results =
            self.imports.values().filter_map(|import| Some(import.last_result.as_ref()?.date_created));
        runs.chain(results).max()
    }
}

/// The ids that a job's next job and its result get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// For the next job.
    pub job: JobId,
    /// For the result.
    pub result: ResultId,
}

/// What is remembered of a job that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its import.
    pub import: ImportId,
    /// The run that ended it.
    pub run: RunId,
    /// How it ended.
    pub status: Status,
}
