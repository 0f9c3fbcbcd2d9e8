//! Coordinators and workers that are killed, and stopped, at any moment.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::Signal;

use super::Done;
use crate::history::now;
use crate::process::{pass, until};
use crate::world::World;

/// Where a coordinator can be told to end itself: see `src/failpoint.rs`.
const FAILPOINTS: [&str; 7] = [
    "decided-not-committed",
    "committed-not-answered",
    "answered-not-acknowledged",
    "rejected-not-acknowledged",
    "marked-not-published",
    "published-not-remembered",
    "published-cursor-not-moved",
];

/// Where a worker holds the lock of a target, and its lease was found good.
const REFS_LOCKED: &str = "target-locked=stop@2";

/// Longer than the heartbeat timeout, and until another has begun.
const LONG: Duration = Duration::from_secs(75);

pub(super) async fn kill_coordinator(world: &World, chance: &mut StdRng) -> Done {
    let (coordinator, is_leader) = world.coordinator(chance.random_bool(0.7)).await;
    coordinator.send(Signal::KILL).await;
    Done::back_now(format!("{}, leader: {is_leader}", coordinator.name))
}

/// The other one must take over while it is stopped.
pub(super) async fn stop_coordinator(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let (coordinator, is_leader) = world.coordinator(chance.random_bool(0.7)).await;
    coordinator.send(Signal::STOP).await;
    let stopped = now();
    let what = format!("{}, leader: {is_leader}", coordinator.name);
    // It is continued whether the other one has taken over or not.
    tokio::spawn(Arc::clone(coordinator).go_on_after(lasts + Duration::from_secs(3)));
    Done { back: Some(stopped), ..Done::back_now(what) }
}

pub(super) async fn terminate_coordinator(world: &World, chance: &mut StdRng) -> Done {
    let (coordinator, is_leader) = world.coordinator(chance.random_bool(0.5)).await;
    coordinator.send(Signal::TERM).await;
    Done::back_now(format!("{}, leader: {is_leader}", coordinator.name))
}

pub(super) async fn kill_both(world: &World, lasts: Duration) -> Done {
    for coordinator in &world.coordinators {
        coordinator.hold_down().await;
    }
    pass(lasts).await;
    for coordinator in &world.coordinators {
        coordinator.release().await;
    }
    Done::back_now("both")
}

pub(super) async fn die_at_failpoint(world: &World, chance: &mut StdRng) -> Done {
    let (failpoint, coordinator) = arm(world, chance, "kill").await;
    // It does not always come there, for instance where it does not lead.
    let is_dead = until(Duration::from_secs(12), async || !coordinator.is_armed().await).await;
    if !is_dead {
        coordinator.calm().await;
    }
    Done::back_now(format!("{}: {failpoint}", coordinator.name)).if_it_was(is_dead)
}

pub(super) async fn stop_at_failpoint(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let (failpoint, coordinator) = arm(world, chance, "stop").await;
    let is_stopped = until(Duration::from_secs(12), async || coordinator.is_down().await).await;
    let stopped = now();
    let what = format!("{}: {failpoint}", coordinator.name);
    if is_stopped {
        tokio::spawn(Arc::clone(coordinator).go_on_after(lasts + Duration::from_secs(3)));
        Done { back: Some(stopped), ..Done::back_now(what) }
    } else {
        // It must not come there one day.
        coordinator.calm().await;
        Done::back_now(what).if_it_was(false)
    }
}

/// Starts a coordinator anew, which will do that to itself.
async fn arm<'a>(
    world: &'a World,
    chance: &mut StdRng,
    action: &str,
) -> (String, &'a Arc<crate::coordinator::Coordinator>) {
    let name = FAILPOINTS[chance.random_range(0..FAILPOINTS.len())];
    let failpoint = format!("{name}={action}@{}", chance.random_range(1..8));
    let coordinator = &world.coordinators[chance.random_range(0..2)];
    coordinator.arm(&failpoint).await;
    // The old one is gone when the new one answers.
    until(Duration::from_secs(15), async || coordinator.readiness().await.is_some()).await;
    // Some places only a leader comes to, so the other one must not lead.
    if let Some(other) = world.coordinators.iter().find(|other| !Arc::ptr_eq(other, coordinator)) {
        other.send(Signal::KILL).await;
    }
    (failpoint, coordinator)
}

pub(super) async fn kill_worker(world: &World, chance: &mut StdRng) -> Done {
    let number = chance.random_range(0..2);
    world.real.kill(number).await;
    Done::nothing_to_recover(crate::real::name(number))
}

pub(super) async fn stop_worker(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let number = chance.random_range(0..2);
    world.real.stop(number, lasts).await;
    Done::nothing_to_recover(crate::real::name(number))
}

/// In the background: another run of its import begins meanwhile, and then it wakes up.
pub(super) async fn stop_worker_long(world: &World, chance: &mut StdRng) -> Done {
    let number = chance.random_range(0..2);
    let real = Arc::clone(&world.real);
    let (is_at_refs, what) = (chance.random_bool(0.5), crate::real::name(number));
    let stopping = async move {
        if is_at_refs {
            // It stops itself there; the signal is the same.
            real.begin_anew(number, Some(REFS_LOCKED)).await;
            pass(Duration::from_secs(10)).await;
        }
        real.stop(number, LONG).await;
        if is_at_refs {
            // It does what it was about to do; if it never came there, it must not do so later.
            pass(Duration::from_secs(5)).await;
            real.kill(number).await;
        }
    };
    world.real.trouble(number, stopping).await;
    Done::nothing_to_recover(format!("{what}, as it moves refs: {is_at_refs}"))
}

pub(super) async fn drop_library_worker(world: &World, chance: &mut StdRng) -> Done {
    let number = chance.random_range(0..2);
    world.library.die(number).await;
    Done::nothing_to_recover(format!("library-{number}"))
}
