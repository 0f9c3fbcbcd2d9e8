//! The whole way of one import, as an operator, a subscriber and whoever clones the target see it.

use code_imports::domain::ImportId;
use code_imports::worker::importer::Target;
use serde_json::json;

use crate::audit::Audit;
use crate::door::Door;
use crate::upstream::{Upstream, refs};
use crate::world::{NAME, USER, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_registered_run_and_run_again() {
    let mut world = World::new().await;
    // The library that speaks AMQP has nothing to complain of, either.
    world.log = "info,lapin=error";
    let upstream = Upstream::serve(&world).await;
    let door = Door::held_to(upstream.port).await;
    Audit::bind(&world.amqp_url).await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let coordinator = world.serve("coordinator", "--heartbeat-interval 1s");
    coordinator.ready().await;

    let (import, job) = world.register(NAME, &Upstream::url_at(door.port)).await;
    let mut waiting = world.start("request", &format!("import request {NAME} --wait"));
    waiting.line("Import will run as soon as possible.").await;
    let worker = world.work("bazaar-importer");
    waiting.line(&format!("Job {job} is running on bazaar-importer.")).await;
    // The run waits at the door, and is heard meanwhile.
    world.at_least(1, "SELECT count(*) FROM jobs WHERE heartbeat > date_started").await;
    door.open();

    let ended = waiting.end().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.text().contains("Status:  SUCCESS"), "{}", ended.text());
    let target = Target::of(&world.directory.path().join("targets"), ImportId(import));
    assert_eq!(refs(target.path()), upstream.refs());

    let shown = world.json(&format!("import show {NAME}")).await;
    assert_eq!(
        (&shown["results"][0]["job"], &shown["results"][0]["requested_by"]),
        (&job.into(), &USER.into())
    );
    assert_eq!((&shown["job"]["state"], &shown["job"]["machine"]), (&"PENDING".into(), &json!(null)));
    let later = "SELECT count(*) FROM jobs WHERE date_due > now() + interval '5 hours'";
    assert_eq!(world.count(later).await, 1);

    upstream.commit("third");
    world.request_and_wait(NAME).await;
    assert_eq!(refs(target.path()), upstream.refs());

    let expected = [
        format!("CREATE {NAME} {USER}"),
        format!("REQUEST {NAME} {USER}"),
        "ONLINE bazaar-importer".to_owned(),
        format!("START {NAME} bazaar-importer"),
        format!("FINISH {NAME} bazaar-importer"),
        format!("REQUEST {NAME} {USER}"),
        format!("START {NAME} bazaar-importer"),
        format!("FINISH {NAME} bazaar-importer"),
    ];
    for (id, expected) in (1..).zip(expected) {
        let event = audit.next().await;
        assert_eq!((event.id, event.summary), (id, expected));
    }
    world.check_invariants().await;
    worker.terminate().await;
    coordinator.process.terminate().await;
}
