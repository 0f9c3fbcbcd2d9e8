//! The client part of a worker, at a real broker; each test plays the coordinator.

#![expect(clippy::unwrap_used, reason = "a test panics when its world breaks")]

#[path = "../common/mod.rs"]
mod common;
mod coordinator;
mod proxy;

use std::sync::{Arc, Mutex};

use code_imports::broker::Queue;
use code_imports::domain::{Report, Source, Status};
use code_imports::worker::{Run, StopReason, Undrained};
use coordinator::{Coordinator, accepted, hear, next, refused, state};
use proxy::Proxy;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

async fn succeed(_: Run) -> Report {
    Report::of(Status::Success)
}

async fn wait_for_the_stop(run: Run) -> Report {
    let reason = run.stop.stopped().await;
    Report { reason: Some(reason.to_string()), ..Report::of(Status::InternalFailure) }
}

#[tokio::test]
async fn a_job_is_started_imported_and_reported() {
    let mut coordinator = Coordinator::new().await;
    let (see, mut seen) = mpsc::unbounded_channel();
    coordinator
        .begin(1, move |run| {
            see.send(run.clone()).unwrap();
            run.log_tail.push("done with s3cret");
            succeed(run)
        })
        .await;
    coordinator.hand_out(&[42]).await;

    let start = next(&mut coordinator.starts).await;
    let run_id = start.body["run"].clone();
    assert_eq!(start.body, json!({"job": 42, "import": 7, "run": run_id, "machine": "coordinator"}));
    assert_eq!(start.received.user_id.as_deref(), Some("coordinator"));
    assert_eq!(start.received.correlation_id, start.received.message_id);
    start.answer(accepted());

    let finish = next(&mut coordinator.finishes).await.answer(json!({"outcome": "accepted"}));
    assert_eq!((&finish["status"], &finish["run"]), (&json!("SUCCESS"), &run_id));
    assert_eq!(finish["log_tail"], "done with ***");
    let run = seen.recv().await.unwrap();
    assert!(run.source == Source::Url("https://me:s3cret@h.org/r".to_owned()));
    assert!(run.lease.is_valid());
    assert_eq!(run.previous.unwrap().status, Status::Success);
    coordinator.ready(0).await;
    assert_eq!(coordinator.leave().await, Ok(()));
}

#[tokio::test]
async fn nothing_is_consumed_before_the_machine_is_online() {
    let mut coordinator = Coordinator::new().await;
    coordinator.hand_out(&[1]).await;
    coordinator.begin_at(&coordinator.vhost.url.clone(), 1, succeed);
    next(&mut coordinator.heartbeats).await.answer(state("OFFLINE"));
    // One interval later it says again that it is there; until then it has taken nothing.
    let again = next(&mut coordinator.heartbeats).await;
    coordinator.ready(1).await;
    assert!(coordinator.starts.is_empty());
    again.answer(state("ONLINE"));
    next(&mut coordinator.starts).await.answer(accepted());
    next(&mut coordinator.finishes).await.answer(accepted());
}

#[tokio::test]
async fn work_beyond_the_slots_stays_in_the_queue() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(2, wait_for_the_stop).await;
    coordinator.hand_out(&[1, 2, 3, 4]).await;
    for _ in 0..2 {
        next(&mut coordinator.starts).await.answer(accepted());
    }
    coordinator.ready(2).await;
    let heartbeat = loop {
        let heartbeat = next(&mut coordinator.heartbeats).await.answer(state("ONLINE"));
        if heartbeat["jobs"].as_array().unwrap().len() == 2 {
            break heartbeat;
        }
    };
    let stop = json!([{"job": heartbeat["jobs"][0]["job"], "run": heartbeat["jobs"][0]["run"]}]);
    let mut answer = state("ONLINE");
    answer["stop"] = stop;
    next(&mut coordinator.heartbeats).await.answer(answer);
    // The run that was stopped says nothing, and its slot is free.
    assert_eq!(next(&mut coordinator.starts).await.answer(accepted())["job"], 3);
    assert!(coordinator.finishes.is_empty());
    coordinator.ready(1).await;
}

