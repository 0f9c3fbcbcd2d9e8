//! Words one after another: repeats, late words, and what each word of a batch sees of those before it.

mod asks;
mod order;

use uuid::Uuid;

use super::*;
use crate::domain::{JobState, OfflineReason, ResultId, ReviewStatus, Run, RunId, Status};
use crate::workflow::fixtures::*;

/// One import with this job, its machine, and everybody; ids enough.
fn rows(import: Import, job: Option<Job>) -> Snapshot {
    let machine = machine_in(MachineState::Online);
    let gnome = Person { is_team: true, ..member_of("gnome", &[]) };
    let people = [
        member_of("no-priv", &[]),
        member_of("ann", &[]),
        member_of("david.allouche", &["vcs-imports"]),
        gnome,
    ];
    let fresh = |n: i64| Fresh { job: JobId(1042 + n), result: ResultId(1 + n) };
    Snapshot {
        now: now(),
        names: HashMap::from([(import.unique_name.clone(), import.id)]),
        sources: HashMap::from([(import.source.key(), import.id)]),
        imports: HashMap::from([(import.id, import)]),
        jobs: job.into_iter().map(|job| (job.id, job)).collect(),
        locked_machines: HashSet::from([machine.hostname.clone()]),
        machines: HashMap::from([(machine.hostname.clone(), machine)]),
        people: people.into_iter().map(|person| (person.name.clone(), person)).collect(),
        import_ids: (100..110).map(ImportId).collect(),
        fresh: (0..50).map(fresh).collect(),
        ..Snapshot::default()
    }
}

/// What became of these words, one after another, and what is to be written.
fn decide(rows: Snapshot, commands: &[Command]) -> (Vec<Outcome>, Changes) {
    let policy = Policy::default();
    let mut batch = Batch::new(rows, &policy);
    let outcomes = commands.iter().map(|command| batch.apply(command)).collect();
    (outcomes, batch.into_changes())
}

fn decide_one(rows: Snapshot, command: Command) -> (Outcome, Changes) {
    let (mut outcomes, changes) = decide(rows, &[command]);
    (outcomes.remove(0), changes)
}

fn start(run: RunRef, machine: &str) -> Command {
    Command::Start { run, machine: hostname(machine) }
}

fn beat(run: RunRef, machine: &str) -> Command {
    beat_with(run, machine, "tail")
}

fn beat_with(run: RunRef, machine: &str, log_tail: &str) -> Command {
    let beats = vec![Beat { run, log_tail: log_tail.to_owned() }];
    Command::Heartbeat { machine: hostname(machine), is_idle: false, beats }
}

fn idle(machine: &str) -> Command {
    Command::Heartbeat { machine: hostname(machine), is_idle: true, beats: Vec::new() }
}

fn finish(run: RunRef, machine: &str, status: Status) -> Command {
    Command::Finish { run, machine: hostname(machine), report: Report::of(status) }
}

/// The refusal, as its code and text.
fn refused(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Rejected(rejection) => (rejection.code(), rejection.to_string()),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn is_repeated(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Repeated(_))
}

fn is_applied(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied(_))
}

/// Whether nothing but machines would be written.
fn is_without_effect(changes: &Changes) -> bool {
    changes.imports.is_empty()
        && changes.jobs.is_empty()
        && changes.beats.is_empty()
        && changes.results.is_empty()
        && changes.events.is_empty()
}

fn stop(outcome: &Outcome) -> Vec<(JobId, RunId)> {
    match outcome {
        Outcome::Applied(Reply::Heard { stop, .. }) => stop.clone(),
        other => panic!("expected an answer to a heartbeat, found {other:?}"),
    }
}

/// The import once this job, which is gone, was its last.
fn after_last(status: Status) -> Import {
    let last = crate::domain::LastResult {
        job_id: JobId(41),
        run: RunId(Uuid::from_u128(0x41)),
        status,
        date_job_started: ago(hours(2)),
        date_created: ago(hours(1)),
    };
    Import { last_result: Some(last), ..import() }
}

/// What the last run says, late.
fn late() -> RunRef {
    RunRef { job: JobId(41), run: RunId(Uuid::from_u128(0x41)), import: IMPORT }
}

