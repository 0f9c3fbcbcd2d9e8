//! Somebody leaves a transaction open, so that no dead row can be cleaned away; and a catalogue with a million due
//! jobs.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::drained::per_second;
use super::fleet::Fleet;
use crate::bench::process::pass;
use crate::bench::record::median;
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, seed};

/// Imports that come due again a second after they were started: more than any machine can do.
const IMPORTS: i64 = 10_000;

/// How long the transaction stays open; and how long there is to recover from it.
const OPEN: Duration = Duration::from_mins(1);

/// One rate is taken over so long.
const WINDOW: Duration = Duration::from_secs(4);

/// Until the load is even.
const RISE: Duration = Duration::from_secs(5);

/// Jobs that are due at once.
const DUE: i64 = 1_000_000;

/// How long a `serve` with so many is watched.
const WATCHED: Duration = Duration::from_secs(15);

pub(super) const OPEN_TRANSACTION: Scenario = Scenario {
    name: "open-transaction",
    about: "whole cycles while another session holds a transaction open for 60 s, and a minute after",
    figures: &[
        Figure { name: "with a transaction open", unit: "jobs/s", goal: Goal::RatioAtLeast(0.7) },
        Figure { name: "a minute after it", unit: "jobs/s", goal: Goal::RatioAtLeast(0.95) },
    ],
    measure: |bench| open_transaction(bench).boxed_local(),
    is_single: true,
};

/// The windows of one long run are its runs; the baseline is the undisturbed rate of the same run.
async fn open_transaction(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, IMPORTS, 1).await?;
    seed::due_jobs(&sql, IMPORTS, 0.0).await?;
    let fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    pass(RISE).await;
    let windows = u32::try_from(bench.runs)?;
    let undisturbed = rates(&fleet, windows).await;
    let begun = Instant::now();
    sql.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM people").await?;
    pass(OPEN.saturating_sub(WINDOW * windows + begun.elapsed())).await;
    let disturbed = rates(&fleet, windows).await;
    sql.batch_execute("COMMIT").await?;
    pass(OPEN.saturating_sub(WINDOW * windows)).await;
    let after = rates(&fleet, windows).await;
    serve.stop().await?;
    fleet.stop();
    place.close().await?;
    let usual = median(undisturbed).unwrap_or(f64::NAN);
    let beside = |(disturbed, after)| vec![Sample::beside(disturbed, usual), Sample::beside(after, usual)];
    Ok(disturbed.into_iter().zip(after).map(beside).collect())
}

/// Jobs per second, in windows one after the other.
async fn rates(fleet: &Fleet, windows: u32) -> Vec<f64> {
    let mut rates = Vec::new();
    for _ in 0..windows {
        rates.push(fleet.rate(WINDOW).await);
    }
    rates
}

pub(super) const MILLION: Scenario = Scenario {
    name: "million-due",
    about: "memory of serve with a million due jobs, while they are worked off",
    figures: &[Figure { name: "memory, 10^6 jobs due", unit: "MiB", goal: Goal::AtMost(128.0) }],
    measure: |bench| million(bench).boxed_local(),
    is_single: true,
};

async fn million(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, DUE, 21_600).await?;
    seed::due_jobs(&sql, DUE, 0.0).await?;
    let fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    pass(WATCHED).await;
    let (_, peak) = serve.memory()?;
    let done = per_second(i64::try_from(fleet.count())?, WATCHED);
    serve.stop().await?;
    fleet.stop();
    place.close().await?;
    Ok(vec![vec![Sample::alone(peak).with("jobs_per_second", done)]])
}
