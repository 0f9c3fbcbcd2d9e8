//! Silent jobs and machines → reclaimed and taken off line; and the echo by which we hear ourselves.

mod horizon;

use std::sync::Arc;
use std::time::Instant;

use tokio::time::{MissedTickBehavior, interval};

use self::horizon::Horizon;
use super::leader::lead;
use super::{Context, begin, metrics};
use crate::broker::publish::{Outgoing, Publisher};
use crate::broker::{Exchange, Queue};
use crate::domain::Timestamp;
use crate::protocol::worker::Echo;
use crate::store::Store;
use crate::workflow::{Command, Outcome};

const ROLE: &str = "reaper";

/// The most jobs and the most machines of one batch; what is left comes with the next.
const BATCH_MAX: i64 = 500;

pub(super) async fn session(context: Arc<Context>) -> anyhow::Result<()> {
    let context = context.as_ref();
    let mut store = begin(context, ROLE).await?;
    let publisher = context.broker.publisher().await?;
    lead(context, ROLE, work(context, &mut store, &publisher)).await?;
    publisher.close().await;
    Ok(())
}

async fn work(context: &Context, store: &mut Store, publisher: &Publisher) -> anyhow::Result<()> {
    let mut ticks = interval(context.settings.echo_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut horizon = Horizon::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.shutdown.cancelled() => return Ok(()),
        }
        echo(context, store, publisher).await?;
        let watermark = store.watermark().await?;
        let oldest = store.oldest_start(horizon.look(watermark, Instant::now())).await?;
        horizon.found(oldest, watermark);
        while reap(context, store, oldest).await? {}
    }
}

/// Sends ourselves a message the way that heartbeats come: while it arrives, so do they.
async fn echo(context: &Context, store: &mut Store, publisher: &Publisher) -> anyhow::Result<()> {
    let body = serde_json::to_vec(&Echo { sent: store.now().await? })?;
    let message = Outgoing {
        routing_key: Queue::Heartbeat.binding().1.to_owned(),
        message_id: uuid::Uuid::new_v4().to_string(),
        kind: "echo",
        body,
        expiration: Some(context.settings.policy.heartbeat_timeout.to_std()?),
        is_transient: true,
        user_id: Some(context.broker.account().to_owned()),
        ..Outgoing::default()
    };
    let exchange = context.broker.topology.exchange(Exchange::Worker);
    Ok(publisher.publish_all(&exchange, &[message]).await?)
}

/// Takes jobs from machines that went silent, and such machines off line; the oldest that runs started at `oldest`. True
/// if there may be more.
async fn reap(context: &Context, store: &mut Store, oldest: Option<Timestamp>) -> anyhow::Result<bool> {
    let policy = &context.settings.policy;
    let jobs = match oldest {
        Some(oldest) => store.silent_jobs(policy.heartbeat_timeout, oldest, BATCH_MAX).await?,
        None => Vec::new(),
    };
    let machines = store.silent_machines(policy.machine_timeout, BATCH_MAX).await?;
    let commands: Vec<Command> = jobs
        .iter()
        .map(|silent| Command::Reclaim { import: silent.import, job: silent.job })
        .chain(machines.into_iter().map(|machine| Command::Watch { machine }))
        .collect();
    if commands.is_empty() {
        return Ok(false);
    }
    let outcomes = store.apply(&commands, policy).await?;
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    tracing::info!(batch.size = commands.len(), applied, "{applied} silent jobs and machines were given up");
    metrics::silent(applied);
    context.events_written.notify_one();
    context.jobs_changed.notify_one();
    // What the rule refused is no candidate for long; without anything applied there is nothing to go on for.
    Ok(applied > 0 && jobs.len() >= usize::try_from(BATCH_MAX)?)
}
