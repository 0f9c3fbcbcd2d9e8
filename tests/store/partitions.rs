//! Partitions are there before they are needed, and go when they are old; and the log that lies in them.

use chrono::TimeDelta;
use code_imports::store::Retention;

use crate::world::{World, name, register, request};

/// Five events to a partition; results are kept for a year.
fn small() -> Retention {
    Retention { events_per_partition: 5, ..Retention::default() }
}

/// A world whose log has partitions of five events.
async fn with_small_partitions() -> World {
    let mut world = World::new().await;
    world.drop_partitions("events").await;
    world.store.make_partitions(small()).await.unwrap();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_made_a_month_ahead_and_making_them_twice_changes_nothing() {
    let mut world = World::new().await;
    world.drop_partitions("results").await;
    world.store.make_partitions(Retention::default()).await.unwrap();
    let made = world.partitions("results").await;
    assert_eq!(made.len(), 32); // yesterday, today, and 30 days
    let today: String = world
        .client
        .query_one("SELECT to_char(now() AT TIME ZONE 'UTC', '\"results_\"YYYYMMDD')", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(made[1], today);
    let query = "SELECT reloptions::text FROM pg_class WHERE oid = $1::text::regclass";
    let settings: Option<String> = world.client.query_one(query, &[&today]).await.unwrap().get(0);
    assert!(settings.unwrap_or_default().contains("autovacuum_freeze_min_age=0"));
    world.store.make_partitions(Retention::default()).await.unwrap();
    assert_eq!(world.partitions("results").await, made);

    // A table that somebody made and did not come to attach is attached.
    world.sql(&format!("ALTER TABLE results DETACH PARTITION {today}")).await;
    world.store.make_partitions(Retention::default()).await.unwrap();
    assert_eq!(world.partitions("results").await, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_the_log_stay_ahead_of_it() {
    let mut world = with_small_partitions().await;
    assert_eq!(world.partitions("events").await, ["events_1", "events_6"]);
    for n in 0..6 {
        world.apply_all(&[register(&name(n), &format!("https://a.org/{n}"), None), request(&name(n))]).await;
        world.store.make_partitions(small()).await.unwrap();
    }
    // Twelve events in the last thirty days: as many more must fit.
    assert_eq!(world.store.log_end().await.unwrap().end, 12);
    let made = world.partitions("events").await;
    assert!(made.contains(&"events_21".to_owned()), "{made:?}");
    let before = made.len();
    world.store.make_partitions(small()).await.unwrap();
    assert_eq!(world.partitions("events").await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_make_partitions_at_once() {
    let mut world = World::new().await;
    world.drop_partitions("results").await;
    let mut other = world.database.store().await;
    let both = tokio::join!(
        world.store.make_partitions(Retention::default()),
        other.make_partitions(Retention::default())
    );
    // One waits for the other; if it waited too long it tries again a minute later.
    assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
    world.store.make_partitions(Retention::default()).await.unwrap();
    assert_eq!(world.partitions("results").await.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_results_and_old_commands_go() {
    let mut world = World::new().await;
    world
        .sql(
            "CREATE TABLE results_20200101 PARTITION OF results
                 FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00');
             INSERT INTO applied_commands (message_id, date_created, answer) VALUES
                 ('old', now() - interval '8 days', '{}'), ('new', now() - interval '6 days', '{}')",
        )
        .await;
    let before = world.partitions("results").await.len();
    assert_eq!(world.store.drop_old(Retention::default()).await.unwrap(), ["results_20200101"]);
    assert_eq!(world.partitions("results").await.len(), before - 1);
    assert_eq!(world.number("SELECT count(*) FROM pg_class WHERE relname = 'results_20200101'").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM applied_commands WHERE message_id = 'new'").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM applied_commands").await, 1);
    assert_eq!(world.store.drop_old(Retention::default()).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_log_only_what_is_published_and_old_goes() {
    let mut world = with_small_partitions().await;
    for n in 0..6 {
        world.apply(register(&name(n), &format!("https://a.org/{n}"), None)).await;
        world.store.make_partitions(small()).await.unwrap();
    }
    let none = Vec::<String>::new();
    let brief = Retention { events: TimeDelta::days(1), ..small() };
    assert_eq!(world.store.drop_old(brief).await.unwrap(), none, "not published");
    world.store.move_cursor(0, 6, true).await.unwrap();
    assert_eq!(world.store.drop_old(brief).await.unwrap(), none, "not old");
    world.sql("UPDATE events SET date_created = date_created - interval '2 days'").await;
    assert_eq!(
        world.store.drop_old(brief).await.unwrap(),
        ["events_1"],
        "of the second the end is not reached"
    );
    let left: Vec<_> = world.store.events_after(0, 10).await.unwrap().iter().map(|event| event.id).collect();
    assert_eq!(left, [6]);
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_left_half_detached_is_finished_first() {
    let mut world = World::new().await;
    world
        .sql(
            "CREATE TABLE results_20200101 PARTITION OF results
                 FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00');
             CREATE TABLE results_20200102 PARTITION OF results
                 FOR VALUES FROM ('2020-01-02 00:00+00') TO ('2020-01-03 00:00+00')",
        )
        .await;
    let reader = world.database.client().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM results").await.unwrap();
    // The first half is done, then it waits for the reader, and gives up: this session, and then that of the store.
    let detach = "ALTER TABLE results DETACH PARTITION results_20200101 CONCURRENTLY";
    world.sql("SET lock_timeout = '50ms'").await;
    world.client.batch_execute(detach).await.unwrap_err();
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    assert_eq!(world.number(pending).await, 1);
    reader.batch_execute("ROLLBACK").await.unwrap();

    let dropped = world.store.drop_old(Retention::default()).await.unwrap();
    assert_eq!(dropped, ["results_20200101", "results_20200102"]);
    assert_eq!(world.number(pending).await, 0);
    assert_eq!(world.number("SELECT count(*) FROM pg_class WHERE relname LIKE 'results_2020%'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_holds_up_nobody_and_what_was_not_done_is_done_the_next_time() {
    let mut world = World::new().await;
    world
        .sql(
            "CREATE TABLE results_20200101 PARTITION OF results
                 FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')",
        )
        .await;
    let reader = world.database.client().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM results").await.unwrap();
    assert!(world.store.drop_old(Retention::default()).await.is_err());
    reader.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(world.store.drop_old(Retention::default()).await.unwrap(), ["results_20200101"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_detached_and_not_yet_dropped_is_dropped_the_next_time() {
    let mut world = World::new().await;
    world
        .sql(
            "CREATE TABLE results_20200101 (LIKE results INCLUDING DEFAULTS);
             CREATE TABLE results_of_an_analyst (LIKE results INCLUDING DEFAULTS)",
        )
        .await;
    assert_eq!(world.store.drop_old(Retention::default()).await.unwrap(), ["results_20200101"]);
    assert_eq!(
        world.number("SELECT count(*) FROM pg_class WHERE relname = 'results_of_an_analyst'").await,
        1
    );
}

/// Section 10: each event keeps the epoch in which it was written.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_keeps_its_epoch_and_says_with_which_id_that_began() {
    let mut world = World::new().await;
    world.apply_all(&[register(&name(0), "https://a.org/0", None), request(&name(0))]).await;
    world
        .sql(
            "INSERT INTO event_epochs (epoch, first_id) SELECT gen_random_uuid(), next_id FROM event_counter;
             UPDATE event_counter SET epoch = (SELECT epoch FROM event_epochs ORDER BY first_id DESC LIMIT 1)",
        )
        .await;
    world.apply_all(&[register(&name(1), "https://a.org/1", None)]).await;
    let events = world.store.events_after(0, 10).await.unwrap();
    let firsts: Vec<_> = events.iter().map(|event| (event.id, event.epoch_first)).collect();
    assert_eq!(firsts, [(1, 1), (2, 1), (3, 3)]);
    assert_eq!(events[0].epoch, events[1].epoch);
    assert_ne!(events[1].epoch, events[2].epoch);
    let ids: std::collections::HashSet<_> =
        events.iter().map(code_imports::domain::event::Event::message_id).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_is_moved_only_from_where_it_was_left() {
    let mut world = World::new().await;
    world.apply_all(&[register(&name(0), "https://a.org/0", None), request(&name(0))]).await;
    world.store.move_cursor(0, 1, true).await.unwrap();
    assert!(world.store.move_cursor(0, 2, true).await.is_err());
    world.store.move_cursor(1, 2, false).await.unwrap();
    let end = world.store.log_end().await.unwrap();
    assert_eq!((end.end, end.published), (2, 2));
}