/// Section 4: "All four must be those that are RUNNING; any other is refused as superseded-run."
#[test]
fn a_word_of_another_run_import_or_machine_is_superseded() {
    #[track_caller]
    fn check(said: RunRef, machine: &str, name: &str) {
        let expected = ("superseded-run", format!("The run {} of {name} is not current.", said.run));
        let (outcome, changes) =
            decide_one(rows(import(), Some(running_job())), finish(said, machine, Status::Success));
        assert_eq!(refused(&outcome), expected);
        assert!(is_without_effect(&changes));
        let (outcome, changes) = decide_one(rows(import(), Some(running_job())), beat(said, machine));
        assert_eq!(stop(&outcome), [(said.job, said.run)]);
        assert!(is_without_effect(&changes));
    }

    check(RunRef { run: OTHER_RUN, ..said() }, "bazaar-importer", NAME);
    check(said(), "other", NAME);
    // The name is that of the import in the message; here there is none.
    check(RunRef { import: ImportId(8), ..said() }, "bazaar-importer", "import 8");
}

#[test]
fn the_refusal_names_the_import_in_the_message() {
    let mut rows = rows(import(), Some(running_job()));
    let other = Import { id: ImportId(8), unique_name: name("~a/b/c"), ..import() };
    rows.imports.insert(other.id, other);
    let said = RunRef { import: ImportId(8), ..said() };
    for command in [finish(said, "bazaar-importer", Status::Success), start(said, "bazaar-importer")] {
        let (outcome, _) = decide_one(rows.clone(), command);
        assert_eq!(refused(&outcome).1, format!("The run {RUN} of ~a/b/c is not current."));
    }
}

#[test]
fn of_a_pending_job_job_and_import_must_be_named() {
    let wrong = RunRef { import: ImportId(8), ..said() };
    for command in [start(wrong, "bazaar-importer"), finish(wrong, "bazaar-importer", Status::Success)] {
        let (outcome, changes) = decide_one(rows(import(), Some(pending_job())), command);
        assert_eq!(refused(&outcome).0, "superseded-run");
        assert!(is_without_effect(&changes));
    }
    let (outcome, changes) = decide_one(rows(import(), Some(pending_job())), beat(wrong, "bazaar-importer"));
    assert_eq!(stop(&outcome), [(JOB, RUN)]);
    assert!(is_without_effect(&changes));
}

#[test]
fn the_start_that_runs_is_a_repeat_and_answered_again() {
    for state in [MachineState::Online, MachineState::Offline(OfflineReason::Stopped)] {
        let mut rows = rows(import(), Some(running_job()));
        rows.machines.insert(hostname("bazaar-importer"), machine_in(state));
        let (outcome, changes) = decide_one(rows, start(said(), "bazaar-importer"));
        assert_eq!(outcome, Outcome::Repeated(Reply::Started(Box::new(import()))));
        assert!(is_without_effect(&changes));
    }
}

#[test]
fn a_start_of_a_running_job_is_refused_as_whom_it_came_from() {
    #[track_caller]
    fn check(said: RunRef, machine: &str, code: &str) {
        let mut rows = rows(import(), Some(running_job()));
        let other = Machine { hostname: hostname("other"), ..machine_in(MachineState::Online) };
        rows.machines.insert(hostname("other"), other);
        let (outcome, changes) = decide_one(rows, start(said, machine));
        assert_eq!(refused(&outcome).0, code);
        assert!(is_without_effect(&changes));
    }

    check(RunRef { run: OTHER_RUN, ..said() }, "bazaar-importer", "already-running");
    check(RunRef { run: OTHER_RUN, ..said() }, "other", "already-running");
    check(said(), "other", "superseded-run");
    check(RunRef { import: ImportId(8), ..said() }, "bazaar-importer", "superseded-run");
}

#[test]
fn a_job_that_nobody_knows_is_unknown() {
    for command in [start(said(), "bazaar-importer"), finish(said(), "bazaar-importer", Status::Success)] {
        let (outcome, changes) = decide_one(rows(import(), None), command);
        assert_eq!(refused(&outcome), ("unknown-job", "There is no job 42.".to_owned()));
        assert!(is_without_effect(&changes));
    }
    let (outcome, _) = decide_one(rows(import(), None), beat(said(), "bazaar-importer"));
    assert_eq!(stop(&outcome), [(JOB, RUN)]);
    for command in [
        Command::Reclaim { import: IMPORT, job: JOB },
        Command::Dispatch { job: JOB },
        Command::Undispatch { job: JOB, date_dispatched: now() },
        Command::RequestJob { job: JOB, user: person("ann") },
    ] {
        let (outcome, _) = decide_one(rows(import(), None), command);
        assert_eq!(refused(&outcome), ("unknown-job", "There is no job 42.".to_owned()));
    }
}

