//! Silence, and hearing ourselves (sections 7 and 10).

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::world::{NAME, World, said, with};

/// A world in which a second of silence is too long.
async fn impatient() -> World {
    let mut world = World::new().await;
    world.settings.policy.heartbeat_timeout = TimeDelta::seconds(1);
    world.settings.policy.machine_timeout = TimeDelta::seconds(1);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_heartbeat_is_reclaimed_and_its_next_one_is_due_at_once() {
    let world = impatient().await;
    let (coordinator, mut events) = (world.serve(), world.events().await);
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    talker.command(json!({"type": "request", "import": NAME, "user": "david.allouche"})).await;
    world.take("work.git").await;
    let run = said(import, job, Uuid::now_v7());
    assert_eq!(talker.ask("start", &run).await["outcome"], "accepted");

    let event = events.wait_for(&format!("RECLAIM {NAME} bazaar-importer")).await;
    assert_eq!(event.data["RECLAIMED_JOB_ID"], job.to_string());
    // The retry keeps the request, and goes out at once.
    let (work, _) = world.take("work.git").await;
    assert_ne!(work["job"], json!(job));
    assert_eq!(work["requested_by"], "david.allouche");
    // The old run can change nothing any more.
    let answer = talker.ask("finish", &with(run, json!({"status": "SUCCESS"}))).await;
    assert_eq!(answer["code"], "superseded-run");
    world.check_invariants().await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_falls_silent_goes_offline_and_comes_back_when_it_speaks() {
    let world = impatient().await;
    let (coordinator, mut events) = (world.serve(), world.events().await);
    let mut talker = world.talker().await;
    let idle = json!({"machine": "bazaar-importer", "jobs": []});
    talker.ask("heartbeat", &idle).await;
    let event = events.wait_for("OFFLINE bazaar-importer").await;
    assert_eq!(event.data["OFFLINE_REASON"], "WATCHDOG");
    assert_eq!(talker.ask("heartbeat", &idle).await["machine_state"], "ONLINE");
    events.wait_for("ONLINE bazaar-importer").await;
    coordinator.stop().await;
}

/// "So no outage, alarm, backlog or lost binding of ours reclaims a healthy job."
#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_reclaimed_for_the_time_that_we_were_away() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let run = said(import, job, Uuid::now_v7());
    talker.ask("start", &run).await;
    world.until("SELECT count(*) FROM hearing", 1).await;
    coordinator.stop().await;

    // An hour goes by without us.
    let hour = "UPDATE jobs SET date_started = date_started - interval '1 hour', heartbeat = heartbeat - interval '1 hour';
        UPDATE machines SET heartbeat = heartbeat - interval '1 hour', date_state = date_state - interval '1 hour';
        UPDATE hearing SET heard = heard - interval '1 hour', since = since - interval '1 hour'";
    world.sql.batch_execute(hour).await.unwrap();
    let coordinator = world.serve();
    // We hear ourselves again, several times over; the job is still there.
    world.until("SELECT count(*) FROM hearing WHERE heard > since + interval '1 s'", 1).await;
    assert_eq!(world.count("SELECT count(*) FROM jobs WHERE state = 'RUNNING'").await, 1);
    let answer = talker.ask("finish", &with(run, json!({"status": "SUCCESS"}))).await;
    assert_eq!(answer["outcome"], "accepted");
    coordinator.stop().await;
}
