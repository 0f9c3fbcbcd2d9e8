//! How each fault is done, and undone.

mod broker;
mod database;
mod network;
mod poison;
mod processes;

use std::time::Duration;

use chrono::DateTime;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

use crate::history::{At, Injected, Recovery, Span, now};
use crate::process::until;
use crate::referee::is_bounded;
use crate::schedule::{Kind, Planned};
use crate::settings::LONGER_THAN_THAT;
use crate::world::World;

/// So long a recovery is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is left when a fault is over.
pub(crate) struct Done {
    /// To what it was done.
    what: String,
    /// From when on things can go on: the servers are back, or the leader is dead. None: they always could.
    back: Option<At>,
    /// Whether it came to what it is called: a lock may not be had, a queue may be gone already.
    came_about: bool,
}

impl Done {
    fn nothing_to_recover(what: impl Into<String>) -> Self {
        Self { what: what.into(), back: None, came_about: true }
    }

    fn back_now(what: impl Into<String>) -> Self {
        Self { what: what.into(), back: Some(now()), came_about: true }
    }

    fn if_it_was(self, came_about: bool) -> Self {
        Self { came_about, ..self }
    }
}

/// From when on work could go on, after faults of these kinds.
pub(crate) type Back = Option<(Kind, At)>;

/// Breaks something, mends it, and sees how long it takes until work goes on.
pub(crate) async fn inject(world: &World, planned: &Planned) {
    if let Some((kind, since)) = break_and_mend(world, planned).await {
        recover(world, kind.name(), since).await;
    }
    follow_up(world, planned.kind).await;
}

/// What is left to be done once work goes on: there must be a standby to fail over to again.
async fn follow_up(world: &World, kind: Kind) {
    if kind == Kind::FailOver {
        world.database.follow().await;
    }
}

/// The same with two at once: work can go on when both are mended.
pub(crate) async fn inject_both(world: &World, first: &Planned, second: &Planned) {
    let kinds = [first.kind, second.kind];
    let (first, second) = tokio::join!(break_and_mend(world, first), break_and_mend(world, second));
    // What lasted longer than that from which to recover hid how soon work went on.
    let is_over = first.is_some() && second.is_some();
    let both: Vec<(Kind, At)> = [first, second].into_iter().flatten().collect();
    // What the network still hides is not for the other one to answer for.
    let is_hidden = both.iter().any(|(kind, _)| !is_bounded(kind.name()));
    let since = both.iter().map(|(_, since)| *since).max().filter(|_| is_over);
    for (kind, _) in both.iter().filter(|(kind, _)| !is_hidden || !is_bounded(kind.name())) {
        recover(world, kind.name(), since.unwrap_or_else(now)).await;
    }
    for kind in kinds {
        follow_up(world, kind).await;
    }
}

