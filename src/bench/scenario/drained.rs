//! What workers say, drained from a full queue: the coordinator is started with the queue full, and the clock runs
//! from its first consumer until the last message is committed and the events of all are published.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use serde_json::json;

use super::cost::{Cost, microseconds};
use crate::bench::bare::broker::{Message, Publisher, Taker, channel, look, preload};
use crate::bench::bare::database::{Write, Writer};
use crate::bench::bare::limit;
use crate::bench::process::until;
use crate::bench::seed::{self, MACHINES, machine_of, run_of};
use crate::bench::{Bench, Figure, Goal, Place, Sample, Scenario};

/// Jobs that are RUNNING while heartbeats come.
const RUNNING: i64 = 10_000;

/// Heartbeats of one job each.
const HEARTBEATS: i64 = 30_000;

/// Heartbeats of 100 jobs each.
const FULL_HEARTBEATS: i64 = 3_000;

/// The most jobs that a heartbeat may name.
const FULL: i64 = 100;

/// Starts, and finishes.
const JOBS: i64 = 20_000;

/// How often it is looked whether it is done: short beside the seconds that it takes.
const LOOK: Duration = Duration::from_millis(4);

/// The last lines of an output, as heartbeats and finishes bring them.
pub(super) const LOG_TAIL: &str = "Fetching objects: 12%\nFetching objects: 57%\nFetching objects: 83%\n\
    Resolving deltas: 41%\nResolving deltas: 97%";

pub(super) const HEARTBEATS_OF_ONE: Scenario = Scenario {
    name: "heartbeats",
    about: "heartbeats of one job each, 10,000 jobs running, drained from a full queue",
    figures: &[Figure { name: "heartbeats drained", unit: "messages/s", goal: Goal::RatioAtLeast(0.8) }],
    measure: |bench| {
        async move { Ok(vec![vec![drained(bench, Kind::Heartbeat, HEARTBEATS).await?]]) }.boxed_local()
    },
    is_single: false,
};

pub(super) const HEARTBEATS_OF_MANY: Scenario = Scenario {
    name: "heartbeats-100",
    about: "heartbeats of 100 jobs each: jobs per second, beside those of one job each",
    figures: &[Figure { name: "heartbeats of 100 jobs", unit: "jobs/s", goal: Goal::RatioAtLeast(5.0) }],
    measure: |bench| heartbeats_of_many(bench).boxed_local(),
    is_single: false,
};

pub(super) const STARTS: Scenario = Scenario {
    name: "starts",
    about: "starts drained from a full queue, each with its event published",
    figures: &[Figure { name: "starts drained", unit: "jobs/s", goal: Goal::RatioAtLeast(0.8) }],
    measure: |bench| async move { Ok(vec![vec![drained(bench, Kind::Start, JOBS).await?]]) }.boxed_local(),
    is_single: false,
};

