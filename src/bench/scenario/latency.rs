//! From a published finish to its event, while whole cycles go on at a part of the peak rate: beside one publish, one
//! commit and one publish on a machine that does nothing else.

use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::mpsc;

use super::drained::{LOG_TAIL, event, per_second};
use super::fleet::Fleet;
use crate::bench::bare::broker::{Message, Publisher, Taker};
use crate::bench::bare::database::{Write, Writer};
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
    let bare = bare(bench).await?;
    let mut samples = Vec::new();
    for percent in [20, 50] {
        let rate = peak * percent / 100;
        let loaded = loaded(bench, rate).await?;
        for part in [50, 99] {
            let [ours, bare] = [&loaded, &bare].map(|all| percentile(all.clone(), part).unwrap_or(f64::NAN));
            samples.push(
                Sample::beside(ours, bare).with("jobs_per_second", per_second(rate, Duration::from_secs(1))),
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

/// Milliseconds from finishes to their events, at so many cycles per second.
async fn loaded(bench: &Bench, rate: i64) -> anyhow::Result<Vec<f64>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    let jobs = rate * LOAD_SECONDS;
    seed::imports(&sql, jobs, 21_600).await?;
    let mut fleet = Fleet::start(&place, LENGTH).await?;
    let serve = place.serve().await?;
    seed::due_jobs(&sql, jobs, per_second(LOAD_SECONDS, Duration::from_secs(1))).await?;
    pass(RISE).await;
    fleet.forget();
    fleet.finished(usize::try_from(jobs)?).await?;
    let latencies = fleet.latencies();
    serve.stop().await?;
    fleet.stop();
    place.close().await?;
    Ok(latencies)
}

/// Milliseconds of one publish, one commit and one publish.
async fn bare(bench: &Bench) -> anyhow::Result<Vec<f64>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed::imports(&sql, ROUNDS, 21_600).await?;
    seed::running_jobs(&sql, ROUNDS).await?;
    let mut writer = Writer::new(place.sql().await?, LOG_TAIL).await?;
    let (worker, _publishing) = Publisher::open(&place.amqp_url, "code-imports.worker").await?.pump();
    let (relay, _relaying) = Publisher::open(&place.amqp_url, "code-imports.events").await?.pump();
    let mut finishes = deliveries(Taker::open(&place.amqp_url, "code-imports.finish").await?);
    let mut events = deliveries(Taker::subscribe(&place.amqp_url, "code-imports.events").await?);
    let mut latencies = Vec::new();
    for job in 1..=ROUNDS {
        let begun = Instant::now();
        worker.send(Message {
            kind: "finish",
            body: super::drained::finish(job, job, "").to_string().into(),
        })?;
        finishes.next().await;
        writer.write(Write::Finish, std::iter::once(job), 1).await?;
        relay.send(event(job))?;
        events.next().await;
        latencies.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    drop(writer);
    place.close().await?;
    Ok(latencies)
}

/// One item for each message that is taken.
fn deliveries(taker: Taker) -> impl futures_util::Stream<Item = ()> + Unpin {
    let (hand, mut taken) = mpsc::unbounded_channel();
    // It ends with its virtual host.
    tokio::spawn(taker.take(usize::MAX, move |_| hand.send(()).unwrap_or_default()));
    stream::poll_fn(move |context| taken.poll_recv(context))
}
