//! The duties by their words, each as a short story: what happens, and what is done about it.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::broker::AmqpUrls;
use crate::domain::{RcsType, Status};
use crate::worker::{Run, StopReason};

/// A worker with its broker and its importer, as far as they are needed.
struct World {
    duties: Duties,
    now: BootTime,
    /// What was published, the latest of each.
    published: HashMap<String, Outgoing>,
    runs: HashMap<JobId, Run>,
    tags: u64,
}

impl World {
    fn new(slots: usize) -> Self {
        let urls: AmqpUrls = "amqp://localhost/%2f".parse().unwrap();
        let settings = WorkerSettings::new(urls, "m".parse().unwrap(), &[RcsType::Git]);
        let duties = Duties::new(&WorkerSettings { slots, ..settings });
        let (published, runs) = (HashMap::new(), HashMap::new());
        Self { duties, now: BootTime::now(), published, runs, tags: 0 }
    }

    /// A worker that consumes.
    fn online(slots: usize) -> Self {
        let mut world = Self::new(slots);
        world.react(Event::Connected);
        assert_eq!(world.answer("heartbeat", &state("ONLINE")), ["consume"]);
        world
    }

    /// A worker that runs job 1, whose start was published at once.
    fn running(slots: usize) -> Self {
        let mut world = Self::online(slots);
        world.work(1);
        world.answer("start 1", &accepted());
        world
    }

    fn react(&mut self, event: Event) -> Vec<String> {
        let actions = self.duties.react(event, self.now);
        actions.into_iter().map(|action| self.note(action)).collect()
    }

    fn wait(&mut self, seconds: u64) -> Vec<String> {
        self.now = self.now + Duration::from_secs(seconds);
        self.react(Event::Ticked)
    }

    fn work(&mut self, job: i64) -> Vec<String> {
        self.tags += 1;
        let import = json!({"id": job, "unique_name": "~a/b/c", "rcs_type": "GIT", "url": "https://h.org/r"});
        let body = json!({"job": job, "import": import, "date_due": "2026-11-23T10:00:00Z",
            "heartbeat_interval_s": 30, "heartbeat_timeout_s": 300});
        let body = body.to_string().into_bytes();
        self.react(Event::Delivered(DeliveryTag(self.tags), Received { body, ..Received::default() }))
    }

    fn answer(&mut self, to: &str, body: &Value) -> Vec<String> {
        let id = self.published[to].correlation_id.clone();
        self.answer_to(id, body)
    }

    fn answer_to(&mut self, correlation_id: Option<String>, body: &Value) -> Vec<String> {
        let body = body.to_string().into_bytes();
        self.react(Event::Answered(Received { correlation_id, body, ..Received::default() }))
    }

    fn end(&mut self, job: i64, status: Status) -> Vec<String> {
        self.react(Event::Ended(JobId(job), Report::of(status)))
    }

    fn stop(&self, job: i64) -> Value {
        let run = self.runs[&JobId(job)].id;
        json!({"machine_state": "ONLINE", "stop": [{"job": job, "run": run}],
            "heartbeat_interval_s": 30, "heartbeat_timeout_s": 300})
    }

    fn lease(&self, job: i64) -> bool {
        self.runs[&JobId(job)].lease.is_valid_at(self.now)
    }

    fn note(&mut self, action: Action) -> String {
        let message = match action {
            Action::Begin(run) => {
                let word = format!("begin {}", run.job);
                self.runs.insert(run.job, *run);
                return word;
            }
            Action::Tell(Command::Consume) => return "consume".to_owned(),
            Action::Tell(Command::Cancel) => return "cancel".to_owned(),
            Action::Tell(Command::Acknowledge(DeliveryTag(tag))) => return format!("acknowledge {tag}"),
            Action::Tell(Command::GiveBack(DeliveryTag(tag))) => return format!("give back {tag}"),
            Action::Tell(Command::Publish(message)) => *message,
        };
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        let word = match message.kind {
            "heartbeat" => "heartbeat".to_owned(),
            "start" => format!("start {}", body["job"]),
            _ => format!("finish {} {}", body["job"], body["status"].as_str().unwrap()),
        };
        self.published.insert(word.clone(), message);
        word
    }

    /// The jobs that the latest heartbeat named.
    fn beats(&self) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&self.published["heartbeat"].body).unwrap();
        body["jobs"].as_array().unwrap().iter().map(|job| job["job"].clone()).collect()
    }
}

fn state(name: &str) -> Value {
    json!({"machine_state": name, "stop": [], "heartbeat_interval_s": 30, "heartbeat_timeout_s": 300})
}

