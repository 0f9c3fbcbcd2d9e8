//! This release beside the one before, as an upgrade without a pause has it.
//!
//! `previous` names the commit of the one before. `make test-upgrade` builds it and runs this.

#![allow(dead_code, reason = "what `binary` has for all of its tests is not all used here")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

#[path = "../binary/audit.rs"]
mod audit;
#[path = "../binary/door.rs"]
mod door;
#[path = "../cluster/load.rs"]
mod load;
#[path = "../binary/process.rs"]
mod process;
#[path = "../binary/server.rs"]
mod server;
#[path = "../binary/simulation.rs"]
mod simulation;
#[path = "../binary/talker.rs"]
mod talker;
#[path = "../binary/upstream.rs"]
mod upstream;
#[path = "../binary/world.rs"]
mod world;

use std::path::PathBuf;

use audit::Audit;
use load::{Load, SERVE};
use server::Server;
use upstream::Upstream;
use world::World;

/// Where `scripts/tools previous` has put the release before.
fn previous() -> PathBuf {
    let commit = include_str!("previous").trim();
    let executable = PathBuf::from(format!("{}/.tools/previous-{commit}", env!("CARGO_MANIFEST_DIR")));
    assert!(executable.exists(), "type `scripts/tools previous`");
    executable
}

/// The simulated workers are this release's, from the beginning; the real one is the release before's, to the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_takes_over_from_the_one_before_without_a_pause() {
    // A database of its own, in which no migration of this release has run.
    let database = Server::postgresql().await;
    let mut world = World::made_by(previous(), Some(database.url.clone()), None).await;
    let this = PathBuf::from(env!("CARGO_BIN_EXE_code-imports"));
    let upstream = Upstream::serve(&world).await;
    Audit::bind(&world.amqp_url).await;
    let old = world.serve("old", SERVE);
    let old_worker = world.work("old-worker");
    let load = Load::begin_with(&world, |n| upstream.another_url(n)).await;

    let before = std::mem::replace(&mut world.executable, this.clone());
    world.run("migrate").await;
    load.goes_on(&world).await;
    // The release before is restarted on the new schema: an upgrade that has to wait, or is taken back.
    world.executable = before;
    old.process.terminate().await;
    let old = world.serve("old again", SERVE);
    load.goes_on(&world).await;
    old.ready().await;

    world.executable = this;
    let new = world.serve("new", SERVE);
    new.ready().await;
    load.goes_on(&world).await;
    old.ready().await;
    old.process.terminate().await;
    load.goes_on(&world).await;
    let done = world.count(RESULTS_OF_OLD_WORKER).await;
    world.at_least(done + 10, RESULTS_OF_OLD_WORKER).await;
    new.ready().await;

    old_worker.terminate().await;
    load.end(&world).await;
    let failed = "SELECT count(*) FROM results WHERE status NOT IN ('SUCCESS', 'SUCCESS_NOCHANGE', 'INTERNAL_FAILURE')";
    assert_eq!(world.count(failed).await, 0);
    new.process.terminate().await;
}

const RESULTS_OF_OLD_WORKER: &str = "SELECT count(*) FROM results WHERE machine = 'old-worker'";
