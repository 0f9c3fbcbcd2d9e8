//! What each word of a batch sees of those before it.

use super::*;
use crate::domain::RcsType;
use crate::domain::machine::MachineStateName;
use crate::domain::source::SourceInput;
use crate::workflow::{Act, Ask, KillTarget, Registration, Update};

fn ask(act: Act) -> Command {
    Command::Ask(Ask { user: person("david.allouche"), message_id: None, act })
}

fn registration(unique_name: &str, url: &str) -> Act {
    Act::Register(Registration {
        unique_name: name(unique_name),
        rcs_type: RcsType::Git,
        source: SourceInput { url: Some(url.to_owned()), ..SourceInput::default() },
        owner: None,
        review_status: None,
        update_interval: None,
    })
}

fn set_status(status: ReviewStatus) -> Command {
    let update = Update { review_status: Some(status), ..Update::default() };
    ask(Act::Update { import: name(NAME), update })
}

#[test]
fn ten_heartbeats_of_one_job_are_one_row() {
    let beats: Vec<_> = (0..10).map(|n| beat_with(said(), "bazaar-importer", &format!("line {n}"))).collect();
    let (outcomes, changes) = decide(rows(import(), Some(running_job())), &beats);
    assert!(outcomes.iter().all(|outcome| stop(outcome).is_empty()));
    assert_eq!(changes.beats.len(), 1);
    assert_eq!(changes.beats[0].run().unwrap().log_tail, "line 9");
    assert!(changes.events.is_empty());
}

#[test]
fn of_two_finishes_of_one_run_the_first_counts_and_the_second_is_a_repeat() {
    let words = [
        finish(said(), "bazaar-importer", Status::Success),
        finish(said(), "bazaar-importer", Status::Failure),
        start(said(), "bazaar-importer"),
        beat(said(), "bazaar-importer"),
    ];
    let (outcomes, changes) = decide(rows(import(), Some(running_job())), &words);
    assert!(is_applied(&outcomes[0]) && is_repeated(&outcomes[1]) && is_repeated(&outcomes[2]));
    assert_eq!(stop(&outcomes[3]), [(JOB, RUN)]);
    assert_eq!(changes.results.len(), 1);
    assert_eq!(changes.results[0].status, Status::Success);
    assert_eq!(changes.jobs.inserted.len(), 1, "one next job");
    assert_eq!(changes.events.len(), 1);
}

#[test]
fn start_heartbeat_and_finish_in_one_batch_leave_only_result_and_next_job() {
    let words = [
        start(said(), "bazaar-importer"),
        beat_with(said(), "bazaar-importer", "last words"),
        finish(said(), "bazaar-importer", Status::Success),
    ];
    let (outcomes, changes) = decide(rows(import(), Some(pending_job())), &words);
    assert!(outcomes.iter().all(is_applied));
    assert!(changes.jobs.updated.is_empty());
    assert_eq!((changes.jobs.deleted.as_slice(), changes.jobs.inserted.len()), ([JOB].as_slice(), 1));
    assert_eq!(changes.results[0].log_excerpt, "last words");
    let expected = [format!("START {NAME} bazaar-importer"), format!("FINISH {NAME} bazaar-importer")];
    assert_eq!(summaries(&changes.events), expected);
}

#[test]
fn the_first_of_two_starts_wins() {
    let second = RunRef { run: OTHER_RUN, ..said() };
    let words = [start(said(), "bazaar-importer"), start(second, "bazaar-importer")];
    let (outcomes, changes) = decide(rows(import(), Some(pending_job())), &words);
    assert!(is_applied(&outcomes[0]));
    assert_eq!(refused(&outcomes[1]).0, "already-running");
    assert_eq!(changes.jobs.updated[0].run().unwrap().id, RUN);
}

