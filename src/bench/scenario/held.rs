//! Somebody holds a transaction open, so that no dead row can be cleaned: how much slower the whole cycle gets, and
//! whether it recovers.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::fleet::Fleet;
use crate::bench::process::pass;
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, seed};

/// Imports whose jobs are due again as soon as they ended: each some five times in the ten minutes, which is oftener than
/// any mirror that people ask for.
const IMPORTS: i64 = 200_000;

/// Until the windows of the dispatcher are open and caches are warm.
const WARM_UP: Duration = Duration::from_secs(15);

/// How long a rate is measured.
const SPAN: Duration = Duration::from_secs(30);

/// How long it may take to recover.
const RECOVERY: Duration = Duration::from_mins(1);

/// How long the transaction is held.
const TIME: Duration = Duration::from_mins(10);

pub(super) const HELD: Scenario = Scenario {
    name: "held-10",
    about: "the whole cycle while a transaction is held open for ten minutes, and after",
    figures: &[
        Figure {
            name: "cycle, a transaction held for 10 min",
            unit: "jobs/s",
            goal: Goal::RatioAtLeast(0.7),
        },
        Figure { name: "cycle, a minute after", unit: "jobs/s", goal: Goal::RatioAtLeast(0.95) },
    ],
    measure: |bench| held(bench).boxed_local(),
    is_single: true,
};

async fn held(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, IMPORTS, 1).await?;
    seed::due_jobs(&sql, IMPORTS, 0.0).await?;
    let fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    pass(WARM_UP).await;
    let undisturbed = fleet.rate(SPAN).await;
    sql.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event_counter").await?;
    pass(TIME.saturating_sub(SPAN)).await;
    let disturbed = fleet.rate(SPAN).await;
    sql.batch_execute("ROLLBACK").await?;
    pass(RECOVERY).await;
    let after = fleet.rate(SPAN).await;
    serve.stop().await?;
    fleet.stop();
    place.close().await?;
    Ok(vec![vec![Sample::beside(disturbed, undisturbed), Sample::beside(after, undisturbed)]])
}
