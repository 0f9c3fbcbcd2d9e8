//! Processes that are killed, and who goes on in their place.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::Audit;
use crate::door::Door;
use crate::process::until;
use crate::talker::Talker;
use crate::upstream::Upstream;
use crate::world::{NAME, World};

/// Silence of two seconds is too long.
const IMPATIENT: &str =
    "--heartbeat-interval 1s --heartbeat-timeout 2s --machine-timeout 2s --echo-interval 1s";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_job_is_reclaimed_and_finished_by_another() {
    let world = World::new().await;
    let upstream = Upstream::serve(&world).await;
    let door = Door::held_to(upstream.port).await;
    Audit::bind(&world.amqp_url).await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let _coordinator = world.serve("coordinator", IMPATIENT);
    let (import, job) = world.register(NAME, &Upstream::url_at(door.port)).await;
    let first = world.work("first");
    audit.wait_for(&format!("START {NAME} first")).await;
    first.kill().await;

    let event = audit.wait_for(&format!("RECLAIM {NAME} first")).await;
    assert_eq!(event.data["RECLAIMED_JOB_ID"], job.to_string());
    let due = "SELECT count(*) FROM jobs WHERE state = 'PENDING' AND date_due <= now()";
    assert_eq!(world.count(due).await, 1);
    door.open();
    let _second = world.work("second");
    let event = audit.wait_for(&format!("FINISH {NAME} second")).await;
    assert_eq!(event.data["STATUS"], "SUCCESS");

    // The first was only cut off, say, and now reports what it did.
    let query = "SELECT run::text FROM results WHERE status = 'RECLAIMED'";
    let run: String = world.sql().await.query_one(query, &[]).await.unwrap().get(0);
    let late = json!({"job": job, "import": import, "run": run, "machine": "first", "status": "SUCCESS"});
    let answer = Talker::new(&world.amqp_url).await.ask("finish", &late).await;
    let reason = format!("The run {run} of {NAME} is not current.");
    assert_eq!(answer, json!({"outcome": "refused", "code": "superseded-run", "reason": reason}));
    assert_eq!(world.count("SELECT count(*) FROM results").await, 2);
    // The copy for people follows the answer.
    let is_kept = async || (world.ready_messages("rejected").await == 1).then_some(());
    until("the copy of what was refused", is_kept).await;
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_coordinator_takes_over_within_seconds() {
    let leads = |_, body: &Value| leaders(body).iter().all(|word| word == "working");
    let stands_by = |_, body: &Value| leaders(body).iter().all(|word| word == "standby");
    let world = World::new().await;
    let upstream = Upstream::serve(&world).await;
    Audit::bind(&world.amqp_url).await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let first = world.serve("first", "");
    first.until_ready_says("leadership", leads).await;
    let second = world.serve("second", "");
    second.until_ready_says("being second", stands_by).await;
    let _worker = world.work("bazaar-importer");
    audit.wait_for("ONLINE bazaar-importer").await;

    first.process.kill().await;
    let killed = Instant::now();
    world.register(NAME, &upstream.url()).await;
    second.until_ready_says("leadership", leads).await;
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    second.ready().await;
    let event = audit.wait_for(&format!("FINISH {NAME} bazaar-importer")).await;
    assert_eq!(event.data["STATUS"], "SUCCESS");
    world.check_invariants().await;
}

/// How the roles do that run at one process at a time.
fn leaders(body: &Value) -> [Value; 4] {
    ["dispatcher", "relay", "reaper", "housekeeping"].map(|role| body["roles"][role].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_leave_gives_its_run_to_another() {
    let world = World::new().await;
    let upstream = Upstream::serve(&world).await;
    let door = Door::held_to(upstream.port).await;
    Audit::bind(&world.amqp_url).await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let _coordinator = world.serve("coordinator", "");
    world.register(NAME, &Upstream::url_at(door.port)).await;
    world.run(&format!("import request {NAME}")).await;
    let first = world.work("first");
    audit.wait_for(&format!("START {NAME} first")).await;
    first.terminate().await;
    let event = audit.wait_for(&format!("FINISH {NAME} first")).await;
    assert_eq!(event.data["STATUS"], "INTERNAL_FAILURE");

    door.open();
    let second = world.work("second");
    let event = audit.wait_for(&format!("FINISH {NAME} second")).await;
    assert_eq!(event.data["STATUS"], "SUCCESS");
    let shown = world.json(&format!("import show {NAME}")).await;
    // Both runs were asked for by the same person, and the first one counts as no failure of the import's.
    assert_eq!(shown["results"][0]["requested_by"], shown["results"][1]["requested_by"]);
    assert_eq!(shown["consecutive_failure_count"], 0);
    second.terminate().await;
    world.check_invariants().await;
}
