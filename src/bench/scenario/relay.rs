//! The relay: events of a full log to a fanout with one subscriber.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{FutureExt as _, stream};

use super::cost::Cost;
use super::drained::{event, per_second};
use crate::bench::bare::broker::{Publisher, Taker};
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, seed};

/// Events of one measurement.
const EVENTS: i64 = 30_000;

pub(super) const RELAY: Scenario = Scenario {
    name: "relay",
    about: "events from a full log to a fanout with one subscriber",
    figures: &[Figure { name: "relay", unit: "events/s", goal: Goal::RatioAtLeast(0.8) }],
    measure: |bench| relay(bench).boxed_local(),
    is_single: false,
};

async fn relay(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    seed::events(&place.sql().await?, EVENTS).await?;
    let subscriber = Taker::subscribe(&place.amqp_url, "code-imports.events").await?;
    let (first, firsts) = mpsc::channel();
    let taking = tokio::spawn(
        subscriber.take(usize::try_from(EVENTS)?, move |_| first.send(Instant::now()).unwrap_or_default()),
    );
    let serve = place.serve().await?;
    taking.await??;
    let end = Instant::now();
    let begun = firsts.recv().context("no event came")?;
    let cost = Cost::of(&place, &serve, EVENTS).await?;
    serve.stop().await?;
    place.close().await?;
    let bare = bare(bench).await?;
    Ok(vec![vec![cost.tell(Sample::beside(per_second(EVENTS, end - begun), bare))]])
}

/// B: as many events are published, and received by one subscriber.
async fn bare(bench: &Bench) -> anyhow::Result<f64> {
    let place = bench.servers.place().await?;
    let subscriber = Taker::subscribe(&place.amqp_url, "code-imports.events").await?;
    let publisher = Publisher::open(&place.amqp_url, "code-imports.events").await?;
    let events: Vec<_> = (1..=EVENTS).map(event).collect();
    let begun = Instant::now();
    let taking = tokio::spawn(subscriber.take(usize::try_from(EVENTS)?, |_| ()));
    publisher.publish(stream::iter(events)).await?;
    taking.await??;
    let took: Duration = begun.elapsed();
    place.close().await?;
    Ok(per_second(EVENTS, took))
}
