//! How `serve` begins, and what ends it but a signal.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use crate::audit::connect;
use crate::door::{Door, port_of};
use crate::world::{NAME, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let mut world = World::new().await;
    let door = Door::shut_to(port_of(&world.database_url)).await;
    world.database_url = door.instead_of(&world.database_url);
    let coordinator = world.serve("coordinator", "");
    let said = coordinator.until_ready_says("unreadiness", |code, _| code == 503).await;
    assert_eq!(said["ready"], false);
    door.sees(4).await;
    let reason = format!("setup lost its session: cannot connect to PostgreSQL at 127.0.0.1:{}", door.port);
    assert_eq!(coordinator.process.lines(&reason).len(), 1);
    assert_eq!(coordinator.process.lines(" WARN ").len(), 1);
    door.open();
    coordinator.process.line("coordinator started").await;
    coordinator.ready().await;
    coordinator.process.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topology_that_differs_ends_the_coordinator_with_its_name() {
    let world = World::new().await;
    let connection = connect(&world.amqp_url).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = "code-imports.finish";
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();

    let ended = world.serve("coordinator", "").process.end().await;
    assert_eq!(ended.code, Some(1));
    let last = ended.lines.last().unwrap();
    assert!(last.contains(queue) && last.contains("differs from what is declared"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_ends_the_coordinator_with_3() {
    let world = World::new().await;
    let mut coordinator = world.serve("coordinator", "");
    world.register(NAME, "https://example.org/x.git").await;
    world.at_least(1, "SELECT last_id FROM event_cursor").await;
    let restore =
        "DELETE FROM events; UPDATE event_counter SET next_id = 1; UPDATE event_cursor SET last_id = 0";
    world.sql().await.batch_execute(restore).await.unwrap();
    let ended = coordinator.process.end().await;
    assert_eq!(ended.code, Some(3));
    assert!(ended.text().contains("run `code-imports after-restore`"), "{}", ended.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_ends_the_coordinator() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = world.start("coordinator", &format!("serve --http {address}")).end().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.text().contains(&format!("cannot listen on {address}")), "{}", ended.text());
}
