//! The protocol, checked by thought: every order in which things can happen, with every fault, up to a bound.
//!
//! [`jobs`] has two coordinators, two workers and one import between them; its database is the workflow itself
//! ([`Batch`](code_imports::workflow::Batch) over rows in memory), so what is checked is our code. [`relay`] has two
//! relays and the event log. They meet only in the log, to which the one appends and of which the other reads.
//!
//! | action              | what does it                                                          |
//! |---------------------|-----------------------------------------------------------------------|
//! | `Mark`              | `service::dispatcher` asks for `workflow::job::dispatch`, and commits |
//! | `Publish`, `Nack`   | `broker::publish`; `workflow::job::undispatch`                        |
//! | `Take`              | `broker::consume`: a delivery                                         |
//! | `Commit`            | `Store::apply` of `job::start`, `job::heartbeat` or `job::finish`     |
//! | `Settle`            | `broker::consume`: the answer, and the acknowledgement                |
//! | `Reclaim`           | `service::reaper`: `workflow::job::reclaim`                           |
//! | `Kill`              | a person: `workflow::job::kill`                                       |
//! | `Work`              | `worker::duties::starting`: takes work, sends its start               |
//! | `Hear`              | `worker::duties`: an answer                                           |
//! | `Beat`              | `worker::pulse`                                                       |
//! | `Report`, `Repeat`  | `worker::duties::ending`, `worker::kept`                              |
//! | `Tick`              | eleven minutes pass: longer than every timeout                        |
//! | `Lose`, `Double`    | the network, or a queue that was purged; messages have no order       |
//! | `Stop`, `Die`       | a coordinator, or a worker, is killed; what it held unacknowledged comes again |
//! | `Read`, `Send`, `Move` | `service::relay`: `events_after`, `publish`, `move_cursor`         |
//!
//! Every action uses something up (a message, a fault, time), so no story goes on for ever, and what must happen some
//! day is what holds where nothing is left to do. A fault that only time mends happens while time is left.
//!
//! Each property is also seen to fail: a [`jobs::Flaw`] breaks one guard, and the checker finds how it goes wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../model/mod.rs"]
mod model;

mod database;
mod jobs;
mod relay;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

use jobs::{Flaw, Jobs};
use relay::Relay;

/// Looks at every state, and says how many there were; what does not hold is told with the way there.
fn check<M>(model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Send + Sync + Debug + Clone + PartialEq,
    M::Action: Send + Sync + Debug + Clone + PartialEq,
{
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.is_done());
    checker.assert_properties();
}

/// How it goes wrong: the property that does not hold, and what led there.
fn discovery<M>(model: M, property: &'static str) -> Vec<String>
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Send + Sync + Debug + Clone + PartialEq,
    M::Action: Send + Sync + Debug + Clone + PartialEq,
{
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).threads(2).spawn_bfs().join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("{property} holds"));
    path.into_actions().iter().map(|action| format!("{action:?}")).collect()
}

const SOUND: Jobs = Jobs { faults: 1, ticks: 1, kills: 0, beats: 0, flaw: Flaw::None };

/// As many faults as somebody asks for, or one.
fn sound() -> Jobs {
    let faults = std::env::var("MODEL_FAULTS").ok().and_then(|faults| faults.parse().ok());
    Jobs { faults: faults.unwrap_or(SOUND.faults), ..SOUND }
}

#[test]
fn nothing_is_lost_or_done_twice_with_a_heartbeat() {
    check(Jobs { beats: 1, ..sound() });
}

#[test]
fn nothing_is_lost_or_done_twice_with_a_kill() {
    check(Jobs { kills: 1, ..sound() });
}

#[test]
fn nothing_is_lost_or_done_twice_in_a_longer_time() {
    check(Jobs { ticks: 2, ..sound() });
}

#[test]
fn nothing_is_lost_or_done_twice_with_another_fault() {
    check(Jobs { faults: sound().faults + 1, ..sound() });
}

#[test]
fn an_answer_before_the_commit_loses_a_result() {
    let story = discovery(Jobs { flaw: Flaw::AnswersFirst, ..SOUND }, "every accepted finish is a result");
    assert!(story.iter().any(|action| action.contains("Said(Finish")), "{story:?}");
}

#[test]
fn a_finish_that_is_not_asked_for_its_run_ends_anothers() {
    let story = discovery(Jobs { flaw: Flaw::AnyRunFinishes, ..SOUND }, "every accepted finish is a result");
    assert!(story.iter().any(|action| action.starts_with("Reclaim")), "{story:?}");
}

#[test]
fn a_mark_that_is_not_taken_back_and_never_expires_holds_its_job_for_ever() {
    let story = discovery(Jobs { flaw: Flaw::MarksStay, ..SOUND }, "no job that is due waits for ever");
    let is_dropped = |action: &String| ["Nack", "Lose", "Stop"].iter().any(|it| action.starts_with(it));
    assert!(story.iter().any(is_dropped), "{story:?}");
}

#[test]
fn a_mark_that_expires_for_the_dispatcher_and_not_for_the_rule_holds_its_job_for_ever() {
    let story = discovery(Jobs { flaw: Flaw::MarksAreRefused, ..SOUND }, "no job that is due waits for ever");
    assert!(story.iter().any(|action| action.starts_with("Mark")), "{story:?}");
}

#[test]
fn a_worker_that_does_not_repeat_waits_for_ever() {
    let story = discovery(Jobs { flaw: Flaw::NobodyRepeats, ..SOUND }, "no worker waits for ever");
    assert!(story.iter().any(|action| action.starts_with("Lose")), "{story:?}");
}

#[test]
fn every_event_is_published_and_the_cursor_never_stands_before_one_that_is_not() {
    check(Relay { events: 3, faults: 3, is_cursor_first: false });
}

#[test]
fn a_cursor_that_moves_before_the_confirms_loses_an_event() {
    let model = Relay { events: 3, faults: 1, is_cursor_first: true };
    let story = discovery(model, "the cursor stands behind what is published");
    assert!(story.iter().any(|action| action.starts_with("Move")), "{story:?}");
}
