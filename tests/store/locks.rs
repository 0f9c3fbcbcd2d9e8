//! Who waits for whom, and what is seen after waiting.

use code_imports::domain::{Source, Status};
use code_imports::workflow::{Act, Command, Made, Outcome, Reply};
use tokio_postgres::Client;

use crate::world::{World, ask, beat, finish, is_applied, machine, name, request, start, unique_name};

/// Waits until somebody waits for a lock in this database.
async fn until_somebody_waits(client: &Client) {
    let query = "SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while client.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
}

/// Decision 1: what a start reads of its import, it reads after it has locked the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waited_is_given_the_source_as_it_is_now() {
    let (mut world, jobs) = World::with_imports(1).await;
    let other = world.database.client().await;
    let change = "BEGIN; SELECT 1 FROM jobs FOR NO KEY UPDATE; UPDATE imports SET url = 'https://a.org/new'";
    other.batch_execute(change).await.unwrap();
    let ending = async {
        until_somebody_waits(&world.client).await;
        let moment: String = other.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
        other.batch_execute("COMMIT").await.unwrap();
        moment
    };
    let words = [start(&jobs[0])];
    let (outcomes, moment) = tokio::join!(world.store.apply(&words, &world.policy), ending);
    let Outcome::Applied(Reply::Started(import)) = outcomes.unwrap().remove(0) else {
        panic!("the start is accepted")
    };
    assert!(import.source == Source::Url("https://a.org/new".to_owned()));
    // And now is read after the locks.
    let later = format!("SELECT count(*) FROM jobs WHERE date_started > '{moment}'");
    assert_eq!(world.number(&later).await, 1);
}

/// Decision 1: a request that waits on a job being finished finds the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waited_finds_the_job_that_came_meanwhile() {
    let (mut world, jobs) = World::with_imports(1).await;
    let other = world.database.client().await;
    let next = "BEGIN; SELECT 1 FROM imports FOR NO KEY UPDATE; SELECT 1 FROM jobs FOR UPDATE;
        DELETE FROM jobs; INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due)
        SELECT 4242, id, rcs_type, 'PENDING', now(), now() FROM imports";
    other.batch_execute(next).await.unwrap();
    let ending = async {
        until_somebody_waits(&world.client).await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let words = [request(&name(0)), start(&jobs[0])];
    let (outcomes, ()) = tokio::join!(world.store.apply(&words, &world.policy), ending);
    let outcomes = outcomes.unwrap();
    let Outcome::Applied(Reply::Made(Made { job: Some(job), .. })) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(job.0, 4242);
}

/// Section 7: a machine's row is locked only to move its heartbeat, or to change its state.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_just_heard_of_is_not_locked() {
    let (mut world, jobs) = World::with_imports(1).await;
    world.apply(Command::Heartbeat { machine: machine(), is_idle: true, beats: Vec::new() }).await;
    let other = world.database.client().await;
    other.batch_execute("BEGIN; SELECT 1 FROM machines FOR NO KEY UPDATE").await.unwrap();
    let words = [start(&jobs[0]), beat(&jobs[0], "tail"), finish(&jobs[0], Status::Success)];
    assert!(world.apply_all(&words).await.iter().all(is_applied));
    other.batch_execute("ROLLBACK").await.unwrap();
}

/// Decision 4: the counter is locked last, so whoever waits for it holds up nobody's decision.
#[tokio::test(flavor = "multi_thread")]
async fn what_writes_no_event_does_not_wait_for_the_counter() {
    let (mut world, jobs) = World::with_imports(1).await;
    world.apply(start(&jobs[0])).await;
    let other = world.database.client().await;
    other.batch_execute("BEGIN; SELECT 1 FROM event_counter FOR UPDATE").await.unwrap();
    assert!(is_applied(&world.apply(beat(&jobs[0], "tail")).await));
    other.batch_execute("ROLLBACK").await.unwrap();
}

/// A machine that is drained: idle by its own word, and by the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiescing_machine_is_drained_once_its_last_job_ended() {
    let (mut world, jobs) = World::with_imports(1).await;
    world.apply(start(&jobs[0])).await;
    let state = code_imports::domain::machine::MachineStateName::Quiescing;
    let quiesce = ask(None, Act::SetMachine { machine: machine(), state, message: Some("disk".to_owned()) });
    assert!(is_applied(&world.apply(quiesce).await));
    world.sql("UPDATE machines SET date_state = date_state - interval '31 s'").await;
    let idle = Command::Heartbeat { machine: machine(), is_idle: true, beats: Vec::new() };
    world.apply(idle.clone()).await;
    let offline = "SELECT count(*) FROM machines WHERE offline_reason = 'QUIESCED'";
    assert_eq!(world.number(offline).await, 0, "the database knows that it runs a job");
    world.apply(finish(&jobs[0], Status::Success)).await;
    world.apply(idle).await;
    assert_eq!(world.number(offline).await, 1);
    let request = ask(None, Act::Request { import: unique_name(&name(0)) });
    assert!(is_applied(&world.apply(request).await));
    world.check_invariants().await;
}