/// Section 4: "The same word again (… for a finish, a result that *the worker* reported) is a repeat."
#[test]
fn start_and_finish_of_a_run_that_its_worker_ended_are_repeats_and_after_reclaim_or_kill_superseded() {
    #[track_caller]
    fn check(status: Status, is_repeat: bool) {
        // The import remembers its last result; of an older one the store finds the past.
        let remembered = rows(after_last(status), Some(pending_job()));
        let mut older = rows(after_last(Status::Success), Some(pending_job()));
        let past = Past { import: IMPORT, run: RunId(Uuid::from_u128(0x31)), status };
        older.past.insert(JobId(31), past);
        let late_31 = RunRef { job: JobId(31), run: past.run, import: IMPORT };
        for (rows, said) in [(remembered, late()), (older, late_31)] {
            for command in [
                start(said, "bazaar-importer"),
                finish(said, "bazaar-importer", Status::Failure), // whatever it says this time
            ] {
                let (outcome, changes) = decide_one(rows.clone(), command);
                assert!(is_without_effect(&changes));
                if is_repeat {
                    assert!(is_repeated(&outcome), "{outcome:?}");
                } else {
                    let text = format!("The run {} of {NAME} is not current.", said.run);
                    assert_eq!(refused(&outcome), ("superseded-run", text));
                }
            }
            let (outcome, changes) = decide_one(rows, beat(said, "bazaar-importer"));
            assert_eq!(stop(&outcome), [(said.job, said.run)]);
            assert!(is_without_effect(&changes));
        }
    }

    check(Status::Success, true);
    check(Status::SuccessPartial, true);
    check(Status::Failure, true);
    check(Status::InternalFailure, true);
    check(Status::FailureForbidden, true);
    check(Status::Reclaimed, false);
    check(Status::Killed, false);
}

#[test]
fn a_late_word_of_another_run_or_import_of_an_ended_job_is_superseded() {
    let rows = rows(after_last(Status::Success), Some(pending_job()));
    for said in [RunRef { run: OTHER_RUN, ..late() }, RunRef { run: OTHER_RUN, ..late() }] {
        for command in [start(said, "bazaar-importer"), finish(said, "bazaar-importer", Status::Success)] {
            let (outcome, _) = decide_one(rows.clone(), command);
            assert_eq!(refused(&outcome).0, "superseded-run");
        }
    }
    let mut rows = rows;
    let past = Past { import: ImportId(8), run: RUN, status: Status::Success };
    rows.past.insert(JOB, past);
    rows.jobs.clear();
    let (outcome, _) = decide_one(rows, finish(said(), "bazaar-importer", Status::Success));
    assert_eq!(refused(&outcome).0, "superseded-run");
}

// covers: CIJ-80 CIJ-85
#[test]
fn heartbeat_and_finish_of_a_pending_job_first_start_it_whatever_the_machines_state() {
    let states = [
        MachineState::Online,
        MachineState::Quiescing,
        MachineState::Offline(OfflineReason::Stopped),
        MachineState::Offline(OfflineReason::Quiesced),
    ];
    for state in states {
        let mut rows = rows(import(), Some(pending_job()));
        rows.machines.insert(hostname("bazaar-importer"), machine_in(state));
        let (outcome, changes) = decide_one(rows.clone(), beat(said(), "bazaar-importer"));
        assert_eq!(stop(&outcome), []);
        assert_eq!(summaries(&changes.events), [format!("START {NAME} bazaar-importer")]);
        let run = changes.jobs.updated[0].run().unwrap();
        assert_eq!((run.date_started, run.heartbeat, run.log_tail.as_str()), (now(), now(), "tail"));

        let (outcome, changes) = decide_one(rows, finish(said(), "bazaar-importer", Status::Success));
        assert!(is_applied(&outcome));
        let expected = [format!("START {NAME} bazaar-importer"), format!("FINISH {NAME} bazaar-importer")];
        assert_eq!(summaries(&changes.events), expected);
        let result = &changes.results[0];
        assert_eq!((result.date_job_started, result.date_created, result.run), (now(), now(), RUN));
    }
}

#[test]
fn a_word_revives_its_machine_before_it_is_judged() {
    let mut rows = rows(import(), Some(pending_job()));
    let watchdog = machine_in(MachineState::Offline(OfflineReason::Watchdog));
    rows.machines.insert(hostname("bazaar-importer"), watchdog);
    let (outcome, changes) = decide_one(rows, start(said(), "bazaar-importer"));
    assert!(is_applied(&outcome));
    let expected = ["ONLINE bazaar-importer".to_owned(), format!("START {NAME} bazaar-importer")];
    assert_eq!(summaries(&changes.events), expected);
    assert_eq!(changes.machines[0].state, MachineState::Online);
}

