//! One leads, and whoever is next takes over when its connection dies.

use std::time::Duration;

use code_imports::store::Leadership;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_led_by_one_and_every_role_by_its_own() {
    let world = World::new().await;
    let url = world.database.database_url();
    let mut first = Leadership::connect(&url, "relay").await.unwrap();
    let mut second = Leadership::connect(&url, "relay").await.unwrap();
    let mut other = Leadership::connect(&url, "reaper").await.unwrap();
    assert!(first.try_take().await.unwrap());
    assert!(!second.try_take().await.unwrap());
    assert!(other.try_take().await.unwrap());
    first.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_released_when_its_connection_dies_and_its_holder_learns_of_it() {
    let world = World::new().await;
    let url = world.database.database_url();
    let mut first = Leadership::connect(&url, "relay").await.unwrap();
    let mut second = Leadership::connect(&url, "relay").await.unwrap();
    assert!(first.try_take().await.unwrap());
    world
        .sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
             WHERE locktype = 'advisory' AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await;
    assert!(second.try_take().await.unwrap());
    assert!(first.check().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_released_when_its_holder_is_dropped() {
    let world = World::new().await;
    let url = world.database.database_url();
    let mut first = Leadership::connect(&url, "relay").await.unwrap();
    let mut second = Leadership::connect(&url, "relay").await.unwrap();
    assert!(first.try_take().await.unwrap());
    drop(first);
    // The server learns of it when it reads the end of the connection.
    let take = async { while !second.try_take().await.unwrap() {} };
    tokio::time::timeout(Duration::from_secs(10), take).await.unwrap();
}
