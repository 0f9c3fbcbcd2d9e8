//! Ours, as `make bench-peers` measures the others: as many no-op jobs, due at once, by two processes, which are
//! `serve` and this one, which plays every worker.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::cycle::Written;
use super::drained::per_second;
use super::fleet::Fleet;
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, seed};

/// As many jobs as a peer gets at most.
const JOBS: i64 = 50_000;

pub(super) const PEER: Scenario = Scenario {
    name: "peer",
    about: "50,000 no-op jobs, as make bench-peers lets others do them",
    figures: &[
        Figure { name: "no-op jobs", unit: "jobs/s", goal: Goal::None },
        Figure { name: "commits of a job", unit: "commits/job", goal: Goal::None },
        Figure { name: "rows written by a job", unit: "rows/job", goal: Goal::None },
        Figure { name: "AMQP messages of a job", unit: "messages/job", goal: Goal::None },
    ],
    measure: |bench| peer(bench).boxed_local(),
    is_single: false,
};

async fn peer(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, JOBS, 21_600).await?;
    seed::due_jobs(&sql, JOBS, 0.0).await?;
    let before = Written::look(&sql).await?;
    let mut fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    fleet.finished(usize::try_from(JOBS)?).await?;
    let took = fleet.first_work()?.elapsed();
    let published = serve.metric("code_imports_events_published_total").await?;
    serve.stop().await?;
    fleet.stop();
    let [commits, _, rows, _] = Written::look(&sql).await?.since(&before).each(JOBS);
    place.close().await?;
    let messages = 3.0 + published / per_second(JOBS, Duration::from_secs(1));
    let figures = [per_second(JOBS, took), commits, rows, messages];
    Ok(vec![figures.map(Sample::alone).to_vec()])
}