pub(super) const FINISHES: Scenario = Scenario {
    name: "finishes",
    about: "finishes drained: job, result, import, next job, and the event published",
    figures: &[Figure { name: "finishes drained", unit: "jobs/s", goal: Goal::RatioAtLeast(0.8) }],
    measure: |bench| async move { Ok(vec![vec![drained(bench, Kind::Finish, JOBS).await?]]) }.boxed_local(),
    is_single: false,
};

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Heartbeat,
    FullHeartbeat,
    Start,
    Finish,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Heartbeat | Self::FullHeartbeat => "heartbeat",
            Self::Start => "start",
            Self::Finish => "finish",
        }
    }

    fn queue(self) -> String {
        format!("code-imports.{}", self.word())
    }

    fn write(self) -> Write {
        match self {
            Self::Heartbeat | Self::FullHeartbeat => Write::Heartbeat,
            Self::Start => Write::Start,
            Self::Finish => Write::Finish,
        }
    }

    /// Whether each is an event, which is published.
    fn is_event(self) -> bool {
        matches!(self, Self::Start | Self::Finish)
    }

    /// The job that a message is about, or the first of them.
    fn job(self, index: i64) -> i64 {
        match self {
            Self::Heartbeat => index % RUNNING + 1,
            Self::FullHeartbeat => index * FULL % RUNNING + 1,
            Self::Start | Self::Finish => index + 1,
        }
    }

    fn message(self, index: i64, log_tail: &str) -> Message {
        let job = self.job(index);
        let beat = |job: i64| json!({"job": job, "import": job, "run": run_of(job), "log_tail": log_tail});
        let body = match self {
            Self::Heartbeat => json!({"machine": machine_of(job), "jobs": [beat(job)]}),
            Self::FullHeartbeat => {
                // All jobs of one machine.
                let machine = index % MACHINES;
                let jobs =
                    (0..FULL).map(|n| if machine == 0 { (n + 1) * MACHINES } else { n * MACHINES + machine });
                json!({"machine": machine_of(machine), "jobs": jobs.map(beat).collect::<Vec<_>>()})
            }
            Self::Start => json!({"job": job, "import": job, "run": run_of(job), "machine": machine_of(job)}),
            Self::Finish => finish(job, job, &run_of(job).to_string()),
        };
        Message { kind: self.word(), body: body.to_string().into_bytes() }
    }

    async fn seed(self, place: &Place) -> anyhow::Result<()> {
        let sql = place.sql().await?;
        match self {
            Self::Heartbeat | Self::FullHeartbeat => {
                seed::imports(&sql, RUNNING, 21_600).await?;
                seed::running_jobs(&sql, RUNNING).await
            }
            Self::Start => {
                seed::imports(&sql, JOBS, 21_600).await?;
                seed::dispatched_jobs(&sql, JOBS).await
            }
            Self::Finish => {
                seed::imports(&sql, JOBS, 21_600).await?;
                seed::running_jobs(&sql, JOBS).await
            }
        }
    }

    async fn preload(self, place: &Place, count: i64) -> anyhow::Result<()> {
        let mut messages: Vec<Message> = (0..count).map(|index| self.message(index, LOG_TAIL)).collect();
        // The last one is known by its words.
        if let Some(last) = messages.last_mut() {
            *last = self.message(count - 1, LAST);
        }
        preload(&place.amqp_url, "code-imports.worker", messages).await
    }

    /// Asks whether the last message was applied.
    fn is_done(self, count: i64) -> String {
        let job = self.job(count - 1);
        match self {
            Self::Heartbeat => {
                format!("SELECT EXISTS (SELECT FROM jobs WHERE id = {job} AND log_tail = '{LAST}')")
            }
            Self::FullHeartbeat => {
                let job = if (count - 1) % MACHINES == 0 { MACHINES } else { (count - 1) % MACHINES };
                format!("SELECT EXISTS (SELECT FROM jobs WHERE id = {job} AND log_tail = '{LAST}')")
            }
            Self::Start => format!("SELECT last_id >= {count} FROM event_cursor"),
            Self::Finish => format!("SELECT last_id >= {count} FROM event_cursor"),
        }
    }
}

/// What the last heartbeat brings.
const LAST: &str = "the last one";

/// A finish of this job, as a worker says it.
pub(super) fn finish(job: i64, import: i64, run: &str) -> serde_json::Value {
    json!({
        "job": job, "import": import, "run": run, "machine": machine_of(import), "status": "SUCCESS",
        "log_tail": LOG_TAIL, "stats": {"revisions": 3},
    })
}

/// The coordinator, and then the bare programs, on the same messages.
async fn drained(bench: &Bench, kind: Kind, count: i64) -> anyhow::Result<Sample> {
    let (ours, batch, cost) = ours(bench, kind, count).await?;
    let broker = bare_broker(bench, kind, count).await?;
    let (database, cpu) = bare_database(bench, kind, count, batch).await?;
    let sample = Sample::beside(ours, limit(broker, database));
    Ok(cost.tell(sample.with("b", broker).with("s", database).with("cpu_us_s", cpu).with("batch", batch)))
}