async fn break_and_mend(world: &World, planned: &Planned) -> Back {
    let mut chance = StdRng::seed_from_u64(planned.details);
    let chance = &mut chance;
    let from = now();
    let (kind, lasts) = (planned.kind, planned.lasts);
    say(world, &format!("{}: begins", kind.name()));
    let done = match kind {
        Kind::KillCoordinator => processes::kill_coordinator(world, chance).await,
        Kind::StopCoordinator => processes::stop_coordinator(world, chance, lasts).await,
        Kind::TerminateCoordinator => processes::terminate_coordinator(world, chance).await,
        Kind::DieAtFailpoint => processes::die_at_failpoint(world, chance).await,
        Kind::StopAtFailpoint => processes::stop_at_failpoint(world, chance, lasts).await,
        Kind::KillBoth => processes::kill_both(world, lasts).await,
        Kind::KillWorker => processes::kill_worker(world, chance).await,
        Kind::StopWorker => processes::stop_worker(world, chance, lasts).await,
        Kind::StopWorkerLong => processes::stop_worker_long(world, chance).await,
        Kind::DropLibraryWorker => processes::drop_library_worker(world, chance).await,
        Kind::RestartBroker => broker::restart(world).await,
        Kind::KillBroker => broker::kill(world).await,
        Kind::StopBroker => broker::stop(world, lasts).await,
        Kind::HangBroker => broker::hang(world, lasts).await,
        Kind::PurgeQueue => broker::purge(world, chance).await,
        Kind::DeleteQueue => broker::delete(world, chance).await,
        Kind::DeleteTopology => broker::delete_topology(world).await,
        Kind::CloseConnections => broker::close_connections(world).await,
        Kind::MemoryAlarm => broker::memory_alarm(world, lasts).await,
        Kind::DeliveryLimit => broker::exceed_delivery_limit(world).await,
        Kind::RestartDatabase => database::end(world, Signal::INT, Duration::ZERO).await,
        Kind::KillDatabase => database::end(world, Signal::KILL, Duration::ZERO).await,
        Kind::StopDatabase => database::end(world, Signal::QUIT, Duration::ZERO).await,
        Kind::TerminateConnections => database::terminate_connections(world).await,
        Kind::FullDisk => database::fill_disk(world, lasts).await,
        Kind::HoldLock => database::hold_lock(world, chance, lasts).await,
        Kind::StatementTimeout => database::statement_timeout(world, chance).await,
        Kind::FailOver => database::fail_over(world, chance).await,
        Kind::Cut => network::cut(world, chance, lasts).await,
        Kind::Delay => network::delay(world, chance, lasts).await,
        Kind::Throttle => network::throttle(world, chance, lasts).await,
        Kind::HalfOpen => network::half_open(world, chance, lasts).await,
        Kind::Poison => poison::publish(world, chance).await,
        Kind::Outage => outage(world, chance).await,
    };
    let span = Span { from, until: now() };
    let Done { what, back, came_about } = done;
    say(world, &format!("{}: {what}{}", kind.name(), if came_about { "" } else { ": not done" }));
    world.history.facts().injected.push(Injected { kind: kind.name(), what, span, came_about });
    back.map(|since| (kind, since))
}

/// Nobody of ours listens for longer than the heartbeat timeout, and no run may be reclaimed for it.
async fn outage(world: &World, chance: &mut StdRng) -> Done {
    match chance.random_range(0..3) {
        0 => {
            processes::kill_both(world, LONGER_THAN_THAT).await;
            Done::back_now("coordinators")
        }
        1 => {
            broker::stop(world, LONGER_THAN_THAT).await;
            Done::back_now("RabbitMQ")
        }
        _ => {
            database::end(world, Signal::INT, LONGER_THAN_THAT).await;
            Done::back_now("PostgreSQL")
        }
    }
}

/// Waits until a job is started that was dispatched after this moment.
pub(crate) async fn recover(world: &World, kind: &'static str, since: At) {
    let query = format!(
        "SELECT (extract(epoch FROM min(date_started)) * 1000000)::bigint FROM jobs
         WHERE state = 'RUNNING' AND date_dispatched >= '{}' AND date_started >= '{0}'",
        since.to_rfc3339()
    );
    let mut started = None;
    let asking = until(PATIENCE, async || {
        started = world.count(&query).await;
        started.is_some()
    });
    asking.await;
    let took = |started| (DateTime::from_timestamp_micros(started).unwrap() - since).as_seconds_f64();
    let seconds = started.map(took);
    say(world, &format!("{kind}: recovered after {seconds:?} s"));
    world.history.facts().recoveries.push(Recovery { kind, since, seconds });
}

/// Tells whoever looks.
pub(crate) fn say(world: &World, what: &str) {
    use std::io::Write;
    let line = format!("{} {what}", now().format("%H:%M:%S%.3f"));
    println!("{line}");
    let mut log = crate::process::append(&world.directory.join("harness.log"));
    writeln!(log, "{line}").unwrap();
}
