//! The whole cycle: due → dispatched → started → finished → next job, both events received by one subscriber.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, stream};
use tokio_postgres::Client;

use super::cost::Cost;
use super::drained::{LOG_TAIL, event, finish, per_second, whole};
use super::fleet::Fleet;
use crate::bench::bare::broker::{Message, Publisher, Taker};
use crate::bench::bare::database::{Write, Writer};
use crate::bench::bare::limit;
use crate::bench::process::pass;
use crate::bench::seed::{self, machine_of, run_of};
use crate::bench::{Bench, Figure, Goal, Sample, Scenario};

/// Jobs of one measurement.
const JOBS: i64 = 10_000;

/// The clock starts when so many are done: what is handed out at once follows what was started, and grows from little.
const RISE: i64 = 1_000;

pub(super) const CYCLE: Scenario = Scenario {
    name: "cycle",
    about: "due, dispatched, started, finished, next job, both events received by one subscriber",
    figures: &[
        Figure { name: "whole cycle", unit: "jobs/s", goal: Goal::RatioAtLeast(0.7) },
        Figure { name: "memory, at peak", unit: "MiB", goal: Goal::AtMost(128.0) },
        Figure { name: "commits of a cycle", unit: "commits/job", goal: Goal::None },
        Figure { name: "WAL of a cycle", unit: "bytes/job", goal: Goal::None },
        Figure { name: "rows written by a cycle", unit: "rows/job", goal: Goal::None },
        Figure { name: "dead rows left by a cycle", unit: "rows/job", goal: Goal::None },
        Figure { name: "AMQP messages of a cycle", unit: "messages/job", goal: Goal::None },
    ],
    measure: |bench| cycle(bench).boxed_local(),
    is_single: false,
};

async fn cycle(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, JOBS, 21_600).await?;
    seed::due_jobs(&sql, JOBS, 0.0).await?;
    let unwritten = Written::look(&sql).await?;
    let mut fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    fleet.finished(usize::try_from(RISE)?).await?;
    let (begun, before) = (Instant::now(), fleet.count());
    fleet.finished(usize::try_from(JOBS)?).await?;
    let took = begun.elapsed();
    let timed = JOBS - i64::try_from(before)?;
    let (_, memory) = serve.memory()?;
    let cost = Cost::of(&place, &serve, JOBS).await?;
    let batch = serve.mean_batch("finish").await?;
    let published = serve.metric("code_imports_events_published_total").await?;
    serve.stop().await?;
    fleet.stop();
    let written = Written::look(&sql).await?.since(&unwritten);
    place.close().await?;
    let broker = bare_broker(bench).await?;
    let database = bare_database(bench, batch).await?;
    let rate = Sample::beside(per_second(timed, took), limit(broker, database));
    let rate = cost.tell(rate.with("b", broker).with("s", database).with("batch", batch));
    let [commits, wal, rows, dead] = written.each(JOBS).map(Sample::alone);
    // Work, start, finish, and what the relay published.
    let messages = Sample::alone(3.0 + published / per_second(JOBS, Duration::from_secs(1)));
    Ok(vec![vec![rate, Sample::alone(memory), commits, wal, rows, dead, messages]])
}