#[test]
fn a_finish_then_suspended_in_one_batch_leaves_no_job() {
    let words = [finish(said(), "bazaar-importer", Status::Success), set_status(ReviewStatus::Suspended)];
    let (outcomes, changes) = decide(rows(import(), Some(running_job())), &words);
    assert!(outcomes.iter().all(is_applied));
    assert_eq!((changes.jobs.deleted.as_slice(), changes.jobs.inserted.len()), ([JOB].as_slice(), 0));
    assert_eq!(changes.imports.updated[0].review_status, ReviewStatus::Suspended);
    let expected = [format!("FINISH {NAME} bazaar-importer"), format!("MODIFY {NAME} david.allouche")];
    assert_eq!(summaries(&changes.events), expected);
}

#[test]
fn suspended_and_reviewed_while_running_makes_no_second_job() {
    let words = [set_status(ReviewStatus::Suspended), set_status(ReviewStatus::Reviewed)];
    let (outcomes, changes) = decide(rows(import(), Some(running_job())), &words);
    assert!(outcomes.iter().all(is_applied));
    assert!(changes.jobs.is_empty());
    let (_, changes) = decide(rows(import(), Some(pending_job())), &words);
    assert_eq!((changes.jobs.deleted.as_slice(), changes.jobs.inserted.len()), ([JOB].as_slice(), 1));
}

// covers: CI-18
#[test]
fn an_import_registered_and_deleted_in_one_batch_leaves_two_events() {
    let words = [
        ask(registration("~a/b/c", "https://a.org/b")),
        ask(Act::Delete { import: name("~a/b/c") }),
        ask(Act::Request { import: name("~a/b/c") }),
        ask(registration("~a/b/c", "https://a.org/b")),
    ];
    let (outcomes, changes) = decide(rows(import(), Some(pending_job())), &words[..3]);
    assert!(is_applied(&outcomes[0]) && is_applied(&outcomes[1]));
    assert_eq!(refused(&outcomes[2]), ("unknown-import", "There is no code import ~a/b/c.".to_owned()));
    assert!(changes.imports.is_empty() && changes.jobs.is_empty());
    let expected = ["CREATE ~a/b/c david.allouche", "DELETE ~a/b/c david.allouche"];
    assert_eq!(summaries(&changes.events), expected);

    let (outcomes, changes) = decide(rows(import(), Some(pending_job())), &words);
    assert!(is_applied(&outcomes[3]), "its name and its source are free again");
    assert_eq!((changes.imports.inserted.len(), changes.jobs.inserted.len()), (1, 1));
}

#[test]
fn results_of_an_import_that_is_deleted_in_the_same_batch_are_not_written() {
    let words = [
        finish(said(), "bazaar-importer", Status::Success),
        ask(Act::Delete { import: name(NAME) }),
        finish(said(), "bazaar-importer", Status::Success),
        start(said(), "bazaar-importer"),
    ];
    let (outcomes, changes) = decide(rows(import(), Some(running_job())), &words);
    assert!(changes.results.is_empty());
    assert_eq!((changes.imports.deleted, changes.jobs.deleted), (vec![IMPORT], vec![JOB]));
    // As if the words had come alone: results go with their import, so nobody knows the job.
    assert_eq!(refused(&outcomes[2]).0, "unknown-job");
    assert_eq!(refused(&outcomes[3]).0, "unknown-job");
}

#[test]
fn a_late_word_of_the_last_run_but_one_is_a_repeat_though_the_last_ended_in_the_same_batch() {
    let words = [
        finish(said(), "bazaar-importer", Status::Success),
        finish(late(), "bazaar-importer", Status::Success),
        start(late(), "bazaar-importer"),
    ];
    let (outcomes, changes) = decide(rows(after_last(Status::Failure), Some(running_job())), &words);
    assert!(is_repeated(&outcomes[1]) && is_repeated(&outcomes[2]), "{outcomes:?}");
    assert_eq!(changes.results.len(), 1);
    let (outcomes, _) = decide(rows(after_last(Status::Reclaimed), Some(running_job())), &words);
    assert_eq!(refused(&outcomes[1]).0, "superseded-run");
}