fn accepted() -> Value {
    let import = json!({"id": 7, "unique_name": "~a/b/c", "rcs_type": "GIT", "url": "https://me:pw@h.org/r"});
    json!({"outcome": "accepted", "import": import})
}

fn refused(code: &str) -> Value {
    json!({"outcome": "refused", "code": code, "reason": "no"})
}

const NOTHING: [&str; 0] = [];

// Duty 1.

#[test]
fn it_sends_a_heartbeat_first_and_consumes_after_an_answer_that_says_online() {
    let mut world = World::new(1);
    assert_eq!(world.react(Event::Connected), ["heartbeat"]);
    assert_eq!(world.wait(29), NOTHING);
    assert_eq!(world.wait(1), ["heartbeat"]);
    assert_eq!(world.answer("heartbeat", &state("QUIESCING")), NOTHING);
    assert_eq!(world.wait(30), ["heartbeat"]);
    assert_eq!(world.answer("heartbeat", &state("ONLINE")), ["consume"]);
}

#[test]
fn a_machine_that_is_not_online_any_more_stops_consuming_and_goes_on_with_what_runs() {
    let mut world = World::running(2);
    assert_eq!(world.wait(30), ["heartbeat"]);
    assert_eq!(world.answer("heartbeat", &state("QUIESCING")), ["cancel"]);
    assert_eq!(world.runs[&JobId(1)].stop.reason(), None);
    assert_eq!(world.beats(), [1]);
    assert_eq!(world.end(1, Status::Success), ["finish 1 SUCCESS"]);
}

#[test]
fn an_older_answer_than_the_one_that_counts_says_nothing_of_the_machine() {
    let mut world = World::online(1);
    world.wait(30);
    let older = world.published["heartbeat"].correlation_id.clone();
    world.wait(30);
    assert_eq!(world.answer("heartbeat", &state("QUIESCING")), ["cancel"]);
    assert_eq!(world.answer_to(older, &state("ONLINE")), NOTHING);
}

// Duty 2.

#[test]
fn with_the_delivery_that_fills_its_last_slot_it_cancels_before_it_acknowledges() {
    let mut world = World::online(2);
    assert_eq!(world.work(1), ["start 1"]);
    assert_eq!(world.work(2), ["start 2", "cancel"]);
    assert_eq!(world.answer("start 2", &accepted()), ["acknowledge 2", "begin 2"]);
}

#[test]
fn what_arrives_beyond_the_slots_is_given_back_and_it_consumes_when_one_is_free() {
    let mut world = World::running(1);
    assert_eq!(world.work(2), ["give back 2"]);
    assert_eq!(world.end(1, Status::Success), ["finish 1 SUCCESS", "consume"]);
}

#[test]
fn malformed_work_is_dropped_and_takes_no_slot() {
    let mut world = World::online(1);
    let received = Received { body: b"{}".to_vec(), ..Received::default() };
    assert_eq!(world.react(Event::Delivered(DeliveryTag(9), received)), ["acknowledge 9"]);
    assert_eq!(world.work(1), ["start 1", "cancel"]);
}

// Duty 3.

#[test]
fn a_start_that_is_refused_is_acknowledged_and_forgotten() {
    for code in ["already-running", "superseded-run", "unknown-job", "failed", "malformed"] {
        let mut world = World::online(1);
        world.work(1);
        assert_eq!(world.answer("start 1", &refused(code)), ["acknowledge 1", "consume"]);
        assert_eq!(world.wait(30), ["heartbeat"]);
        assert_eq!(world.beats().len(), 0);
    }
}

#[test]
fn a_start_refused_because_of_the_machine_is_kept_and_published_again_before_it_consumes() {
    let mut world = World::online(3);
    world.work(1);
    world.work(2);
    let first = world.published["start 1"].clone();
    let refusal = refused("machine-not-online");
    assert_eq!(world.answer("start 1", &refusal), ["cancel", "give back 1", "give back 2"]);
    assert_eq!(world.answer("start 2", &refusal), NOTHING);
    assert_eq!(world.wait(30), ["heartbeat"]);
    assert_eq!(world.wait(3000), ["heartbeat"]);

    assert_eq!(world.answer("heartbeat", &state("ONLINE")), ["start 1", "start 2", "consume"]);
    let again = &world.published["start 1"];
    assert_eq!((&again.message_id, &again.body), (&first.message_id, &first.body));
    assert_eq!(world.answer("start 1", &accepted()), ["begin 1"]);
}

