//! Somebody holds a transaction open, and no dead row can be cleaned up.

use std::time::Duration;

use crate::world::{World, is_applied, start};

/// How often the table of the event counter was read from its beginning, and its row found by an index.
async fn scans(world: &World) -> (i64, i64) {
    let query = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'event_counter'";
    let row = world.client.query_one(query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Everything that a session did is counted when it ends.
async fn scans_after(world: &World, before: (i64, i64)) -> (i64, i64) {
    let counted = async {
        loop {
            let now = scans(world).await;
            if now.1 > before.1 {
                return now;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), counted).await.expect("the session's scans are counted")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_counter_is_not_looked_for_among_its_dead_versions() {
    let (mut world, jobs) = World::with_imports(1).await;
    let other = world.database.store().await;
    drop(std::mem::replace(&mut world.store, other));
    let before = scans_after(&world, (0, 0)).await;
    assert!(is_applied(&world.apply(start(&jobs[0])).await));
    assert_eq!(world.store.log_end().await.unwrap().end, 3);
    let other = world.database.store().await;
    drop(std::mem::replace(&mut world.store, other));
    assert_eq!(scans_after(&world, before).await.0, before.0);
}