#[test]
fn after_a_kill_in_the_same_batch_the_run_is_superseded() {
    let words = [
        ask(Act::Kill(KillTarget::Job(JOB))),
        beat(said(), "bazaar-importer"),
        finish(said(), "bazaar-importer", Status::Success),
        start(said(), "bazaar-importer"),
        ask(Act::Kill(KillTarget::Import(name(NAME)))),
    ];
    let (outcomes, changes) = decide(rows(import(), Some(running_job())), &words);
    assert_eq!(stop(&outcomes[1]), [(JOB, RUN)]);
    assert_eq!(refused(&outcomes[2]).0, "superseded-run");
    assert_eq!(refused(&outcomes[3]).0, "superseded-run");
    // The import's job of this moment is the next one, which waits.
    assert_eq!(refused(&outcomes[4]).0, "not-running");
    assert_eq!(changes.results.len(), 1);
    assert_eq!(changes.results[0].status, Status::Killed);
}

#[test]
fn a_job_that_began_in_the_same_batch_keeps_its_machine_from_being_drained() {
    let mut rows = rows(import(), Some(pending_job()));
    rows.machines.insert(hostname("bazaar-importer"), machine_in(MachineState::Quiescing));
    let words = [
        beat(said(), "bazaar-importer"), // implies the start
        idle("bazaar-importer"),
        finish(said(), "bazaar-importer", Status::Success),
        idle("bazaar-importer"),
    ];
    let (outcomes, _) = decide(rows, &words);
    let state = |outcome: &Outcome| match outcome {
        Outcome::Applied(Reply::Heard { state, .. }) => *state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(&outcomes[1]), MachineStateName::Quiescing);
    assert_eq!(state(&outcomes[3]), MachineStateName::Offline);
}

#[test]
fn a_machine_is_known_once_it_spoke_and_its_first_words_are_one_online() {
    let mut rows = rows(import(), None);
    let new = Machine { heartbeat: None, ..machine_in(MachineState::Online) };
    rows.machines.insert(new.hostname.clone(), new);
    let quiesce = Act::SetMachine {
        machine: hostname("bazaar-importer"),
        state: MachineStateName::Quiescing,
        message: None,
    };
    let words = [ask(quiesce.clone()), idle("bazaar-importer"), idle("bazaar-importer"), ask(quiesce)];
    let (outcomes, changes) = decide(rows, &words);
    let unknown = ("unknown-machine", "There is no machine bazaar-importer.".to_owned());
    assert_eq!(refused(&outcomes[0]), unknown);
    assert!(is_applied(&outcomes[3]));
    let expected = ["ONLINE bazaar-importer", "QUIESCE david.allouche bazaar-importer"];
    assert_eq!(summaries(&changes.events), expected);
    assert_eq!(changes.machines.len(), 1);
}

#[test]
fn an_echo_is_heard_before_what_comes_after_it_is_judged() {
    let silent = Run { heartbeat: ago(seconds(400)), ..run() };
    let mut rows = rows(import(), Some(Job { state: JobState::Running(silent), ..running_job() }));
    rows.hearing = Some(Hearing { heard: ago(seconds(10)), since: ago(hours(9)) });
    let reclaim = Command::Reclaim { import: IMPORT, job: JOB };
    let words = [Command::Echo { sent: ago(seconds(50)) }, reclaim.clone()];
    let (outcomes, changes) = decide(rows.clone(), &words);
    // That echo stepped back by more than 30 s: there was a gap, and silence begins anew.
    assert_eq!(refused(&outcomes[1]).0, "not-silent");
    assert_eq!(changes.hearing, Some(Hearing { heard: ago(seconds(50)), since: ago(seconds(50)) }));
    let (outcomes, _) = decide(rows, &[Command::Echo { sent: now() }, reclaim]);
    assert!(is_applied(&outcomes[1]));
}