#[test]
fn a_machine_revives_though_its_word_is_refused() {
    let mut rows = rows(import(), None);
    let watchdog = machine_in(MachineState::Offline(OfflineReason::Watchdog));
    rows.machines.insert(hostname("bazaar-importer"), watchdog);
    let (outcome, changes) = decide_one(rows, start(said(), "bazaar-importer"));
    assert_eq!(refused(&outcome).0, "unknown-job");
    assert_eq!(summaries(&changes.events), ["ONLINE bazaar-importer"]);
}

// covers: CIM-20
#[test]
fn a_machine_that_was_stopped_starts_nothing_and_does_not_come_back() {
    let mut rows = rows(import(), Some(pending_job()));
    let stopped = Machine {
        heartbeat: Some(ago(hours(1))),
        ..machine_in(MachineState::Offline(OfflineReason::Stopped))
    };
    rows.machines.insert(hostname("bazaar-importer"), stopped);
    let (outcome, changes) = decide_one(rows, start(said(), "bazaar-importer"));
    let expected = ("machine-not-online", "The machine bazaar-importer is OFFLINE.".to_owned());
    assert_eq!(refused(&outcome), expected);
    assert!(is_without_effect(&changes));
    assert_eq!(changes.machines[0].heartbeat, Some(now()), "its heartbeat moves all the same");
}

// covers: CIM-22
#[test]
fn a_quiescing_machine_is_drained_when_it_says_that_it_runs_nothing_and_has_nothing() {
    #[track_caller]
    fn check(job: Option<Job>, elsewhere: &[JobId], command: Command, is_drained: bool) {
        let mut rows = rows(import(), job);
        rows.machines.insert(hostname("bazaar-importer"), machine_in(MachineState::Quiescing));
        rows.running = elsewhere.iter().map(|id| (hostname("bazaar-importer"), *id)).collect();
        let (outcome, changes) = decide_one(rows, command);
        let Outcome::Applied(Reply::Heard { state, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(state.to_string(), if is_drained { "OFFLINE" } else { "QUIESCING" });
        let offline = summaries(&changes.events).contains(&"OFFLINE bazaar-importer".to_owned());
        assert_eq!(offline, is_drained);
    }

    check(None, &[], idle("bazaar-importer"), true);
    check(Some(pending_job()), &[], idle("bazaar-importer"), true);
    check(Some(running_job()), &[JOB], idle("bazaar-importer"), false);
    check(None, &[JobId(9)], idle("bazaar-importer"), false); // a job that is not in the batch
    check(None, &[], beat(said(), "bazaar-importer"), false); // it says that it runs something
}

#[test]
fn a_machine_of_which_nothing_is_to_be_noted_is_not_written() {
    let mut rows = rows(import(), Some(running_job()));
    rows.locked_machines.clear();
    let (outcome, changes) = decide_one(rows, beat(said(), "bazaar-importer"));
    assert_eq!(stop(&outcome), []);
    assert!(changes.machines.is_empty());
}

#[test]
fn the_review_status_does_not_stop_a_run_and_its_finish_leaves_no_next_job() {
    let suspended = import_in(ReviewStatus::Suspended);
    let words = [
        beat(said(), "bazaar-importer"),
        finish(said(), "bazaar-importer", Status::Success),
        finish(said(), "bazaar-importer", Status::Success),
    ];
    let (outcomes, changes) = decide(rows(suspended, Some(running_job())), &words);
    assert_eq!(stop(&outcomes[0]), []);
    assert!(is_applied(&outcomes[1]) && is_repeated(&outcomes[2]));
    assert_eq!((changes.jobs.deleted.as_slice(), changes.jobs.inserted.len()), ([JOB].as_slice(), 0));
}

#[test]
fn a_workers_run_is_what_its_start_said() {
    let (outcome, changes) =
        decide_one(rows(import(), Some(pending_job())), start(said(), "bazaar-importer"));
    assert_eq!(outcome, Outcome::Applied(Reply::Started(Box::new(import()))));
    let expected = Run { date_started: now(), heartbeat: now(), log_tail: String::new(), ..run() };
    assert_eq!(changes.jobs.updated[0].state, JobState::Running(expected));
    assert!(changes.imports.is_empty(), "a start changes no import");
}
