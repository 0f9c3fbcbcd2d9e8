//! What `serve` needs: time to start, memory, and processor time when there is nothing to do.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use crate::bench::process::pass;
use crate::bench::{Bench, Figure, Goal, Sample, Scenario};

/// How long an idle `serve` is watched.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// What it does in its first seconds is not idleness.
const SETTLE_TIME: Duration = Duration::from_secs(2);

pub(super) const START: Scenario = Scenario {
    name: "start",
    about: "from the start of serve until it is ready, with nothing to migrate",
    figures: &[Figure { name: "start", unit: "s", goal: Goal::AtMost(1.0) }],
    measure: |bench| start(bench).boxed_local(),
    is_single: false,
};

async fn start(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let serve = place.serve().await?;
    let seconds = serve.ready_after.as_secs_f64();
    serve.stop().await?;
    place.close().await?;
    Ok(vec![vec![Sample::alone(seconds)]])
}

pub(super) const IDLE: Scenario = Scenario {
    name: "idle",
    about: "memory and processor time of serve with nothing to do",
    figures: &[
        Figure { name: "memory, idle", unit: "MiB", goal: Goal::AtMost(40.0) },
        Figure { name: "processor, idle", unit: "% of a core", goal: Goal::AtMost(0.5) },
    ],
    measure: |bench| idle(bench).boxed_local(),
    is_single: false,
};

async fn idle(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let serve = place.serve().await?;
    pass(SETTLE_TIME).await;
    let (begun, before) = (Instant::now(), serve.cpu()?);
    pass(IDLE_TIME).await;
    let share = (serve.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let (memory, _) = serve.memory()?;
    serve.stop().await?;
    place.close().await?;
    Ok(vec![vec![Sample::alone(memory), Sample::alone(100.0 * share)]])
}
