//! Several coordinators, the relay's cursor, and what ends a coordinator (architecture, decisions 4, 7 and 9).

use std::net::SocketAddr;
use std::time::Duration;

use code_imports::service::Ended;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::json;

use crate::world::{NAME, World, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_coordinator_takes_over_when_the_first_one_leaves() {
    let world = World::new().await;
    let mut events = world.events().await;
    let first = world.serve();
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    let second = world.serve();
    events.wait_for(&format!("CREATE {NAME} david.allouche")).await;
    assert_eq!(first.stop().await, Ended::Stopped);
    talker.register("~vcs-imports/other/import").await;
    events.wait_for("CREATE ~vcs-imports/other/import david.allouche").await;
    world.take("work.git").await;
    world.take("work.git").await;
    second.stop().await;
}

/// Section 10: an event is published at least once; ids in commit order, whatever was published before.
#[tokio::test(flavor = "multi_thread")]
async fn the_relay_goes_on_where_the_cursor_stands() {
    let world = World::new().await;
    let mut talker = world.talker().await;
    let coordinator = world.serve();
    for n in 0..5 {
        talker.register(&format!("~vcs-imports/p{n}/import")).await;
    }
    world.until("SELECT last_id FROM event_cursor", 5).await;
    coordinator.stop().await;
    // The last two were published and the cursor was not moved: we died in between.
    world.sql.batch_execute("UPDATE event_cursor SET last_id = 3").await.unwrap();
    let mut events = world.events().await;
    let coordinator = world.serve();
    assert_eq!((events.next().await.id, events.next().await.id), (4, 5));
    world.until("SELECT last_id FROM event_cursor", 5).await;
    coordinator.stop().await;
}

/// Decision 4: a `serve` whose relay finds the log's end below where it has been ends, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_ends_the_coordinator() {
    let world = World::new().await;
    let mut talker = world.talker().await;
    let coordinator = world.serve();
    talker.register(NAME).await;
    world.until("SELECT last_id FROM event_cursor", 1).await;
    world.sql.batch_execute(BACK_TO_THE_BEGINNING).await.unwrap();
    assert_eq!(coordinator.end().await.unwrap(), Ended::LogWentBack);
}

const BACK_TO_THE_BEGINNING: &str =
    "DELETE FROM events; UPDATE event_counter SET next_id = 1; UPDATE event_cursor SET last_id = 0";

/// Or it would go on where the leader had to stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_ends_the_coordinator_that_stands_by_too() {
    let mut world = World::new().await;
    let mut talker = world.talker().await;
    let leader = world.serve();
    talker.register(NAME).await;
    world.until("SELECT last_id FROM event_cursor", 1).await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.settings.http = Some(address);
    let second = world.serve();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let is_ready = async {
        while get(address, "readyz").await.is_none() {
            looks.tick().await;
        }
    };
    within("readiness", is_ready).await;
    world.sql.batch_execute(BACK_TO_THE_BEGINNING).await.unwrap();
    assert_eq!(leader.end().await.unwrap(), Ended::LogWentBack);
    assert_eq!(second.end().await.unwrap(), Ended::LogWentBack);
}

/// What is served at a path, if that goes well.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let url = format!("http://{address}/{path}");
    let asking =
        tokio::task::spawn_blocking(move || ureq::get(url).call().ok()?.body_mut().read_to_string().ok());
    asking.await.unwrap()
}

/// Decision 4: after a restore the log goes on in a new epoch, and no id says two things.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_events_carry_a_new_epoch_and_ids_jump() {
    let world = World::new().await;
    let (mut talker, mut events) = (world.talker().await, world.events().await);
    let coordinator = world.serve();
    let (import, job) = talker.register(NAME).await;
    let before = events.next().await;
    world.database.store().await.after_restore().await.unwrap();
    let (later_import, later_job) = talker.register("~vcs-imports/other/import").await;
    let after = events.next().await;
    assert_ne!(after.epoch, before.epoch);
    assert_eq!((after.id, after.epoch_first), (before.id + 1, before.id + 1));
    assert!(later_import > import + 1_000_000_000 && later_job > job + 1_000_000_000);
    coordinator.stop().await;
}

/// What is counted can be read where health is.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_beside_health_and_readiness() {
    let mut world = World::new().await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.settings.http = Some(address);
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    world.until("SELECT last_id FROM event_cursor", 1).await;
    let metrics = get(address, "metrics").await.unwrap();
    let line = r#"code_imports_messages_total{queue="commands",outcome="accepted"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("code_imports_batch_seconds"), "{metrics}");
    assert_eq!(get(address, "healthz").await.unwrap(), "alive\n");
    coordinator.stop().await;
}

/// Decision 7: a difference in the topology is fatal, and said.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_differs_from_what_is_declared_ends_the_coordinator_with_its_name() {
    let world = World::new().await;
    world.vhost.delete("queues", "/code-imports.finish");
    let connection = Connection::connect(&world.vhost.url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = lapin::options::QueueDeclareOptions::durable();
    channel.queue_declare("code-imports.finish".into(), options, FieldTable::default()).await.unwrap();
    let error = world.serve().end().await.unwrap_err().to_string();
    assert!(error.contains("code-imports.finish") && error.contains("differs"), "{error}");
    let wrong = world.broker.check().await.unwrap();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_nobody_listened_is_applied_afterwards() {
    let world = World::new().await;
    let talker = world.talker().await;
    let body = json!({"type": "register", "import": NAME, "rcs_type": "GIT", "url": "https://example.org/x", "user": "david.allouche"});
    talker.say("command", &body).await;
    let coordinator = world.serve();
    world.until("SELECT count(*) FROM imports", 1).await;
    coordinator.stop().await;
}
