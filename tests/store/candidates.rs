//! What dispatcher and reaper find: hints, which the rules judge again.

use chrono::TimeDelta;
use code_imports::domain::{Job, JobId, RcsType, Timestamp};
use code_imports::store::DueJob;
use code_imports::workflow::Command;

use crate::world::{World, code, is_applied, machine, name, request, start};

/// A moment that is later than all that was written, and earlier than all that is to come.
async fn now(world: &mut World) -> Timestamp {
    world.store.now().await.unwrap()
}

fn ids(due: &[DueJob]) -> Vec<JobId> {
    due.iter().map(|due| due.id).collect()
}

/// Makes jobs due so many days ago.
async fn due_days_ago(world: &World, jobs: &[Job], days: &[i64]) {
    for (job, days) in jobs.iter().zip(days) {
        let update =
            format!("UPDATE jobs SET date_due = now() - interval '{days} days' WHERE id = {}", job.id);
        world.sql(&update).await;
    }
}

async fn listen(world: &World, heard_s: i64, since_s: i64) {
    world
        .sql(&format!(
            "INSERT INTO hearing (heard, since)
             VALUES (now() - interval '{heard_s} s', now() - interval '{since_s} s')
             ON CONFLICT (is_only) DO UPDATE SET heard = EXCLUDED.heard, since = EXCLUDED.since"
        ))
        .await;
}