#[tokio::test]
async fn a_start_refused_because_of_the_machine_comes_again_and_its_work_is_given_back() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(2, succeed).await;
    coordinator.hand_out(&[1]).await;
    let first = next(&mut coordinator.starts).await;
    let message_id = first.received.message_id.clone();
    let first = first.answer(refused("machine-not-online"));
    coordinator.ready(1).await;
    let again = loop {
        tokio::select! {
            heartbeat = next(&mut coordinator.heartbeats) => drop(heartbeat.answer(state("ONLINE"))),
            start = next(&mut coordinator.starts) => break start,
        }
    };
    assert_eq!(again.received.message_id, message_id);
    assert_eq!(again.answer(accepted()), first);
    next(&mut coordinator.finishes).await.answer(accepted());
    coordinator.ready(0).await;
    assert_eq!(coordinator.leave().await, Ok(()));
}

#[tokio::test]
async fn starts_and_finishes_are_repeated_until_they_are_answered() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(1, succeed).await;
    coordinator.hand_out(&[1]).await;
    let first = next(&mut coordinator.starts).await;
    let (id, body) = (first.received.message_id, first.body);
    drop(first.answer);
    let again = next(&mut coordinator.starts).await;
    assert_eq!((&again.received.message_id, &again.body), (&id, &body));
    again.answer(accepted());

    let first = next(&mut coordinator.finishes).await.received;
    let again = next(&mut coordinator.finishes).await;
    assert_eq!((&again.received.message_id, &again.received.body), (&first.message_id, &first.body));
    again.answer(accepted());
    assert_eq!(coordinator.leave().await, Ok(()));
}

#[tokio::test]
async fn a_run_survives_the_loss_of_the_broker_and_is_reported_afterwards() {
    let mut coordinator = Coordinator::new().await;
    let proxy = Proxy::new(&coordinator.vhost.url).await;
    let (go, went) = oneshot::channel::<()>();
    let went = Arc::new(Mutex::new(Some(went)));
    coordinator.begin_at(&proxy.url, 1, move |run| {
        let went = went.lock().unwrap().take();
        async move {
            went.expect("there is one run").await.unwrap();
            succeed(run).await
        }
    });
    coordinator.online().await;
    coordinator.hand_out(&[1]).await;
    let start = next(&mut coordinator.starts).await.answer(accepted());
    let running = async {
        while next(&mut coordinator.heartbeats).await.answer(state("ONLINE"))["jobs"] == json!([]) {}
    };
    running.await;
    proxy.cut();
    go.send(()).unwrap();
    let finish = next(&mut coordinator.finishes).await.answer(accepted());
    assert_eq!((&finish["run"], &finish["status"]), (&start["run"], &json!("SUCCESS")));
    assert_eq!(coordinator.leave().await, Ok(()));
}

#[tokio::test]
async fn work_delivered_again_after_a_loss_goes_on_with_its_start() {
    let mut coordinator = Coordinator::new().await;
    let proxy = Proxy::new(&coordinator.vhost.url).await;
    coordinator.begin_at(&proxy.url, 2, succeed);
    coordinator.online().await;
    coordinator.hand_out(&[1]).await;
    let first = next(&mut coordinator.starts).await;
    proxy.cut();
    let first = first.answer(accepted());
    // The answer went to a channel that is gone, so the start comes again, with the heartbeat.
    coordinator.online().await;
    assert_eq!(next(&mut coordinator.starts).await.answer(accepted()), first);
    next(&mut coordinator.finishes).await.answer(accepted());
    coordinator.ready(0).await;
}

#[tokio::test]
async fn consumers_that_the_broker_cancels_are_opened_again() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(1, succeed).await;
    coordinator.vhost.delete("queues", "/ci.work.git");
    coordinator.broker.declare().await.unwrap();
    coordinator.hand_out(&[1]).await;
    coordinator.start_once_online().await.answer(accepted());
    next(&mut coordinator.finishes).await.answer(accepted());
}

