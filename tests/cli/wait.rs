//! `import request --wait`: the test plays the worker.

use code_imports::domain::Status;
use serde_json::Value;

use crate::world::{NAME, World};

#[tokio::test(flavor = "multi_thread")]
async fn waiting_shows_the_tail_and_ends_with_a_success() {
    let mut world = World::new().await;
    let job = world.register();
    let mut waiting = world.start("olga", &format!("import request {NAME} --wait"));
    assert_eq!(waiting.line(), "Import will run as soon as possible.");
    world.start_job(job).await;
    assert_eq!(waiting.line(), format!("Job {job} is running on bazaar-importer."));
    world.beat(job, "one\ntwo").await;
    assert_eq!((waiting.line(), waiting.line()), ("one".to_owned(), "two".to_owned()));
    world.beat(job, "two\nthree").await;
    assert_eq!(waiting.line(), "three");
    world.finish(job, Status::Success, "12 revisions").await;
    let rest = waiting.end().text();
    assert!(rest.contains("Status:  SUCCESS") && rest.contains("12 revisions"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_failure_exits_1() {
    let mut world = World::new().await;
    let job = world.register();
    let mut waiting = world.start("david", &format!("import request {NAME} --wait"));
    waiting.line();
    world.start_job(job).await;
    waiting.line();
    world.finish(job, Status::FailureInvalid, "nothing is there").await;
    let ended = waiting.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stdout.contains("FAILURE_INVALID") && ended.stdout.contains("nothing is there"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_tried_again_is_a_failure_that_says_so() {
    let mut world = World::new().await;
    let job = world.register();
    let waiting = world.start("david", &format!("import request {NAME} --wait --json"));
    // What it waits for is told when all is over, so the request is seen in the database.
    let requested = async {
        let client = world.database.client().await;
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        let query = "SELECT 1 FROM jobs WHERE requesting_user = 'david'";
        while client.query_opt(query, &[]).await.unwrap().is_none() {
            looks.tick().await;
        }
    };
    requested.await;
    world.start_job(job).await;
    world.finish(job, Status::InternalFailure, "our disk is full").await;
    let ended = waiting.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&result["job"], &result["status"]), (&job.0.into(), &"INTERNAL_FAILURE".into()));
    assert_eq!(result["requested_by"], "david");
    assert!(ended.stderr.contains("It will be tried again: job "), "{ended:?}");
    assert!(ended.stderr.contains("(requested by david)"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_its_time_is_over_or_its_job_is_gone() {
    let world = World::new().await;
    let job = world.register();
    let late = world.run("david", &format!("import request {NAME} --wait --timeout 1s"));
    assert_eq!(late.code, 1, "{late:?}");
    assert!(late.stderr.contains(&format!("code-imports job show {job}")), "{late:?}");

    let mut waiting = world.start("david", &format!("import request {NAME} --wait"));
    waiting.line();
    world.run("david", &format!("import update {NAME} --status suspended")).text();
    let ended = waiting.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("is not REVIEWED any more, or was deleted"), "{ended:?}");
}