// covers: CIJ-42 CIJ-43 CIJ-44 CIJ-45 CIJ-46 CIJ-47 CIJ-50
#[tokio::test(flavor = "multi_thread")]
async fn due_jobs_are_pending_and_due_and_those_due_longest_come_first() {
    let mut world = World::new().await;
    let moment = now(&mut world).await;
    assert_eq!(world.store.due_jobs(RcsType::Git, None, moment, 10).await.unwrap(), []);

    let (mut world, jobs) = World::with_imports(5).await;
    due_days_ago(&world, &jobs, &[2, 10, 5, -1, 20]).await;
    world.apply(start(&jobs[4])).await;
    let moment = now(&mut world).await;
    let due = world.store.due_jobs(RcsType::Git, None, moment, 10).await.unwrap();
    assert_eq!(ids(&due), [jobs[1].id, jobs[2].id, jobs[0].id]);
    assert_eq!(world.store.due_jobs(RcsType::Git, None, moment, 1).await.unwrap(), due[..1]);
    assert_eq!(world.store.due_jobs(RcsType::Svn, None, moment, 10).await.unwrap(), []);
    let from = Some(moment - TimeDelta::days(6));
    assert_eq!(world.store.due_jobs(RcsType::Git, from, moment, 10).await.unwrap(), due[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_jobs_that_are_due_since_the_same_moment_the_older_comes_first() {
    let (mut world, jobs) = World::with_imports(3).await;
    world.sql("UPDATE jobs SET date_due = '2026-01-01 UTC'").await;
    let moment = now(&mut world).await;
    let due = world.store.due_jobs(RcsType::Git, None, moment, 10).await.unwrap();
    assert_eq!(ids(&due), jobs.iter().map(|job| job.id).collect::<Vec<_>>());
}

// covers: CIJ-48 CIJ-49
#[tokio::test(flavor = "multi_thread")]
async fn requested_jobs_are_found_apart_those_due_longest_first() {
    let (mut world, jobs) = World::with_imports(4).await;
    due_days_ago(&world, &jobs, &[1, 9, 3, 4]).await;
    let by_another = Command::RequestJob { job: jobs[2].id, user: "no-priv".parse().unwrap() };
    world.apply_all(&[request(&name(0)), by_another]).await;
    let moment = now(&mut world).await;
    let requested = world.store.requested_jobs(RcsType::Git, None, moment, 10).await.unwrap();
    assert_eq!(ids(&requested), [jobs[2].id, jobs[0].id]);
    let from = Some(moment - TimeDelta::days(2));
    let requested = world.store.requested_jobs(RcsType::Git, from, moment, 10).await.unwrap();
    assert_eq!(ids(&requested), [jobs[0].id]);
}

// covers: CIJ-51
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_handed_out_is_not_due_until_it_is_lost() {
    let (mut world, jobs) = World::with_imports(2).await;
    let dispatch = Command::Dispatch { job: jobs[0].id };
    assert!(is_applied(&world.apply(dispatch.clone()).await));
    assert_eq!(code(&world.apply(dispatch.clone()).await), "not-due");
    let moment = now(&mut world).await;
    let due = world.store.due_jobs(RcsType::Git, None, moment, 10).await.unwrap();
    assert_eq!(ids(&due), [jobs[1].id]);
    assert_eq!(world.store.lost_jobs(RcsType::Git, moment - TimeDelta::minutes(10), 10).await.unwrap(), []);

    world.sql("UPDATE jobs SET date_dispatched = date_dispatched - interval '11 min'").await;
    let lost = world.store.lost_jobs(RcsType::Git, moment - TimeDelta::minutes(10), 10).await.unwrap();
    assert_eq!((lost.len(), lost[0].job.id), (1, jobs[0].id));
    assert!(is_applied(&world.apply(dispatch).await));

    let mark = world.job_of(&name(0)).await.unwrap().date_dispatched.unwrap();
    let undispatch = |date_dispatched| Command::Undispatch { job: jobs[0].id, date_dispatched };
    assert_eq!(code(&world.apply(undispatch(mark - TimeDelta::seconds(1))).await), "not-due");
    assert!(is_applied(&world.apply(undispatch(mark)).await));
    let due = world.store.due_jobs(RcsType::Git, None, moment, 10).await.unwrap();
    assert_eq!(due.len(), 2);
}

// covers: CIJ-52 CIJ-53 CIJ-54 CIJ-55 CIJ-56
#[tokio::test(flavor = "multi_thread")]
async fn silent_jobs_are_running_and_were_not_heard_of_for_longer_than_the_timeout() {
    let (mut world, jobs) = World::with_imports(4).await;
    world.apply_all(&[start(&jobs[0]), start(&jobs[1]), start(&jobs[2])]).await;
    for (job, seconds) in jobs.iter().zip([150, 600, 301]) {
        let at = format!("now() - interval '{seconds} s'");
        world
            .sql(&format!("UPDATE jobs SET date_started = {at}, heartbeat = {at} WHERE id = {}", job.id))
            .await;
    }
    let timeout = TimeDelta::seconds(300);
    let all = Timestamp::UNIX_EPOCH;
    assert_eq!(world.store.silent_jobs(timeout, all, 10).await.unwrap(), [], "we never heard ourselves");
    listen(&world, 0, 299).await;
    assert_eq!(world.store.silent_jobs(timeout, all, 10).await.unwrap(), [], "we have not listened for long");
    listen(&world, 0, 3600).await;
    let mut silent: Vec<_> =
        world.store.silent_jobs(timeout, all, 10).await.unwrap().iter().map(|silent| silent.job).collect();
    silent.sort();
    assert_eq!(silent, [jobs[1].id, jobs[2].id]);
    let oldest = world.store.oldest_start(None).await.unwrap().unwrap();
    let after = oldest + TimeDelta::seconds(1);
    let later = world.store.silent_jobs(timeout, after, 10).await.unwrap();
    assert_eq!(later.iter().map(|silent| silent.job).collect::<Vec<_>>(), [jobs[2].id]);
    let next = world.store.oldest_start(Some(after)).await.unwrap().unwrap();
    assert_eq!((next - oldest).num_seconds(), 299);

    let reclaim = |job: &Job| Command::Reclaim { import: job.import_id, job: job.id };
    let outcomes = world.apply_all(&jobs.iter().map(reclaim).collect::<Vec<_>>()).await;
    let codes: Vec<_> = outcomes.iter().map(code).collect();
    assert_eq!(codes, ["not-silent", "", "", "not-running"]);
    assert_eq!(world.store.silent_jobs(timeout, all, 10).await.unwrap(), []);
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_machines_go_off_line_and_their_jobs_go_on() {
    let (mut world, jobs) = World::with_imports(1).await;
    world.apply(start(&jobs[0])).await;
    listen(&world, 0, 3600).await;
    let timeout = TimeDelta::seconds(300);
    assert_eq!(world.store.silent_machines(timeout, 10).await.unwrap(), []);
    world.sql("UPDATE machines SET heartbeat = now() - interval '301 s'").await;
    assert_eq!(world.store.silent_machines(timeout, 10).await.unwrap(), [machine()]);
    assert!(is_applied(&world.apply(Command::Watch { machine: machine() }).await));
    assert_eq!(world.store.silent_machines(timeout, 10).await.unwrap(), []);
    assert!(world.job_of(&name(0)).await.unwrap().run().is_some());
    assert_eq!(code(&world.apply(Command::Watch { machine: machine() }).await), "wrong-machine-state");
}