/// Messages per second of the coordinator, and how many a batch had.
async fn ours(bench: &Bench, kind: Kind, count: i64) -> anyhow::Result<(f64, f64, Cost)> {
    let place = bench.servers.place().await?;
    kind.seed(&place).await?;
    kind.preload(&place, count).await?;
    let sql = place.sql().await?;
    let (looking, channel) = channel(&place.amqp_url).await?;
    let queue = kind.queue();
    let consumed = until(LOOK, "serve consumes", async || Ok(look(&channel, &queue).await?.0 > 0));
    let timed = async {
        consumed.await?;
        let begun = Instant::now();
        let query = sql.prepare(&kind.is_done(count)).await?;
        until(LOOK, "all is drained", async || Ok(sql.query_one(&query, &[]).await?.get(0))).await?;
        anyhow::Ok(begun.elapsed())
    };
    let (serve, took) = futures_util::try_join!(place.serve(), timed)?;
    let cost = Cost::of(&place, &serve, count).await?;
    let batch = serve.mean_batch(kind.word()).await?;
    serve.stop().await?;
    looking.close(200, "done".into()).await?;
    place.close().await?;
    Ok((per_second(count, took), batch, cost))
}

/// B: the queue is drained, and as many events are published as ours publishes.
async fn bare_broker(bench: &Bench, kind: Kind, count: i64) -> anyhow::Result<f64> {
    let place = bench.servers.place().await?;
    kind.preload(&place, count).await?;
    let publisher = Publisher::open(&place.amqp_url, "code-imports.events").await?;
    let events: Vec<Message> = if kind.is_event() { (0..count).map(event).collect() } else { Vec::new() };
    let begun = Instant::now();
    let taker = Taker::open(&place.amqp_url, &kind.queue()).await?;
    let taking = tokio::spawn(taker.take(usize::try_from(count)?, |_| ()));
    let publishing = tokio::spawn(publisher.publish(futures_util::stream::iter(events)));
    taking.await.context("the taker")??;
    publishing.await.context("the publisher")??;
    let took = begun.elapsed();
    place.close().await?;
    Ok(per_second(count, took))
}

/// S: the same rows are written. Messages per second, and processor time of the session for each.
async fn bare_database(bench: &Bench, kind: Kind, count: i64, batch: f64) -> anyhow::Result<(f64, f64)> {
    let place = bench.servers.place().await?;
    kind.seed(&place).await?;
    let mut writer = Writer::new(place.sql().await?, LOG_TAIL).await?;
    let rows = if kind == Kind::FullHeartbeat { count * FULL } else { count };
    let batch = if kind == Kind::FullHeartbeat { batch * 100.0 } else { batch };
    let jobs = (0..rows).map(|index| if kind.is_event() { index + 1 } else { index % RUNNING + 1 });
    let took = writer.write(kind.write(), jobs, whole(batch)).await?;
    let cpu = writer.cpu().await?;
    drop(writer);
    place.close().await?;
    Ok((per_second(count, took), microseconds(cpu, count)))
}

async fn heartbeats_of_many(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let (full, batch, cost) = ours(bench, Kind::FullHeartbeat, FULL_HEARTBEATS).await?;
    let (single, _, _) = ours(bench, Kind::Heartbeat, HEARTBEATS).await?;
    let (database, cpu) = bare_database(bench, Kind::FullHeartbeat, FULL_HEARTBEATS, batch).await?;
    let sample = Sample::beside(full * 100.0, single)
        .with("s", database * 100.0)
        .with("cpu_us_s", cpu)
        .with("batch", batch);
    Ok(vec![vec![cost.tell(sample)]])
}

/// An event as the relay publishes it.
pub(super) fn event(id: i64) -> Message {
    let body = json!({
        "id": id, "epoch": uuid::Uuid::nil(), "epoch_first": 1, "type": "START",
        "date": "2026-11-23T10:00:03.123456Z",
        "import": {"id": id, "unique_name": format!("~bench/project-{id}/import")},
        "person": null, "machine": machine_of(id), "data": {},
        "summary": format!("START ~bench/project-{id}/import {}", machine_of(id)),
    });
    Message { kind: "event", body: body.to_string().into_bytes() }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
pub(super) fn per_second(count: i64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The size of a batch that is as large as the mean.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a batch is small and not negative"
)]
pub(super) fn whole(batch: f64) -> usize {
    (batch.round() as usize).max(1)
}
