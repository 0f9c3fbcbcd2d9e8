//! Ours, as `make bench-peers` measures the others: as many no-op jobs, due at once, by two processes, which are
//! `serve` and this one, which plays every worker.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_postgres::Client;

use super::cycle::{Written, per_job};
use super::drained::per_second;
use super::fleet::Fleet;
use crate::bench::process::pass;
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, seed};

/// As many jobs as a peer gets at most.
const JOBS: i64 = 50_000;

/// The broker's console counts every five seconds, and sessions of the database when they end.
const COUNTED: Duration = Duration::from_secs(7);

pub(super) const PEER: Scenario = Scenario {
    name: "peer",
    about: "50,000 no-op jobs, as make bench-peers lets others do them",
    figures: &[
        Figure { name: "no-op jobs", unit: "jobs/s", goal: Goal::None },
        Figure { name: "commits of a job", unit: "commits/job", goal: Goal::None },
        Figure { name: "rows that a job leaves", unit: "rows/job", goal: Goal::None },
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
    let rows_before = rows(&sql).await?;
    let mut fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    fleet.finished(usize::try_from(JOBS)?).await?;
    let took = fleet.first_work()?.elapsed();
    serve.stop().await?;
    fleet.stop();
    pass(COUNTED).await;
    let [commits, ..] = Written::look(&sql).await?.since(&before).each(JOBS);
    let rows = per_job(rows(&sql).await? - rows_before, JOBS);
    let messages = per_job(place.published().await?, JOBS);
    place.close().await?;
    let figures = [per_second(JOBS, took), commits, rows, messages];
    Ok(vec![figures.map(Sample::alone).to_vec()])
}

/// Rows that were written and not deleted.
async fn rows(sql: &Client) -> anyhow::Result<i64> {
    let query = "SELECT sum(n_tup_ins - n_tup_del)::bigint FROM pg_stat_user_tables";
    Ok(sql.query_one(query, &[]).await?.get(0))
}
