//! `doctor` on servers that are set up to lose data, or take none: each is the whole server's matter, so they are of the
//! test's own.

use tokio_postgres::NoTls;

use crate::process::{Ended, until};
use crate::server::Server;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_server_that_is_set_up_to_lose_data_is_told() {
    let server = Server::postgresql().await;
    let world = World::on(Some(&server), None).await;
    let (client, connection) = tokio_postgres::connect(&server.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let settings =
        ["fsync = off", "full_page_writes = off", "autovacuum = off", "synchronous_standby_names = 'nobody'"];
    // Before there is a standby to wait for, or not, no COMMIT may wait.
    for setting in settings {
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let told = until("the new settings", async || {
        let told = ask(&world).await;
        told.contains("none of the synchronous standbys").then_some(told)
    })
    .await;
    for (what, remedy) in [
        ("fsync is off: when the host crashes", "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();"),
        ("full_page_writes is off", "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();"),
        ("autovacuum is off", "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();"),
        ("none of the synchronous standbys (nobody) is connected: every COMMIT waits", "start the standby"),
    ] {
        assert!(told.contains(&format!("wrong: {what}")), "{what} is not in\n{told}");
        assert!(told.contains(&format!("type: {remedy}")), "{remedy} is not in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_blocks_publishers_is_told() {
    let server = Server::rabbitmq().await;
    let world = World::on(None, Some(&server)).await;
    assert!(!ask(&world).await.contains("blocks publishers"));
    // No server has so little memory.
    server.services(&["rabbitmqctl", "set_vm_memory_high_watermark", "absolute", "1000"]).await;
    let told = until("the alarm", async || {
        let told = ask(&world).await;
        told.contains("the broker blocks publishers").then_some(told)
    })
    .await;
    assert!(told.contains("wrong: the broker blocks publishers: low on memory"), "{told}");
    assert!(told.contains("type: rabbitmq-diagnostics alarms, on its host"), "{told}");
}

/// What the doctor says of a system that may be ill.
async fn ask(world: &World) -> String {
    let ended: Ended = world.start("doctor", "doctor").end().await;
    ended.text()
}
