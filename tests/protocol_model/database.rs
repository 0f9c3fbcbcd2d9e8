//! The database: the workflow over rows in memory, with what of them makes a difference.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::TimeDelta;
use code_imports::domain::source::SourceInput;
use code_imports::domain::{
    Beat, EventKind, Hostname, Import, ImportId, Job, JobId, RcsType, Report, RunId, RunRef, Status,
    Timestamp,
};
use code_imports::workflow::{Act, Ask, Command, Hearing, KillTarget, Outcome, Registration};
use uuid::Uuid;

use crate::model::memory::Memory;

/// The one import.
pub(crate) const IMPORT: ImportId = ImportId(1);

/// An attempt: which worker, and its how many-th.
pub(crate) type Attempt = (usize, u8);

/// Rows, which many states share until one of them writes.
#[derive(Clone)]
pub(crate) struct Database {
    rows: Arc<Memory>,
    /// How many runs have begun and not ended; and whether there ever was another number than none or one.
    pub(crate) open: i8,
    pub(crate) has_overlapped: bool,
    key: String,
}

impl PartialEq for Database {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Database {}

impl Hash for Database {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl Database {
    /// One REVIEWED import, whose first job is due.
    pub(crate) fn new() -> Self {
        let rows = Memory::new();
        let mut database = Self { rows: Arc::new(rows), open: 0, has_overlapped: false, key: String::new() };
        let url = Some("https://a.org/b".to_owned());
        let act = Act::Register(Registration {
            unique_name: "~bob/project/import".parse().unwrap(),
            rcs_type: RcsType::Git,
            source: SourceInput { url, ..SourceInput::default() },
            owner: None,
            review_status: None,
            update_interval: None,
        });
        database.apply(&Command::Ask(Ask { user: "bob".parse().unwrap(), message_id: None, act }));
        assert!(database.job().is_some());
        database
    }

    /// Applies a command in a transaction of its own.
    pub(crate) fn apply(&mut self, command: &Command) -> Outcome {
        let rows = Arc::make_mut(&mut self.rows);
        let outcome = rows.apply(std::slice::from_ref(command)).remove(0);
        for (_, event) in rows.events.drain(..) {
            match event.kind {
                EventKind::Start => self.open += 1,
                EventKind::Finish | EventKind::Reclaim | EventKind::Kill => self.open -= 1,
                _ => {}
            }
            self.has_overlapped |= !(0..=1).contains(&self.open);
        }
        // Ids that nobody has seen are as if they had not been given out.
        let last_job = rows.seen.iter().map(|(job, _)| job.0).max().unwrap_or(0);
        rows.last_ids = [1, last_job, rows.results.len().try_into().unwrap()];
        self.note();
        outcome
    }

    /// Time passes; we hear ourselves all the while.
    pub(crate) fn pass(&mut self, time: TimeDelta) {
        let rows = Arc::make_mut(&mut self.rows);
        rows.now += time;
        rows.hearing = Some(Hearing { heard: rows.now, since: rows.now - TimeDelta::days(1) });
        self.note();
    }

    fn note(&mut self) {
        let rows = &self.rows;
        let results: Vec<_> = self.results().collect();
        let machines: Vec<_> = rows.machines.values().map(|machine| machine.state.name()).collect();
        self.key = format!(
            "{:?} {:?} {:?} {results:?} {machines:?} {} {}",
            rows.now, rows.imports, rows.jobs, self.open, self.has_overlapped
        );
    }

    pub(crate) fn import(&self) -> &Import {
        &self.rows.imports[&IMPORT]
    }

    pub(crate) fn job(&self) -> Option<&Job> {
        self.rows.job_of(IMPORT)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rows.now
    }

    /// Whether a job waits that may be handed out.
    pub(crate) fn has_due_job(&self) -> bool {
        self.job().is_some_and(|job| job.run().is_none() && job.is_overdue(self.now()))
    }

    /// Whether a job waits that may be handed out, and does not carry a mark; an old mark counts for none.
    pub(crate) fn has_unmarked_job(&self, do_marks_expire: bool) -> bool {
        let timeout = self.rows.policy.dispatch_timeout;
        let is_old = |date| do_marks_expire && self.now() - date > timeout;
        self.has_due_job() && self.job().is_some_and(|job| job.date_dispatched.is_none_or(is_old))
    }

    /// Whether a job runs of which nothing was heard for too long.
    pub(crate) fn has_silent_job(&self) -> bool {
        let timeout = self.rows.policy.heartbeat_timeout;
        let run = self.job().and_then(Job::run);
        run.is_some_and(|run| self.now() - run.heartbeat > timeout)
    }

    /// What jobs left behind: the job, the run, and how it ended.
    pub(crate) fn results(&self) -> impl Iterator<Item = (JobId, RunId, Status)> {
        self.rows.results.iter().map(|result| (result.job_id, result.run, result.status))
    }
}

/// What a worker names in every word.
pub(crate) fn said(job: JobId, (worker, attempt): Attempt) -> RunRef {
    let number = u128::try_from(worker).unwrap() * 256 + u128::from(attempt) + 1;
    RunRef { job, import: IMPORT, run: RunId(Uuid::from_u128(number)) }
}

fn machine(worker: usize) -> Hostname {
    format!("machine-{worker}").parse().unwrap()
}

pub(crate) fn start(job: JobId, attempt: Attempt) -> Command {
    Command::Start { run: said(job, attempt), machine: machine(attempt.0) }
}

pub(crate) fn heartbeat(job: JobId, attempt: Attempt) -> Command {
    let beats = vec![Beat { run: said(job, attempt), log_tail: String::new() }];
    Command::Heartbeat { machine: machine(attempt.0), is_idle: false, beats }
}

pub(crate) fn finish(job: JobId, attempt: Attempt) -> Command {
    Command::Finish {
        run: said(job, attempt),
        machine: machine(attempt.0),
        report: Report::of(Status::Success),
    }
}

/// The same finish, as if it were of the run that is current.
pub(crate) fn finish_of_current(database: &Database, job: JobId, attempt: Attempt) -> Command {
    let run = database.job().and_then(|job| Some((job.id, job.run()?.clone())));
    match run {
        Some((id, run)) => Command::Finish {
            run: RunRef { job: id, import: IMPORT, run: run.id },
            machine: run.machine,
            report: Report::of(Status::Success),
        },
        None => finish(job, attempt),
    }
}

pub(crate) fn kill(job: JobId) -> Command {
    let act = Act::Kill(KillTarget::Job(job));
    Command::Ask(Ask { user: "david.allouche".parse().unwrap(), message_id: None, act })
}
