//! The rows that rule tests begin with: one import, its job, its machine, its people.

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::{Fresh, Moment, Policy, Rejection, Transition};
use crate::domain::machine::MachineStateName;
use crate::domain::{
    Hostname, Import, ImportId, Job, JobId, JobState, LastResult, Machine, MachineState, NewEvent, Person,
    PersonName, RcsType, ResultId, ReviewStatus, Run, RunId, RunRef, Source, Status, Timestamp, UniqueName,
};

pub(super) const NAME: &str = "~vcs-imports/gnome-terminal/import";
pub(super) const IMPORT: ImportId = ImportId(7);
pub(super) const JOB: JobId = JobId(42);
pub(super) const RUN: RunId = RunId(Uuid::from_u128(0x42));
pub(super) const OTHER_RUN: RunId = RunId(Uuid::from_u128(0x43));
pub(super) const FRESH: Fresh = Fresh { job: JobId(1042), result: ResultId(1) };
pub(super) const ALL_STATUSES: [ReviewStatus; 5] = [
    ReviewStatus::New,
    ReviewStatus::Reviewed,
    ReviewStatus::Suspended,
    ReviewStatus::Invalid,
    ReviewStatus::Failing,
];
pub(super) const ALL_MACHINE_STATES: [MachineStateName; 3] =
    [MachineStateName::Online, MachineStateName::Quiescing, MachineStateName::Offline];

/// The time of the transaction.
pub(super) fn now() -> Timestamp {
    DateTime::from_timestamp(1_795_428_000, 123_456_000).unwrap()
}

pub(super) fn ago(delta: TimeDelta) -> Timestamp {
    now() - delta
}

pub(super) fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

pub(super) fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

pub(super) fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

/// A REVIEWED import from Git that never ran.
pub(super) fn import() -> Import {
    Import {
        id: IMPORT,
        unique_name: NAME.parse().unwrap(),
        registrant: person("no-priv"),
        owner: person("no-priv"),
        rcs_type: RcsType::Git,
        source: url("https://gitlab.gnome.org/GNOME/gnome-terminal.git"),
        review_status: ReviewStatus::Reviewed,
        update_interval: None,
        date_created: ago(hours(1000)),
        date_last_successful: None,
        date_source_changed: None,
        last_result: None,
        consecutive_failure_count: 0,
        consecutive_infrastructure_failure_count: 0,
    }
}

pub(super) fn import_in(review_status: ReviewStatus) -> Import {
    Import { review_status, ..import() }
}

pub(super) fn url(url: &str) -> Source {
    Source::Url(url.to_owned())
}

/// A result whose run began and ended so long ago.
pub(super) fn last_result(status: Status, began: TimeDelta, ended: TimeDelta) -> LastResult {
    let run = RunId(Uuid::from_u128(0x41));
    let (date_job_started, date_created) = (ago(began), ago(ended));
    LastResult { job_id: JobId(41), run, status, date_job_started, date_created }
}

/// The import's job, PENDING, due in an hour.
pub(super) fn pending_job() -> Job {
    Job {
        id: JOB,
        import_id: IMPORT,
        rcs_type: RcsType::Git,
        date_created: ago(hours(5)),
        date_due: now() + hours(1),
        date_dispatched: None,
        requesting_user: None,
        state: JobState::Pending,
    }
}

/// The import's job, RUNNING for an hour, heard of a minute ago.
pub(super) fn running_job() -> Job {
    Job { date_due: ago(hours(2)), state: JobState::Running(run()), ..pending_job() }
}

pub(super) fn run() -> Run {
    Run {
        id: RUN,
        machine: hostname("bazaar-importer"),
        date_started: ago(hours(1)),
        heartbeat: ago(minutes(1)),
        log_tail: "the last lines".to_owned(),
    }
}

/// What a word of the current run names.
pub(super) fn said() -> RunRef {
    RunRef { job: JOB, import: IMPORT, run: RUN }
}

pub(super) fn machine_in(state: MachineState) -> Machine {
    let (date_state, heartbeat) = (ago(hours(3)), Some(ago(seconds(5))));
    Machine { hostname: hostname("bazaar-importer"), state, date_state, heartbeat }
}

pub(super) fn hostname(name: &str) -> Hostname {
    name.parse().unwrap()
}

pub(super) fn person(name: &str) -> PersonName {
    name.parse().unwrap()
}

pub(super) fn member_of(name: &str, teams: &[&str]) -> Person {
    let teams = teams.iter().map(|team| person(team)).collect();
    Person { name: person(name), is_team: false, teams }
}

pub(super) fn name(name: &str) -> UniqueName {
    name.parse().unwrap()
}

pub(super) fn at(policy: &Policy) -> Moment<'_> {
    Moment { now: now(), policy, fresh: FRESH }
}

/// The text of a refusal.
pub(super) fn refusal<T: std::fmt::Debug>(decision: Result<T, Rejection>) -> String {
    decision.unwrap_err().to_string()
}

/// What happened, as the log would say it in one line each, without the data.
pub(super) fn summaries(events: &[NewEvent]) -> Vec<String> {
    let summary = |event: &NewEvent| {
        let import = event.import.as_ref().map(|import| import.unique_name.to_string());
        let person = event.person.as_ref().map(ToString::to_string);
        let machine = event.machine.as_ref().map(ToString::to_string);
        let words = [Some(event.kind.to_string()), import, person, machine];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    events.iter().map(summary).collect()
}

/// The job as a transition leaves it.
pub(super) fn job_after(transition: &Transition) -> &Job {
    match &transition.job {
        Some(super::JobChange::Set(job)) => job,
        other => panic!("expected a job, found {other:?}"),
    }
}