/// B: the five messages of each job, all at once.
async fn bare_broker(bench: &Bench) -> anyhow::Result<f64> {
    let place = bench.servers.place().await?;
    let count = usize::try_from(JOBS)?;
    let url = &place.amqp_url;
    let work = || (1..=JOBS).map(|job| Message { kind: "git", body: work(job).to_string().into_bytes() });
    let starts =
        || (1..=JOBS).map(|job| Message { kind: "start", body: start(job).to_string().into_bytes() });
    let finishes = || {
        let body = |job: i64| finish(job, job, &run_of(job).to_string()).to_string().into_bytes();
        (1..=JOBS).map(move |job| Message { kind: "finish", body: body(job) })
    };
    let events = || (1..=2 * JOBS).map(event);
    let streams: [(&str, Vec<Message>); 4] = [
        ("code-imports.work", work().collect()),
        ("code-imports.worker", starts().collect()),
        ("code-imports.worker", finishes().collect()),
        ("code-imports.events", events().collect()),
    ];
    let mut publishers = Vec::new();
    for (exchange, messages) in streams {
        publishers.push((Publisher::open(url, exchange).await?, messages));
    }
    let takers = [
        (Taker::open(url, "code-imports.work.git").await?, count),
        (Taker::open(url, "code-imports.start").await?, count),
        (Taker::open(url, "code-imports.finish").await?, count),
        (Taker::subscribe(url, "code-imports.events").await?, 2 * count),
    ];
    let begun = Instant::now();
    let mut moving: Vec<_> =
        takers.into_iter().map(|(taker, count)| tokio::spawn(taker.take(count, |_| ()))).collect();
    moving.extend(
        publishers
            .into_iter()
            .map(|(publisher, messages)| tokio::spawn(publisher.publish(stream::iter(messages)))),
    );
    for moved in moving {
        moved.await??;
    }
    let took = begun.elapsed();
    place.close().await?;
    Ok(per_second(JOBS, took))
}

/// S: what a cycle writes, in batches of the size of ours.
async fn bare_database(bench: &Bench, batch: f64) -> anyhow::Result<f64> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, JOBS, 21_600).await?;
    seed::due_jobs(&sql, JOBS, 0.0).await?;
    let mut writer = Writer::new(place.sql().await?, LOG_TAIL).await?;
    let mut took = Duration::ZERO;
    for what in [Write::Dispatch, Write::Start, Write::Finish] {
        took += writer.write(what, 1..=JOBS, whole(batch)).await?;
    }
    drop(writer);
    place.close().await?;
    Ok(per_second(JOBS, took))
}

fn work(job: i64) -> serde_json::Value {
    serde_json::json!({
        "job": job,
        "import": {
            "id": job, "unique_name": format!("~bench/project-{job}/import"), "rcs_type": "GIT",
            "url": format!("https://code.example.org/project-{job}/code.git"), "cvs_root": null, "cvs_module": null,
        },
        "requested_by": null, "date_due": "2026-11-23T10:00:00Z", "heartbeat_interval_s": 30,
        "heartbeat_timeout_s": 180, "previous": null,
    })
}

fn start(job: i64) -> serde_json::Value {
    serde_json::json!({"job": job, "import": job, "run": run_of(job), "machine": machine_of(job)})
}

/// What was written to a database until a moment.
#[derive(Debug)]
pub(super) struct Written {
    commits: i64,
    wal: i64,
    rows: i64,
    dead: i64,
}

impl Written {
    /// Sessions report what they did when they end, or a second later.
    pub(super) async fn look(sql: &Client) -> anyhow::Result<Self> {
        pass(Duration::from_millis(1_100)).await;
        let query = "SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
                tup_inserted + tup_updated + tup_deleted,
                (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables)
            FROM pg_stat_database WHERE datname = current_database()";
        let row = sql.query_one(query, &[]).await?;
        Ok(Self { commits: row.get(0), wal: row.get(1), rows: row.get(2), dead: row.get(3) })
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            commits: self.commits - before.commits,
            wal: self.wal - before.wal,
            rows: self.rows - before.rows,
            dead: self.dead - before.dead,
        }
    }

    /// For each of so many jobs.
    pub(super) fn each(&self, jobs: i64) -> [f64; 4] {
        [self.commits, self.wal, self.rows, self.dead].map(|sum| per_job(sum, jobs))
    }
}

/// A sum, for each of so many jobs.
pub(super) fn per_job(sum: i64, jobs: i64) -> f64 {
    let second = Duration::from_secs(1);
    per_second(sum, second) / per_second(jobs, second)
}
