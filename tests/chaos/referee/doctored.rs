//! Every check can fail: a history in which all went well, and what each check says when one thing in it is changed.

use chrono::DateTime;
use uuid::Uuid;

use super::{CHECKS, Harm, judge};
use crate::evidence::{EventRow, Evidence, Moved, ResultRow, Running};
use crate::history::{Answer, At, Facts, Heard, Injected, Recovery, Rejected, RunStory, Sent, Span};
use crate::settings::DECLARED;

const RUN: Uuid = Uuid::from_u128(1);
const LATER_RUN: Uuid = Uuid::from_u128(2);
const REFUSED_RUN: Uuid = Uuid::from_u128(3);
const REAL_RUN: Uuid = Uuid::from_u128(4);
const LIBRARY_RUN: Uuid = Uuid::from_u128(10);
const EPOCH: Uuid = Uuid::from_u128(9);
const IMPORT: i64 = 7;
const REAL_IMPORT: i64 = 9;
const LIBRARY_IMPORT: i64 = 11;

fn at(second: i64) -> At {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn span(from: i64, until: i64) -> Span {
    Span { from: at(from), until: at(until) }
}

fn answered(second: i64, outcome: &str) -> Answer {
    Answer { at: at(second), outcome: outcome.to_owned() }
}

fn story(job: i64, answer: &str) -> RunStory {
    RunStory {
        machine: "simulated-0".to_owned(),
        job,
        import: IMPORT,
        finish_confirmed: Some(at(job * 10 + 5)),
        status: "SUCCESS".to_owned(),
        finish_answer: Some(answered(job * 10 + 7, answer)),
        silent: None,
        is_forgotten: false,
    }
}

fn result(job: i64, run: Uuid) -> ResultRow {
    ResultRow {
        import: IMPORT,
        job,
        run,
        machine: "simulated-0".to_owned(),
        status: "SUCCESS".to_owned(),
        started: at(job * 10),
        ended: at(job * 10 + 6),
    }
}

fn event(id: i64, kind: &str) -> EventRow {
    EventRow { id, epoch: EPOCH, kind: kind.to_owned(), import: Some(IMPORT), date: at(id * 10) }
}

fn sent(queue: &'static str, is_asking: bool) -> Sent {
    Sent { what: "a message".to_owned(), queue, confirmed: at(15), is_asking, run: None }
}

fn rejected(message_id: &str, run: Option<Uuid>) -> Rejected {
    Rejected { message_id: Some(message_id.to_owned()), reason: Some("malformed".to_owned()), run }
}

/// Runs that were reported by each kind of worker, one that was refused, a fault, commands, poison, events that were heard, refs that moved.
fn good() -> (Facts, Evidence) {
    let mut facts = Facts::default();
    facts.runs.insert(RUN, story(1, "accepted"));
    facts.runs.insert(LATER_RUN, story(2, "accepted"));
    facts.runs.insert(REFUSED_RUN, story(3, "superseded-run"));
    facts.commands.insert("applied".to_owned(), sent("commands", false));
    facts.commands.insert("refused".to_owned(), sent("commands", false));
    facts.commands.insert("asked".to_owned(), sent("commands", true));
    facts.poison.insert("poison".to_owned(), sent("finish", false));
    facts.rejected =
        vec![rejected("refused", None), rejected("poison", None), rejected("late", Some(REFUSED_RUN))];
    let real = ("real-0".to_owned(), REAL_IMPORT);
    facts.runs.insert(REAL_RUN, RunStory { machine: real.0.clone(), import: real.1, ..story(4, "accepted") });
    let ours = ("library-0".to_owned(), LIBRARY_IMPORT);
    facts
        .runs
        .insert(LIBRARY_RUN, RunStory { machine: ours.0.clone(), import: ours.1, ..story(5, "accepted") });
    let (kind, what) = ("RabbitMQ killed", String::new());
    facts.injected.push(Injected { kind, what, span: span(1, 2), came_about: true });
    facts.looks = 1;
    facts.heard = (1..=7).map(|id| Heard { id, epoch: EPOCH, at: at(id * 10 + 1) }).collect();
    let moved = |job, is_claim, begun| {
        let repository = "one.git".to_owned();
        Moved { repository, job, is_claim, begun, ended: begun + 10 }
    };
    let mut evidence = Evidence {
        results: vec![
            result(1, RUN),
            result(2, LATER_RUN),
            ResultRow { machine: real.0, import: real.1, ..result(4, REAL_RUN) },
            ResultRow { machine: ours.0, import: ours.1, ..result(5, LIBRARY_RUN) },
        ],
        events: vec![
            event(1, "START"),
            event(2, "FINISH"),
            event(3, "START"),
            event(4, "FINISH"),
            EventRow { import: Some(REAL_IMPORT), ..event(5, "START") },
            EventRow { import: Some(REAL_IMPORT), ..event(6, "FINISH") },
            EventRow { import: Some(LIBRARY_IMPORT), ..event(7, "FINISH") },
        ],
        next_event: 8,
        moved: vec![moved(1, true, 0), moved(1, false, 20), moved(2, true, 40), moved(2, false, 60)],
        ..Evidence::default()
    };
    evidence.applied_commands.insert("applied".to_owned());
    evidence.queues.extend(DECLARED.map(|queue| (queue.to_owned(), 0)));
    evidence.queues.extend([("work.hg".to_owned(), 10)]);
    evidence.memory.extend([("coordinator-1".to_owned(), 50), ("RabbitMQ".to_owned(), 150)]);
    evidence.connections.insert("PostgreSQL".to_owned(), 20);
    (facts, evidence)
}

/// One thing is changed, and one check must say so, and no other.
#[track_caller]
fn check(check: &str, harm: Harm, doctor: impl FnOnce(&mut Facts, &mut Evidence)) {
    assert!(CHECKS.iter().any(|(name, _)| *name == check), "there is no check {check:?}");
    let (mut facts, mut evidence) = good();
    doctor(&mut facts, &mut evidence);
    let found = judge(&facts, &evidence);
    assert!(!found.is_empty(), "nobody saw it");
    assert!(found.iter().all(|violation| violation.check == check && violation.harm == harm), "{found:?}");
}

/// One thing is changed, and all is well all the same.
#[track_caller]
fn excused(doctor: impl FnOnce(&mut Facts, &mut Evidence)) {
    let (mut facts, mut evidence) = good();
    doctor(&mut facts, &mut evidence);
    assert_eq!(judge(&facts, &evidence), []);
}

#[test]
fn a_good_history_is_found_good() {
    excused(|_, _| {});
}

#[test]
fn a_harness_that_saw_nothing_does_not_find_all_well() {
    let name = "the harness saw what it judges";
    check(name, Harm::Wrong, |facts, _| facts.looks = 0);
    check(name, Harm::Wrong, |facts, _| drop(facts.runs.remove(&REAL_RUN)));
    check(name, Harm::Wrong, |facts, _| drop(facts.runs.remove(&LIBRARY_RUN)));
    check(name, Harm::Wrong, |facts, _| facts.injected[0].came_about = false);
    check(name, Harm::Wrong, |_, evidence| evidence.moved.clear());
    check(name, Harm::Wrong, |_, evidence| {
        evidence.queues.remove("finish");
    });
}

#[test]
fn a_real_workers_answered_finish_without_a_result_is_lost() {
    check("an answered finish is in the results, once", Harm::Lost, |facts, evidence| {
        evidence.results.retain(|result| result.run != REAL_RUN);
        evidence.events[5].kind = "MODIFY".to_owned();
        facts.rejected.push(rejected("x", Some(REAL_RUN)));
    });
}

#[test]
fn a_broken_invariant_is_seen_during_and_after() {
    let name = "section 3 holds, during and after";
    check(name, Harm::Wrong, |facts, _| facts.broken.extend(["no job".to_owned()]));
    check(name, Harm::Wrong, |_, evidence| evidence.broken.push("no job".to_owned()));
}

#[test]
fn an_answered_finish_without_a_result_is_lost() {
    let name = "an answered finish is in the results, once";
    // That it was also confirmed is another check's: here the copy was kept.
    let without = |facts: &mut Facts, evidence: &mut Evidence| {
        evidence.results.retain(|result| result.run != LATER_RUN);
        evidence.events[3].kind = "MODIFY".to_owned();
        facts.rejected.push(rejected("x", Some(LATER_RUN)));
    };
    check(name, Harm::Lost, without);
    excused(|facts, evidence| {
        without(facts, evidence);
        evidence.events[2].kind = "DELETE".to_owned();
    });
}

#[test]
fn an_answered_finish_with_another_status_is_lost() {
    check("an answered finish is in the results, once", Harm::Lost, |facts, evidence| {
        evidence.results[0].status = "RECLAIMED".to_owned();
        evidence.events[1].kind = "RECLAIM".to_owned();
        facts.rejected.push(rejected("x", Some(RUN)));
        facts.disturbed.push(("simulated-0".to_owned(), span(0, 30)));
    });
}

#[test]
fn a_confirmed_finish_that_is_nowhere_is_lost() {
    let name = "a confirmed finish is in the results, or rejected with a reason";
    let nowhere = |facts: &mut Facts| facts.rejected.retain(|rejected| rejected.run.is_none());
    check(name, Harm::Lost, |facts, _| nowhere(facts));
    // Its worker lives and repeats it, so a purge is no excuse.
    check(name, Harm::Lost, |facts, _| {
        nowhere(facts);
        facts.destroyed.push(("finish", at(36)));
    });
    excused(|facts, _| {
        nowhere(facts);
        facts.destroyed.push(("finish", at(36)));
        facts.runs.get_mut(&REFUSED_RUN).unwrap().is_forgotten = true;
    });
    // Silence alone is none: it says it again one day.
    check(name, Harm::Lost, |facts, _| {
        nowhere(facts);
        facts.destroyed.push(("finish", at(36)));
        facts.runs.get_mut(&REFUSED_RUN).unwrap().silent = Some(at(37));
    });
    // Its copy went with the rejected queue, if it was refused at all.
    excused(|facts, _| {
        nowhere(facts);
        facts.destroyed.push(("rejected", at(36)));
    });
    check(name, Harm::Lost, |facts, _| {
        nowhere(facts);
        facts.destroyed.push(("rejected", at(36)));
        facts.runs.get_mut(&REFUSED_RUN).unwrap().finish_answer = None;
    });
}

#[test]
fn a_rejected_finish_without_a_reason_is_lost() {
    let name = "a confirmed finish is in the results, or rejected with a reason";
    check(name, Harm::Lost, |facts, _| facts.rejected[2].reason = None);
}

#[test]
fn a_confirmed_command_that_is_nowhere_is_lost() {
    let name = "a confirmed command is applied, or rejected with a reason";
    check(name, Harm::Lost, |facts, _| drop(facts.rejected.remove(0)));
    check(name, Harm::Lost, |_, evidence| evidence.applied_commands.clear());
    excused(|facts, evidence| {
        evidence.applied_commands.clear();
        facts.destroyed.push(("commands", at(16)));
    });
}

#[test]
fn poison_that_is_nowhere_is_lost() {
    let name = "what cannot be applied is rejected with a reason";
    check(name, Harm::Lost, |facts, _| drop(facts.rejected.remove(1)));
    // A queue that was deleted long before or after is no excuse, nor is another one.
    for destroyed in [("finish", at(2)), ("finish", at(500)), ("start", at(16))] {
        check(name, Harm::Lost, |facts, _| {
            facts.rejected.remove(1);
            facts.destroyed.push(destroyed);
        });
    }
}

#[test]
fn a_run_with_two_results_is_doubled() {
    // On another import and one after the other, so that nothing else is wrong.
    check("no run has two results", Harm::Doubled, |_, evidence| {
        for (job, run) in [(5, Uuid::from_u128(5)), (6, Uuid::from_u128(5))] {
            evidence.results.push(ResultRow { import: 8, ..result(job, run) });
        }
        evidence.events[0] = EventRow { import: Some(8), ..event(1, "FINISH") };
        evidence.events[2] = EventRow { import: Some(8), ..event(3, "FINISH") };
    });
}

#[test]
fn an_answered_finish_with_two_results_is_doubled() {
    let (mut facts, mut evidence) = good();
    evidence.results.push(ResultRow { started: at(100), ended: at(101), ..result(1, RUN) });
    facts.heard.push(Heard { id: 8, epoch: EPOCH, at: at(81) });
    evidence.events.push(event(8, "FINISH"));
    evidence.next_event = 9;
    let found: Vec<_> = judge(&facts, &evidence).into_iter().map(|it| (it.check, it.harm)).collect();
    let expected = ["an answered finish is in the results, once", "no run has two results"];
    assert_eq!(found, expected.map(|name| (name, Harm::Doubled)));
}

#[test]
fn runs_that_overlap_are_seen() {
    let name = "no two runs of one import overlap";
    check(name, Harm::Doubled, |_, evidence| evidence.results[1].started = at(15));
    check(name, Harm::Doubled, |_, evidence| {
        evidence.running.push(Running { import: IMPORT, run: Uuid::from_u128(4), started: at(25) });
    });
    excused(|_, evidence| {
        evidence.running.push(Running { import: IMPORT, run: Uuid::from_u128(4), started: at(26) });
    });
}

#[test]
fn a_result_without_an_event_is_seen_and_an_event_without_a_result_is_lost() {
    let name = "every result has its event";
    check(name, Harm::Wrong, |_, evidence| evidence.events[3].kind = "MODIFY".to_owned());
    check(name, Harm::Lost, |_, evidence| evidence.events[2].kind = "KILL".to_owned());
    // An event of another kind is none, and one too many.
    let (facts, mut evidence) = good();
    evidence.events[3].kind = "RECLAIM".to_owned();
    let found: Vec<_> = judge(&facts, &evidence).into_iter().map(|it| (it.check, it.harm)).collect();
    assert_eq!(found, [(name, Harm::Wrong), (name, Harm::Lost)]);
}

#[test]
fn a_gap_in_the_event_log_is_seen() {
    let name = "event ids have no gap";
    check(name, Harm::Lost, |_, evidence| drop(evidence.events.remove(2)));
    check(name, Harm::Lost, |_, evidence| evidence.next_event = 9);
    check(name, Harm::Wrong, |_, evidence| evidence.events[0].date = at(500));
}

#[test]
fn an_event_that_nobody_heard_is_lost() {
    let name = "every event is delivered";
    check(name, Harm::Lost, |facts, _| facts.heard.retain(|heard| heard.id != 3));
    check(name, Harm::Lost, |facts, _| facts.heard[2].epoch = Uuid::nil());
    // Another event than those that came while the binding was away.
    check(name, Harm::Lost, |facts, _| {
        facts.heard.remove(0);
        facts.unbound.push(span(35, 36));
    });
    excused(|facts, _| {
        facts.heard.remove(2);
        facts.unbound.push(span(25, 35));
    });
    // An older one comes again first, since it was not acknowledged.
    excused(|facts, _| {
        facts.heard[2] = Heard { at: at(36), ..facts.heard[0] };
        facts.unbound.push(span(25, 35));
    });
}

/// The run of job 2 is reclaimed after a minute, whatever its worker did.
fn reclaim(facts: &mut Facts, evidence: &mut Evidence) {
    let result = &mut evidence.results[1];
    (result.status, result.ended) = ("RECLAIMED".to_owned(), at(90));
    evidence.events[3].kind = "RECLAIM".to_owned();
    let story = facts.runs.get_mut(&LATER_RUN).unwrap();
    (story.finish_confirmed, story.finish_answer) = (None, None);
}

#[test]
fn a_healthy_run_that_is_reclaimed_is_seen() {
    let name = "no healthy job is reclaimed";
    check(name, Harm::Wrong, reclaim);
    // Neither another machine's trouble, nor an old one, nor a short one is an excuse.
    let others = [("real-", span(30, 90)), ("simulated-0", span(0, 10)), ("simulated-", span(60, 61))];
    for (machine, trouble) in others {
        check(name, Harm::Wrong, |facts, evidence| {
            reclaim(facts, evidence);
            facts.disturbed.push((machine.to_owned(), trouble));
        });
    }
    excused(|facts, evidence| {
        reclaim(facts, evidence);
        facts.disturbed.push(("simulated-".to_owned(), span(40, 60)));
    });
    excused(|facts, evidence| {
        reclaim(facts, evidence);
        facts.runs.get_mut(&LATER_RUN).unwrap().silent = Some(at(30));
    });
}

#[test]
fn a_healthy_run_that_is_refused_after_its_reclaim_is_seen() {
    let refuse = |facts: &mut Facts, evidence: &mut Evidence, second: i64| {
        reclaim(facts, evidence);
        let story = facts.runs.get_mut(&LATER_RUN).unwrap();
        story.finish_answer = Some(answered(second, "superseded-run"));
    };
    check("no healthy job is reclaimed", Harm::Wrong, |facts, evidence| refuse(facts, evidence, 91));
    // It was told before that its run does not count, and fell silent.
    excused(|facts, evidence| refuse(facts, evidence, 30));
}

#[test]
fn an_answer_is_kept_but_for_a_better_one() {
    let mut story = RunStory::default();
    for (second, outcome) in
        [(1, "superseded-run"), (2, "unknown-job"), (3, "accepted"), (4, "superseded-run")]
    {
        story.finish_was_answered(at(second), outcome);
        let kept = if second < 3 { answered(1, "superseded-run") } else { answered(3, "accepted") };
        assert_eq!(story.finish_answer, Some(kept));
    }
}

#[test]
fn a_healthy_real_run_that_is_reclaimed_is_seen() {
    check("no healthy job is reclaimed", Harm::Wrong, |facts, evidence| {
        reclaim(facts, evidence);
        facts.runs.remove(&LATER_RUN);
        "real-1".clone_into(&mut evidence.results[1].machine);
    });
}

#[test]
fn a_ref_that_an_older_run_moves_is_seen() {
    let name = "no run moves a ref after a later one has begun";
    let late = |job, repository: &str| Moved {
        repository: repository.to_owned(),
        job,
        is_claim: false,
        begun: 51,
        ended: 52,
    };
    check(name, Harm::Wrong, |_, evidence| evidence.moved.push(late(1, "one.git")));
    excused(|_, evidence| evidence.moved.push(late(1, "two.git")));
    excused(|_, evidence| evidence.moved.push(late(3, "one.git")));
}

#[test]
fn a_process_that_ends_by_itself_is_seen() {
    let name = "everybody is well, and ends only when it is ended";
    check(name, Harm::Wrong, |facts, _| facts.ended.push("coordinator-1: exit code 101".to_owned()));
}

#[test]
fn whoever_is_not_well_in_the_end_is_seen() {
    let name = "everybody is well, and ends only when it is ended";
    check(name, Harm::Wrong, |facts, _| facts.calm.unready.push("coordinator-1".to_owned()));
    check(name, Harm::Wrong, |facts, _| facts.calm.undrained.push("library-0".to_owned()));
}

#[test]
fn a_job_that_is_not_begun_and_a_run_that_does_not_end_are_seen() {
    let name = "every job that is due is started, and every run ends";
    check(name, Harm::Wrong, |facts, _| facts.calm.waiting.push("job 1".to_owned()));
    check(name, Harm::Wrong, |facts, _| facts.calm.running.push("job 1".to_owned()));
}

#[test]
fn work_that_does_not_go_on_soon_is_seen() {
    let recovery = |kind, seconds| Recovery { kind, since: at(10), seconds };
    let name = "work goes on soon";
    for late in [
        recovery("RabbitMQ killed", Some(10.1)),
        recovery("coordinator stopped", None),
        recovery("network cut", None),
    ] {
        check(name, Harm::Wrong, |facts, _| facts.recoveries.push(late));
    }
    excused(|facts, _| {
        facts.recoveries = vec![recovery("RabbitMQ killed", Some(9.9)), recovery("network cut", Some(20.0))];
    });
}

#[test]
fn events_that_cannot_be_taken_in_order_are_seen() {
    let name = "a subscriber can take the events in order";
    let heard =
        |ids: &[i64]| ids.iter().map(|id| Heard { id: *id, epoch: EPOCH, at: at(id * 10 + 1) }).collect();
    check(name, Harm::Lost, |facts, _| facts.heard = heard(&[1, 3, 2, 4, 5, 6, 7]));
    check(name, Harm::Lost, |facts, _| facts.heard = heard(&[1, 3, 4, 2, 5, 6, 7]));
    excused(|facts, _| facts.heard = heard(&[1, 3, 4, 2, 3, 4, 5, 6, 7]));
    excused(|facts, _| facts.heard = heard(&[1, 2, 1, 2, 3, 3, 4, 5, 6, 7, 1]));
}

#[test]
fn what_does_not_return_to_normal_is_seen() {
    let name = "queues, memory and connections return to normal";
    check(name, Harm::Wrong, |_, evidence| evidence.queues.extend([("start".to_owned(), 50)]));
    check(name, Harm::Wrong, |_, evidence| evidence.queues.extend([("work.hg".to_owned(), 500)]));
    check(name, Harm::Wrong, |_, evidence| evidence.memory.extend([("coordinator-1".to_owned(), 900)]));
    check(name, Harm::Wrong, |_, evidence| evidence.connections.extend([("RabbitMQ".to_owned(), 400)]));
}
