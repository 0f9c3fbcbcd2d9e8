//! What errs by itself is rejected alone; what is the database's fault ends the session.

use code_imports::domain::{JobId, JobState, Status};
use code_imports::store::{Retention, Store};
use code_imports::workflow::{Act, Command, Outcome};

use crate::world::{World, ask, beat, code, finish, is_applied, name, register, request, start, unique_name};

/// Longer than the database takes; the protocol cuts such a tail, so no worker can send it.
fn too_long() -> String {
    "x".repeat(5000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_errs_by_itself_is_rejected_alone() {
    let (mut world, jobs) = World::with_imports(8).await;
    world.apply_all(&jobs.iter().map(start).collect::<Vec<_>>()).await;
    for at in 0..jobs.len() {
        let words: Vec<_> = (0..jobs.len())
            .map(|n| beat(&jobs[n], &if n == at { too_long() } else { format!("{at}") }))
            .collect();
        let outcomes = world.apply_all(&words).await;
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(code(outcome), if n == at { "failed" } else { "" }, "{n} of {at}");
        }
        let Outcome::Rejected(rejection) = &outcomes[at] else { unreachable!("it failed") };
        let text = rejection.to_string();
        assert!(
            text.contains("log_tail_is_short") && !text.contains('\n') && !text.contains("xxx"),
            "{text}"
        );
    }
    let tails = "SELECT count(*) FROM jobs WHERE log_tail = '7'";
    assert_eq!(world.number(tails).await, 7);
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effects_of_a_halved_batch_are_there_once_and_in_order() {
    let (mut world, jobs) = World::with_imports(2).await;
    let words = [
        start(&jobs[0]),
        finish(&jobs[0], Status::Success),
        beat(&jobs[1], &too_long()), // implies a start, which goes with it
        finish(&jobs[0], Status::Success),
        start(&jobs[1]),
    ];
    let outcomes = world.apply_all(&words).await;
    assert_eq!(outcomes.iter().map(code).collect::<Vec<_>>(), ["", "", "failed", "", ""]);
    assert!(matches!(outcomes[3], Outcome::Repeated(_)));
    assert!(is_applied(&outcomes[4]));
    let starts = "SELECT count(*) FROM events WHERE event_type = 'START'";
    assert_eq!(world.number(starts).await, 2);
    assert_eq!(world.number("SELECT count(*) FROM results").await, 1);
    world.check_invariants().await;
}

/// Where no statement is prepared yet, each waits for the one before it, and the COMMIT for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn all_of_the_first_batch_of_a_connection_happens_or_nothing() {
    let (mut world, jobs) = World::with_imports(3).await;
    world.apply_all(&jobs.iter().map(start).collect::<Vec<_>>()).await;
    let words =
        [finish(&jobs[0], Status::Success), beat(&jobs[1], &too_long()), finish(&jobs[2], Status::Success)];
    world.store = Store::connect(&world.database.url.parse().unwrap(), "new").await.unwrap();
    let outcomes = world.apply_all(&words).await;
    // The whole batch was tried first: what of it had stayed would make a repeat of these.
    assert!(is_applied(&outcomes[0]) && is_applied(&outcomes[2]), "{outcomes:?}");
    assert_eq!(code(&outcomes[1]), "failed");
    assert_eq!(world.number("SELECT count(*) FROM results").await, 2);
    world.check_invariants().await;
}

/// A short string of AMQP may hold a NUL; no text of PostgreSQL may.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_id_that_the_database_cannot_hold_is_rejected_alone() {
    let (mut world, _) = World::with_imports(2).await;
    let request = |n, id| ask(Some(id), Act::Request { import: unique_name(&name(n)) });
    let long = "i".repeat(256);
    let words = [request(0, "good"), request(1, "a\0b"), request(1, &long), request(1, "better")];
    let outcomes = world.apply_all(&words).await;
    assert_eq!(outcomes.iter().map(code).collect::<Vec<_>>(), ["", "failed", "failed", ""]);
    assert_eq!(world.number("SELECT count(*) FROM applied_commands").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_constraint_refuses_fails_and_says_which() {
    let (mut world, jobs) = World::with_imports(2).await;
    world.sql("ALTER TABLE imports ADD CONSTRAINT no_end CHECK (last_status <> 'FAILURE')").await;
    world.apply_all(&[start(&jobs[0]), start(&jobs[1])]).await;
    let words = [finish(&jobs[0], Status::Failure), finish(&jobs[1], Status::Success)];
    let outcomes = world.apply_all(&words).await;
    assert_eq!(outcomes.iter().map(code).collect::<Vec<_>>(), ["failed", ""]);
    let Outcome::Rejected(rejection) = &outcomes[0] else { unreachable!("it failed") };
    assert!(rejection.to_string().contains("no_end"), "{rejection}");
    // It changed nothing: the job runs, and a finish that the database takes ends it.
    assert!(matches!(world.job_of(&name(0)).await.unwrap().state, JobState::Running(_)));
    assert!(is_applied(&world.apply(finish(&jobs[0], Status::Success)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_partition_ends_the_session_and_rejects_nothing() {
    let (mut world, jobs) = World::with_imports(1).await;
    world.apply(start(&jobs[0])).await;
    world.drop_partitions("results").await;
    let words = [finish(&jobs[0], Status::Success)];
    let error = world.store.apply(&words, &world.policy).await.unwrap_err();
    assert!(error.to_string().contains("no partition"), "{error}");
    assert!(matches!(world.job_of(&name(0)).await.unwrap().state, JobState::Running(_)));

    world.store.make_partitions(Retention::default()).await.unwrap();
    assert!(is_applied(&world.apply(finish(&jobs[0], Status::Success)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_event_counter_nothing_is_applied_rather_than_without_its_event() {
    let (mut world, jobs) = World::with_imports(1).await;
    world.sql("DELETE FROM event_counter").await;
    let error = world.store.apply(&[start(&jobs[0])], &world.policy).await.unwrap_err();
    assert!(error.to_string().contains("no partition"), "{error}");
    assert_eq!(world.number("SELECT count(*) FROM jobs WHERE state = 'RUNNING'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_partition_of_the_log_ends_the_session_too() {
    let mut world = World::new().await;
    world.drop_partitions("events").await;
    let words = [register(&name(0), "https://a.org/b", Some("m1"))];
    assert!(world.store.apply(&words, &world.policy).await.is_err());
    assert_eq!(world.import(&name(0)).await, None);
    assert_eq!(world.number("SELECT count(*) FROM applied_commands").await, 0);
    world.store.make_partitions(Retention::default()).await.unwrap();
    assert!(is_applied(&world.apply_all(&words).await[0]), "the same words again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there_or_a_lock_that_is_held_is_no_messages_fault() {
    let (mut world, jobs) = World::with_imports(1).await;
    let holder = world.database.client().await;
    holder.batch_execute("BEGIN; SELECT 1 FROM jobs FOR UPDATE").await.unwrap();
    let hasty = format!("{}?options=-c%20lock_timeout%3D100ms", world.database.url);
    world.store = Store::connect(&hasty.parse().unwrap(), "test").await.unwrap();
    let error = world.store.apply(&[start(&jobs[0])], &world.policy).await.unwrap_err();
    assert!(error.to_string().contains("lock timeout"), "{error}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    world.sql("ALTER TABLE jobs RENAME TO elsewhere").await;
    assert!(world.store.apply(&[start(&jobs[0])], &world.policy).await.is_err());
    world.sql("ALTER TABLE elsewhere RENAME TO jobs").await;
    assert!(is_applied(&world.apply(start(&jobs[0])).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_nothing_and_a_batch_of_repeats_are_answered() {
    let (mut world, jobs) = World::with_imports(1).await;
    assert_eq!(world.apply_all(&[]).await, []);
    world.apply_all(&[start(&jobs[0]), finish(&jobs[0], Status::Success)]).await;
    let events = world.number("SELECT count(*) FROM events").await;
    let outcomes = world.apply_all(&[start(&jobs[0]), finish(&jobs[0], Status::Success)]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Repeated(_))));
    assert_eq!(world.number("SELECT count(*) FROM events").await, events);
    let unknown = Command::Dispatch { job: JobId(i64::MAX) };
    assert_eq!(code(&world.apply(unknown).await), "unknown-job");
    assert_eq!(code(&world.apply(request("~a/b/c")).await), "unknown-import");
}
