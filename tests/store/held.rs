//! Somebody's long transaction keeps every dead row, and what is asked all the time does not read them.

use chrono::TimeDelta;
use code_imports::domain::Timestamp;
use code_imports::store::Store;
use tokio_postgres::Client;

use crate::world::{World, machine, name, register, start};

/// Holds a transaction open, and changes rows under it; the transaction's session.
async fn held(world: &World, turns: &[&str]) -> Client {
    let holder = world.database.client().await;
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs").await.unwrap();
    world.sql("SET synchronous_commit = off").await;
    let turns = turns.join("; COMMIT; ");
    world.sql(&format!("DO $$ BEGIN FOR turn IN 1..2000 LOOP {turns}; COMMIT; END LOOP; END $$")).await;
    holder
}

/// The pages of tables that were read until now, by all sessions that ended.
async fn pages(world: &World, tables: &str) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name LIKE '%turns%' AND pid <> pg_backend_pid() AND datname = current_database()";
    while world.number(others).await > 0 {}
    world.sql("SELECT pg_stat_force_next_flush()").await;
    let read =
        "SELECT sum(heap_blks_hit + heap_blks_read)::bigint FROM pg_statio_user_tables WHERE relname = ANY";
    world.number(&format!("{read} ('{{{tables}}}')")).await
}

async fn session(world: &World) -> Store {
    Store::connect(&world.database.url.parse().unwrap(), "turns").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_versions_of_counter_and_cursor_are_not_read() {
    const TURNS: usize = 20;
    let world = World::new().await;
    // As the release before moved them.
    let turns =
        ["UPDATE event_counter SET next_id = next_id + 1", "UPDATE event_cursor SET last_id = last_id + 1"];
    let _holder = held(&world, &turns).await;
    world.sql("VACUUM event_counter").await;
    world.sql("VACUUM event_cursor").await;
    let before = pages(&world, "event_counter,event_cursor").await;
    let mut store = session(&world).await;
    for turn in 0..TURNS {
        let source = format!("https://a.org/{turn}");
        store.apply(&[register(&name(turn), &source, None)], &world.policy).await.unwrap();
        let log = store.log_end().await.unwrap();
        store.move_cursor(log.published, log.published + 1, false).await.unwrap();
    }
    drop(store);
    let read = usize::try_from(pages(&world, "event_counter,event_cursor").await - before).unwrap();
    assert!(read > 0 && read < TURNS * 20, "{read} pages for {TURNS} turns");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_ended_are_not_read_by_whoever_looks_for_silent_ones() {
    let (mut world, jobs) = World::with_imports(2).await;
    world.apply_all(&[start(&jobs[1])]).await;
    let machine = machine();
    let now = "date_started = clock_timestamp(), heartbeat = clock_timestamp()";
    let runs = format!(
        "UPDATE jobs SET state = 'RUNNING', machine = '{machine}', run = gen_random_uuid(), {now}, log_tail = ''
         WHERE id = 1"
    );
    let ends = "UPDATE jobs SET state = 'PENDING', machine = NULL, run = NULL, date_started = NULL, heartbeat = NULL,
        log_tail = NULL WHERE id = 1";
    let _holder = held(&world, &[runs.as_str(), ends]).await;
    world.sql(&format!("UPDATE jobs SET {now} WHERE state = 'RUNNING'")).await;
    let listening =
        "INSERT INTO hearing (heard, since) VALUES (now() + interval '1 h', now() - interval '1 h')";
    world.sql(listening).await;
    // No vacuum of the server's own may read pages meanwhile.
    world.sql("ALTER TABLE jobs SET (autovacuum_enabled = false)").await;
    world.sql("ANALYZE jobs").await;
    let mut read = Vec::new();
    let oldest = session(&world).await.oldest_start(None).await.unwrap();
    for from in [None, oldest] {
        let before = pages(&world, "jobs").await;
        let mut store = session(&world).await;
        assert_eq!(store.oldest_start(from).await.unwrap(), oldest);
        let begins = from.unwrap_or(Timestamp::UNIX_EPOCH);
        let silent = store.silent_jobs(TimeDelta::minutes(5), begins, 10).await.unwrap();
        assert_eq!(silent.iter().map(|silent| silent.job).collect::<Vec<_>>(), [jobs[1].id]);
        drop(store);
        read.push(pages(&world, "jobs").await - before);
    }
    assert!(read[0] > 50 && (1..20).contains(&read[1]), "{read:?}");
}

/// Whoever had locked a row by then is open, with a number before the next; and not any more once it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_tells_whether_who_had_begun_has_ended() {
    let mut world = World::new().await;
    let other = world.database.client().await;
    other.batch_execute("BEGIN; SELECT 1 FROM people FOR NO KEY UPDATE").await.unwrap();
    let begun = world.store.watermark().await.unwrap();
    assert!(begun.oldest_open < begun.next);
    assert!(world.store.watermark().await.unwrap().oldest_open < begun.next);
    other.batch_execute("COMMIT").await.unwrap();
    // Other tests have transactions in this cluster, too.
    while world.store.watermark().await.unwrap().oldest_open < begun.next {}
}
