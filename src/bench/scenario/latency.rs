//! From a published finish to its event, while whole cycles go on at a part of the peak rate: beside one publish, one
//! commit and one publish on a machine that does nothing else, and on one that does as much.

use std::time::{Duration, Instant};

use futures_util::stream::{self, LocalBoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::drained::{LOG_TAIL, event, per_second};
use super::fleet::Fleet;
use crate::bench::bare::broker::{Message, Publisher, Taker};
use crate::bench::bare::database::{Write, Writer};
use crate::bench::place::Place;
use crate::bench::process::pass;
use crate::bench::record::percentile;
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, seed};

/// Jobs by which the peak is found, and those of them that are done when the clock starts.
const PEAK_JOBS: i64 = 6_000;
const PEAK_RISE: i64 = 1_000;

/// How long jobs come due.
const LOAD_SECONDS: i64 = 10;

/// Until the load is even.
const RISE: Duration = Duration::from_secs(3);

/// What a run takes on average.
const LENGTH: Duration = Duration::from_secs(1);

/// Round trips of the baseline.
const ROUNDS: i64 = 500;

/// Those beside the load, and the time between two, in which they are no load themselves.
const BESIDE_ROUNDS: i64 = 150;
const BESIDE_PAUSE: Duration = Duration::from_millis(20);

pub(super) const LATENCY: Scenario = Scenario {
    name: "latency",
    about: "finish published to event received, while cycles go on at 20 % and at 50 % of the peak rate",
    figures: &[
        Figure { name: "latency at 20 %, p50", unit: "ms", goal: Goal::RatioAtMost(1.5) },
        Figure { name: "latency at 20 %, p99", unit: "ms", goal: Goal::RatioAtMost(5.0) },
        Figure { name: "latency at 50 %, p50", unit: "ms", goal: Goal::RatioAtMost(1.5) },
        Figure { name: "latency at 50 %, p99", unit: "ms", goal: Goal::RatioAtMost(5.0) },
    ],
    measure: |bench| latency(bench).boxed_local(),
    is_single: false,
};

async fn latency(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let peak = peak(bench).await?;
    let mut idle = Bare::open(bench).await?;
    let bare = idle.rounds(ROUNDS, None).await?;
    idle.place.close().await?;
    let mut samples = Vec::new();
    for percent in [20, 50] {
        let rate = peak * percent / 100;
        let loaded = loaded(bench, rate).await?;
        for part in [50, 99] {
            let of = |all: &Vec<f64>| percentile(all.clone(), part).unwrap_or(f64::NAN);
            let sample = Sample::beside(of(&loaded.ours), of(&bare));
            samples.push(
                sample
                    .with("jobs_per_second", per_second(rate, Duration::from_secs(1)))
                    .with("bare_under_load_ms", of(&loaded.bare)),
            );
        }
    }
    Ok(vec![samples])
}

/// Whole cycles per second, when all is due at once.
#[expect(clippy::cast_possible_truncation, reason = "nobody does so many")]
async fn peak(bench: &Bench) -> anyhow::Result<i64> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, PEAK_JOBS, 21_600).await?;
    seed::due_jobs(&sql, PEAK_JOBS, 0.0).await?;
    let mut fleet = Fleet::start(&place, Duration::ZERO).await?;
    let serve = place.serve().await?;
    fleet.finished(usize::try_from(PEAK_RISE)?).await?;
    let (begun, before) = (Instant::now(), fleet.count());
    fleet.finished(usize::try_from(PEAK_JOBS)?).await?;
    let (took, timed) = (begun.elapsed(), PEAK_JOBS - i64::try_from(before)?);
    serve.stop().await?;
    fleet.stop();
    place.close().await?;
    Ok(per_second(timed, took) as i64)
}

/// What was measured at a load, in milliseconds.
struct Loaded {
    /// From finishes to their events.
    ours: Vec<f64>,
    /// One publish, one commit and one publish beside it: what the machine itself takes while it does so much.
    bare: Vec<f64>,
}

async fn loaded(bench: &Bench, rate: i64) -> anyhow::Result<Loaded> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    let jobs = rate * LOAD_SECONDS;
    seed::imports(&sql, jobs, 21_600).await?;
    let mut fleet = Fleet::start(&place, LENGTH).await?;
    let mut bare = Bare::open(bench).await?;
    let serve = place.serve().await?;
    seed::due_jobs(&sql, jobs, per_second(LOAD_SECONDS, Duration::from_secs(1))).await?;
    pass(RISE).await;
    fleet.forget();
    let beside = bare.rounds(BESIDE_ROUNDS, Some(BESIDE_PAUSE)).await?;
    fleet.finished(usize::try_from(jobs)?).await?;
    let ours = fleet.latencies();
    serve.stop().await?;
    fleet.stop();
    bare.place.close().await?;
    place.close().await?;
    Ok(Loaded { ours, bare: beside })
}

/// One publish, one commit and one publish, one after the other.
struct Bare {
    place: Place,
    writer: Writer,
    worker: mpsc::UnboundedSender<Message>,
    finishes: LocalBoxStream<'static, ()>,
    relay: mpsc::UnboundedSender<Message>,
    events: LocalBoxStream<'static, ()>,
}

impl Bare {
    async fn open(bench: &Bench) -> anyhow::Result<Self> {
        let place = bench.servers.place().await?;
        let sql = place.sql().await?;
        seed::imports(&sql, ROUNDS, 21_600).await?;
        seed::running_jobs(&sql, ROUNDS).await?;
        let writer = Writer::new(place.sql().await?, LOG_TAIL).await?;
        let (worker, _publishing) = Publisher::open(&place.amqp_url, "code-imports.worker").await?.pump();
        let (relay, _relaying) = Publisher::open(&place.amqp_url, "code-imports.events").await?.pump();
        let finishes = deliveries(Taker::open(&place.amqp_url, "code-imports.finish").await?);
        let events = deliveries(Taker::subscribe(&place.amqp_url, "code-imports.events").await?);
        Ok(Self { place, writer, worker, finishes, relay, events })
    }

    /// Milliseconds of each of so many, with a pause after each or none.
    async fn rounds(&mut self, count: i64, pause: Option<Duration>) -> anyhow::Result<Vec<f64>> {
        let mut latencies = Vec::new();
        for job in 1..=count {
            let begun = Instant::now();
            let body = super::drained::finish(job, job, "").to_string().into();
            self.worker.send(Message { kind: "finish", body })?;
            self.finishes.next().await;
            self.writer.write(Write::Finish, std::iter::once(job), 1).await?;
            self.relay.send(event(job))?;
            self.events.next().await;
            latencies.push(begun.elapsed().as_secs_f64() * 1000.0);
            if let Some(pause) = pause {
                pass(pause).await;
            }
        }
        Ok(latencies)
    }
}

/// One item for each message that is taken.
fn deliveries(taker: Taker) -> LocalBoxStream<'static, ()> {
    let (hand, mut other) = mpsc::unbounded_channel();
    // It ends with its virtual host.
    tokio::spawn(taker.take(usize::MAX, move |_| hand.send(()).unwrap_or_default()));
    stream::poll_fn(move |context| other.poll_recv(context)).boxed_local()
}
