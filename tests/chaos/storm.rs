//! One seed: everybody starts, things break for a while, all calms down, and the referee judges.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::evidence::Evidence;
use crate::faults::{inject, inject_both, say};
use crate::history::{Calm, now};
use crate::process::{pass, until};
use crate::referee::judge;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::settings::{DECLARED, DISPATCH_TIMEOUT, HEARTBEAT_TIMEOUT, RECOVERY, Settings};
use crate::world::World;

/// Between two looks at the invariants.
const LOOK: Duration = Duration::from_secs(4);

/// More than the bounds: a worker's next free slot, and a busy machine.
const ROOM: Duration = Duration::from_secs(5);

pub(crate) async fn run(settings: Settings) -> Report {
    println!("seed {}, {:?} of faults", settings.seed, settings.storm);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/chaos");
    std::fs::create_dir_all(&root).unwrap();
    let directory = tempfile::Builder::new().prefix("chaos-").tempdir().unwrap();
    allow_all(directory.path());
    let mut world = World::start(settings, directory.path()).await;
    let begun = Instant::now();
    let started = async || world.count("SELECT count(*) FROM results").await.is_some_and(|count| count > 20);
    assert!(until(Duration::from_secs(90), started).await, "nobody works: {}", keep(&world));
    assert!(world.real.until_ready().await, "nothing real is imported: {}", keep(&world));
    say(&world, "everybody works");
    break_things(&world).await;
    let calm = now();
    world.calm().await;
    let begun_after = settle(&world).await;
    let ended_after = (now() - calm).to_std().unwrap();
    say(
        &world,
        &format!(
            "{begun_after:?} after the last fault all that was due has begun, after {ended_after:?} ended"
        ),
    );
    let undrained = world.leave().await;
    world.history.facts().calm.undrained = undrained;
    world.read_answers();
    quieten(&world).await;
    let evidence = Evidence::read(&world).await;
    world.hear_up_to(evidence.next_event - 1).await;
    let facts = world.history.facts().clone();
    let report =
        Report::new(settings, &facts, &evidence, judge(&facts, &evidence), (begun_after, begun.elapsed()));
    if !report.is_good() {
        println!("kept: {}", keep(&world));
    }
    report
}

/// The user that PostgreSQL runs as must get at its folder.
fn allow_all(directory: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// One fault after the other, now and then two at once, while the upstream changes and the referee looks.
async fn break_things(world: &World) {
    let end = Instant::now() + world.settings.storm;
    let breaking = async {
        let mut schedule = Schedule::new(world.settings).peekable();
        while Instant::now() < end {
            let Some(planned) = schedule.next() else { return };
            match schedule.next_if(|next| planned.is_joined && next.kind.goes_with(planned.kind)) {
                Some(second) => inject_both(world, &planned, &second).await,
                None => inject(world, &planned).await,
            }
            pass(planned.pause).await;
        }
    };
    let looking = async {
        loop {
            world.look().await;
            world.real.check().await;
            pass(LOOK).await;
        }
    };
    tokio::select! {
        () = breaking => {}
        () = looking => {}
        () = Arc::clone(&world.real).change() => {}
    }
}

/// Waits until everything that is due now has begun, and tells how long that took: what was handed out already may
/// have lost its mark or its message, so it has the dispatch timeout more. And until every run has ended, those of
/// workers that died too.
async fn settle(world: &World) -> Duration {
    let calm = Instant::now();
    let then = now().to_rfc3339();
    let due = format!("state = 'PENDING' AND date_due <= '{then}'");
    let is_fresh = format!("{due} AND (date_dispatched IS NULL OR date_dispatched > '{then}')");
    let mut waiting = left_after(world, RECOVERY + ROOM, &is_fresh).await;
    let limit = (DISPATCH_TIMEOUT + RECOVERY + ROOM).saturating_sub(calm.elapsed());
    waiting.extend(left_after(world, limit, &due).await);
    waiting.sort();
    waiting.dedup();
    let begun_after = calm.elapsed();
    let running = format!("state = 'RUNNING' AND date_started <= '{then}'");
    let running = left_after(world, HEARTBEAT_TIMEOUT * 2 + RECOVERY, &running).await;
    let mut unready = Vec::new();
    for coordinator in &world.coordinators {
        let ready = async || coordinator.readiness().await.is_some_and(|(code, _)| code == 200);
        if !until(Duration::from_secs(30), ready).await {
            unready.push(format!("{}: {:?}", coordinator.name, coordinator.readiness().await));
        }
    }
    world.history.facts().calm = Calm { waiting, running, unready, undrained: Vec::new() };
    begun_after
}

/// The jobs that are still so when the time is over.
async fn left_after(world: &World, limit: Duration, condition: &str) -> Vec<String> {
    let mut left = None;
    let gone = async || {
        left = world.jobs(condition).await;
        left.as_ref().is_some_and(Vec::is_empty)
    };
    until(limit, gone).await;
    left.unwrap_or_else(|| vec!["the database does not answer".to_owned()])
}

/// Waits until what workers said has been taken, and the management plugin has counted it: a node that was restarted
/// has no numbers for some seconds.
async fn quieten(world: &World) {
    let quiet = async || {
        let queues = world.broker.messages().await.unwrap_or_default();
        DECLARED.iter().all(|name| queues.contains_key(*name))
            && queues.iter().all(|(name, messages)| *messages <= 1 || name.starts_with("work."))
    };
    until(Duration::from_secs(40), quiet).await;
}

/// Keeps the logs of a run that failed.
fn keep(world: &World) -> String {
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("target/chaos/{}", world.settings.seed));
    let _ = std::fs::remove_dir_all(&kept);
    std::fs::create_dir_all(&kept).unwrap();
    for entry in std::fs::read_dir(&world.directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::copy(&path, kept.join(path.file_name().unwrap())).unwrap();
        }
    }
    kept.display().to_string()
}