#[test]
fn a_heartbeat_sent_before_the_machine_was_said_to_be_offline_does_not_bring_it_back() {
    let mut world = World::online(2);
    world.wait(30);
    world.now = world.now + Duration::from_secs(1);
    world.work(1);
    assert_eq!(world.answer("start 1", &refused("machine-not-online")), ["cancel", "give back 1"]);
    assert_eq!(world.answer("heartbeat", &state("ONLINE")), NOTHING);
    assert_eq!(world.wait(29), ["heartbeat"]);
    assert_eq!(world.answer("heartbeat", &state("ONLINE")), ["start 1", "consume"]);
}

#[test]
fn an_accepted_start_without_a_source_is_an_internal_failure() {
    let mut world = World::online(1);
    world.work(1);
    let actions = world.answer("start 1", &json!({"outcome": "accepted"}));
    assert_eq!(actions, ["acknowledge 1", "finish 1 INTERNAL_FAILURE", "consume"]);
}

// Duty 4.

#[test]
fn a_start_and_a_finish_are_repeated_until_they_are_answered() {
    let mut world = World::online(1);
    world.work(1);
    let message_id = world.published["start 1"].message_id.clone();
    for seconds in [30, 60, 120, 240, 300, 300] {
        assert!(world.wait(seconds).contains(&"start 1".to_owned()));
        assert_eq!(world.published["start 1"].message_id, message_id);
    }
    world.answer("start 1", &accepted());
    assert_eq!(world.wait(600), ["heartbeat"]);

    world.end(1, Status::Failure);
    for seconds in [30, 60, 120] {
        assert!(world.wait(seconds).contains(&"finish 1 FAILURE".to_owned()));
    }
    assert_eq!(world.beats(), [1]);
    world.answer("finish 1 FAILURE", &refused("superseded-run"));
    assert_eq!(world.wait(600), ["heartbeat"]);
    assert_eq!(world.beats().len(), 0);
}

#[test]
fn what_is_not_answered_is_published_at_once_after_a_reconnect() {
    let mut world = World::running(2);
    world.work(2);
    assert_eq!(world.react(Event::Disconnected), NOTHING);
    assert_eq!(world.end(1, Status::Success), NOTHING);
    assert_eq!(world.wait(600), NOTHING);
    assert_eq!(world.react(Event::Connected), ["heartbeat", "finish 1 SUCCESS", "start 2"]);
    assert_eq!(world.wait(30), ["heartbeat", "finish 1 SUCCESS", "start 2"]);
}