#[tokio::test]
async fn a_worker_that_leaves_gives_back_interrupts_and_reports() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(3, wait_for_the_stop).await;
    coordinator.hand_out(&[1]).await;
    next(&mut coordinator.starts).await.answer(accepted());
    coordinator.hand_out(&[2]).await;
    let second = next(&mut coordinator.starts).await;
    coordinator.shutdown.cancel();
    let finish = next(&mut coordinator.finishes).await.answer(accepted());
    assert_eq!((&finish["job"], &finish["status"]), (&json!(1), &json!("INTERNAL_FAILURE")));
    assert_eq!(finish["reason"], StopReason::Interrupted.to_string());
    coordinator.ready(1).await;
    second.answer(refused("already-running"));
    assert_eq!(coordinator.leave().await, Ok(()));
}

#[tokio::test]
async fn an_import_that_panics_is_an_internal_failure() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(1, |run| async move { panic!("no way to {:?}", run.source) }).await;
    coordinator.hand_out(&[1]).await;
    next(&mut coordinator.starts).await.answer(accepted());
    let finish = next(&mut coordinator.finishes).await.answer(accepted());
    assert_eq!(finish["status"], "INTERNAL_FAILURE");
    let reason = finish["reason"].as_str().unwrap();
    assert!(reason.starts_with("panicked: no way to ") && !reason.contains("s3cret"), "{reason}");
    assert_eq!(coordinator.leave().await, Ok(()));
}

/// A queue between two leaders refuses what is published to it, and RabbitMQ 3.10 then may refuse all that comes on the
/// same channel.
#[tokio::test]
async fn a_worker_whose_heartbeat_is_refused_begins_a_new_session() {
    let mut coordinator = Coordinator::new().await;
    coordinator.vhost.add_full_queue("ci.worker", "heartbeat");
    coordinator.begin_at(&coordinator.vhost.url.clone(), 1, succeed);
    // It reaches the other queue all the same, but the worker is told that it was not taken; each is the first of a session.
    for _ in 0..3 {
        drop(next(&mut coordinator.heartbeats).await);
    }
    coordinator.vhost.delete("queues", "/full");
    coordinator.hand_out(&[1]).await;
    coordinator.start_once_online().await.answer(accepted());
    next(&mut coordinator.finishes).await.answer(accepted());
}

#[tokio::test]
async fn a_finish_that_no_queue_takes_is_repeated_until_one_does() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(1, succeed).await;
    coordinator.vhost.delete("queues", "/ci.finish");
    coordinator.hand_out(&[1]).await;
    next(&mut coordinator.starts).await.answer(accepted());
    // It has ended, and says so to nobody.
    while next(&mut coordinator.heartbeats).await.answer(state("ONLINE"))["jobs"] == json!([]) {}
    coordinator.broker.declare().await.unwrap();
    coordinator.finishes = hear(&coordinator.vhost.url, Queue::Finish);
    assert_eq!(next(&mut coordinator.finishes).await.answer(accepted())["status"], "SUCCESS");
    assert_eq!(coordinator.leave().await, Ok(()));
}

#[tokio::test]
async fn a_worker_that_leaves_too_late_says_what_it_left() {
    let mut coordinator = Coordinator::new().await;
    coordinator.begin(2, async |_| std::future::pending().await).await;
    coordinator.hand_out(&[1]).await;
    next(&mut coordinator.starts).await.answer(accepted());
    while next(&mut coordinator.heartbeats).await.answer(state("ONLINE"))["jobs"] == json!([]) {}
    assert_eq!(coordinator.leave().await, Err(Undrained { jobs: 1, finishes: 0 }));
}

#[tokio::test]
async fn whoever_cannot_wait_drops_the_worker_and_its_runs() {
    let mut coordinator = Coordinator::new().await;
    let (held, mut dropped) = mpsc::channel::<()>(1);
    let held = Mutex::new(Some(held));
    let (see, mut seen) = mpsc::unbounded_channel();
    coordinator
        .begin(1, move |run| {
            let held = held.lock().unwrap().take();
            see.send(run.job).unwrap();
            async move {
                let report = std::future::pending().await;
                drop(held);
                report
            }
        })
        .await;
    coordinator.hand_out(&[1]).await;
    next(&mut coordinator.starts).await.answer(accepted());
    seen.recv().await.unwrap();
    coordinator.worker.take().unwrap().abort();
    assert_eq!(dropped.recv().await, None);
}
