//! Due jobs → work queues (section 9; architecture: the database is the queue).

use std::time::Duration;

use chrono::TimeDelta;
use code_imports::broker::Queue;
use code_imports::domain::RcsType;
use serde_json::json;
use uuid::Uuid;

use crate::world::{NAME, World, said, with, within};

async fn ready(world: &World, count: u32) {
    let gauge = world.broker.gauge().await.unwrap();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let waiting = async {
        while gauge.ready(Queue::Work(RcsType::Git)).await.unwrap() != count {
            looks.tick().await;
        }
    };
    within(&format!("{count} ready messages"), waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_due_stays_where_it_is_until_somebody_asks() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    world.take("work.git").await;
    let run = said(import, job, Uuid::now_v7());
    talker.ask("start", &run).await;
    talker.ask("finish", &with(run, json!({"status": "SUCCESS"}))).await;
    assert_eq!(world.count("SELECT count(*) FROM jobs WHERE date_dispatched IS NULL").await, 1);

    let request = json!({"type": "request", "import": NAME, "user": "david.allouche"});
    let answer = talker.command(request.clone()).await;
    assert_eq!(answer["requested_by"], "david.allouche");
    let (work, _) = world.take("work.git").await;
    assert_eq!((&work["job"], &work["requested_by"]), (&answer["job"], &json!("david.allouche")));
    assert_eq!(work["previous"]["status"], "SUCCESS");
    // Asking twice succeeds and says who asked first.
    let again = with(request, json!({"user": "no-priv"}));
    world.sql.batch_execute("UPDATE imports SET owner = 'no-priv'").await.unwrap();
    assert_eq!(talker.command(again).await["requested_by"], "david.allouche");
    coordinator.stop().await;
}

/// Section 9: at least ten, so that a request made now overtakes what has not been handed out.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_window_of_work_lies_ready_and_a_request_overtakes_the_rest() {
    let world = World::new().await;
    let mut talker = world.talker().await;
    let coordinator = world.serve();
    for n in 0..40 {
        talker.register(&format!("~vcs-imports/p{n}/import")).await;
    }
    ready(&world, 10).await;
    let last = "~vcs-imports/p39/import";
    talker.command(json!({"type": "request", "import": last, "user": "david.allouche"})).await;
    let mut places = Vec::new();
    for _ in 0..40 {
        let (work, _) = world.take("work.git").await;
        places.push(work["import"]["unique_name"].as_str().unwrap().to_owned());
    }
    let place = places.iter().position(|name| name == last).unwrap();
    assert!(place <= 10, "it came at place {place}");
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 40);
    coordinator.stop().await;
}

/// Section 9: a dispatched job that nobody started within the dispatch timeout is dispatched again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_work_message_comes_again_after_the_dispatch_timeout() {
    let mut world = World::new().await;
    world.settings.policy.dispatch_timeout = TimeDelta::milliseconds(600);
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (_, job) = talker.register(NAME).await;
    for _ in 0..3 {
        assert_eq!(world.take("work.git").await.0["job"], json!(job));
    }
    coordinator.stop().await;
}

/// Architecture, decisions 5 and 7: what comes back as unroutable is unmarked, and the topology declared again.
#[tokio::test(flavor = "multi_thread")]
async fn work_that_no_queue_takes_goes_out_again_once_the_queue_is_back() {
    let world = World::new().await;
    let mut talker = world.talker().await;
    let coordinator = world.serve();
    talker.command(json!({"type": "status"})).await;
    world.vhost.delete("queues", "/code-imports.work.git");
    let (_, job) = talker.register(NAME).await;
    assert_eq!(world.take("work.git").await.0["job"], json!(job));
    coordinator.stop().await;
}

/// Section 9: every fifth place, counted over rounds that hand out one job each, so that neither starves the other.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_nobody_requested_go_out_while_others_are_requested_all_the_time() {
    let mut world = World::new().await;
    (world.settings.window_min, world.settings.window_max) = (1, 1);
    let mut talker = world.talker().await;
    let coordinator = world.serve();
    for n in 0..14 {
        talker.register(&format!("~vcs-imports/p{n}/import")).await;
    }
    // Ten of them are requested, before anything more goes out.
    let request = "UPDATE jobs SET requesting_user = 'david.allouche' WHERE id IN (SELECT id FROM jobs ORDER BY id DESC LIMIT 10)";
    world.sql.batch_execute(request).await.unwrap();
    let mut requested = Vec::new();
    for _ in 0..14 {
        let (work, _) = world.take("work.git").await;
        requested.push(!work["requested_by"].is_null());
    }
    let unrequested_among_the_first_eleven =
        requested.iter().take(11).filter(|requested| !**requested).count();
    assert!(unrequested_among_the_first_eleven >= 2, "{requested:?}");
    coordinator.stop().await;
}