#[test]
fn an_answer_that_nobody_waits_for_is_ignored() {
    let mut world = World::running(1);
    assert_eq!(world.answer("start 1", &accepted()), NOTHING);
    assert_eq!(world.answer("start 1", &refused("already-running")), NOTHING);
    for id in [None, Some("nonsense"), Some("0192aaaa-0000-7000-8000-000000000000")] {
        assert_eq!(world.answer_to(id.map(str::to_owned), &accepted()), NOTHING);
    }
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn an_answer_that_cannot_be_read_is_none() {
    let mut world = World::online(1);
    world.work(1);
    assert_eq!(world.answer("start 1", &json!({"outcome": "perhaps"})), NOTHING);
    assert_eq!(world.wait(30), ["heartbeat", "start 1"]);
    assert_eq!(world.answer("heartbeat", &json!([])), NOTHING);
}

// Duty 5.

#[test]
fn work_of_a_job_that_runs_is_acknowledged() {
    let mut world = World::running(2);
    assert_eq!(world.work(1), ["acknowledge 2"]);
    world.end(1, Status::Success);
    assert_eq!(world.work(1), ["acknowledge 3"]);
}

#[test]
fn work_of_a_job_whose_start_is_awaited_takes_the_place_of_the_lost_delivery() {
    let mut world = World::online(2);
    world.work(1);
    let run = world.published["start 1"].body.clone();
    world.react(Event::Disconnected);
    assert_eq!(world.react(Event::Connected), ["heartbeat", "start 1"]);
    assert_eq!(world.answer("heartbeat", &state("ONLINE")), ["consume"]);
    assert_eq!(world.work(1), NOTHING);
    assert_eq!(world.published["start 1"].body, run);
    assert_eq!(world.answer("start 1", &accepted()), ["acknowledge 2", "begin 1"]);
}

#[test]
fn of_two_deliveries_of_one_job_the_older_is_acknowledged() {
    let mut world = World::online(2);
    world.work(1);
    assert_eq!(world.work(1), ["acknowledge 1"]);
    assert_eq!(world.answer("start 1", &accepted()), ["acknowledge 2", "begin 1"]);
}

// Duty 6.

#[test]
fn a_run_that_stop_names_is_killed_and_nothing_is_reported_for_it() {
    let mut world = World::running(1);
    world.wait(30);
    assert_eq!(world.answer("heartbeat", &world.stop(1)), NOTHING);
    assert_eq!(world.runs[&JobId(1)].stop.reason(), Some(StopReason::Superseded));
    assert_eq!(world.wait(30), ["heartbeat"]);
    assert_eq!(world.beats().len(), 0);
    // Its slot is free when it has ended.
    assert_eq!(world.work(2), ["give back 2"]);
    assert_eq!(world.end(1, Status::Success), ["consume"]);
}

#[test]
fn a_finish_that_is_published_is_kept_whatever_stop_names() {
    let mut world = World::running(1);
    world.end(1, Status::Success);
    world.wait(30);
    assert_eq!(world.answer("heartbeat", &world.stop(1)), NOTHING);
    assert_eq!(world.wait(60), ["heartbeat", "finish 1 SUCCESS"]);
}

#[test]
fn another_run_than_the_one_that_stop_names_goes_on() {
    let mut world = World::running(1);
    world.wait(30);
    let mut stop = world.stop(1);
    stop["stop"][0]["run"] = json!("0192aaaa-0000-7000-8000-000000000000");
    assert_eq!(world.answer("heartbeat", &stop), NOTHING);
    assert_eq!(world.runs[&JobId(1)].stop.reason(), None);
}

// Duty 7.

#[test]
fn a_lease_counts_from_the_first_publication_of_the_start_and_then_from_heartbeats() {
    let mut world = World::online(1);
    world.work(1);
    world.wait(30);
    world.wait(60);
    world.answer("start 1", &accepted());
    world.now = world.now + Duration::from_secs(209);
    assert!(world.lease(1));
    world.now = world.now + Duration::from_secs(1);
    assert!(!world.lease(1));

    // The heartbeat counts from its sending, however late its answer comes.
    assert_eq!(world.wait(0), ["heartbeat"]);
    world.now = world.now + Duration::from_secs(20);
    world.answer("heartbeat", &state("ONLINE"));
    assert!(world.lease(1));
    world.now = world.now + Duration::from_secs(280);
    assert!(!world.lease(1));
}

#[test]
fn a_heartbeat_that_did_not_name_a_run_does_not_renew_its_lease() {
    let mut world = World::online(1);
    world.work(1);
    world.now = world.now + Duration::from_secs(29);
    assert_eq!(world.wait(1), ["heartbeat", "start 1"]);
    world.answer("start 1", &accepted());
    world.answer("heartbeat", &state("ONLINE"));
    world.now = world.now + Duration::from_secs(270);
    assert!(!world.lease(1));
}

#[test]
fn runs_go_on_while_the_broker_cannot_be_reached() {
    let mut world = World::running(1);
    world.react(Event::Disconnected);
    world.wait(10_000);
    assert_eq!(world.runs[&JobId(1)].stop.reason(), None);
    assert!(!world.lease(1));
    assert_eq!(world.react(Event::Connected), ["heartbeat"]);
    assert_eq!(world.beats(), [1]);
}

// Leaving.

#[test]
fn it_leaves_when_everything_is_given_back_or_answered() {
    let mut world = World::running(3);
    world.work(2);
    assert_eq!(world.react(Event::Leaving), ["cancel", "give back 2"]);
    assert_eq!(world.runs[&JobId(1)].stop.reason(), Some(StopReason::Interrupted));
    assert_eq!(world.answer("start 2", &accepted()), ["finish 2 INTERNAL_FAILURE"]);
    // It was killed, so it says that it failed; that is not the import's fault.
    assert_eq!(world.end(1, Status::Failure), ["finish 1 INTERNAL_FAILURE"]);
    world.answer("finish 2 INTERNAL_FAILURE", &accepted());
    assert!(!world.duties.may_leave(world.now));
    world.answer("finish 1 INTERNAL_FAILURE", &accepted());
    assert!(world.duties.may_leave(world.now));
}

#[test]
fn it_leaves_when_its_time_is_up_and_says_what_was_left() {
    let mut world = World::running(2);
    world.react(Event::Leaving);
    world.wait(19);
    assert!(!world.duties.may_leave(world.now));
    assert_eq!(world.duties.due(), Some(world.now + Duration::from_secs(1)));
    world.wait(1);
    assert!(world.duties.may_leave(world.now));
    assert_eq!(world.duties.left(), (1, 0));
}

#[test]
fn an_idle_worker_leaves_at_once() {
    let mut world = World::online(1);
    assert!(!world.duties.may_leave(world.now));
    assert_eq!(world.react(Event::Leaving), ["cancel"]);
    assert!(world.duties.may_leave(world.now));
}
