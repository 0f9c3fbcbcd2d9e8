//! Topology, partitions, retention: what must be there, and what may go.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::leader::lead;
use super::{Context, begin};
use crate::store::Store;

const ROLE: &str = "housekeeping";

/// How often the topology is declared again, so that a deleted queue comes back.
const TOPOLOGY_INTERVAL: Duration = Duration::from_secs(10);

/// How many of those go by between two looks at the partitions: a minute.
const PARTITIONS_EVERY: u32 = 6;

pub(super) async fn session(context: Arc<Context>) -> anyhow::Result<()> {
    let context = context.as_ref();
    let mut store = begin(context, ROLE).await?;
    lead(context, ROLE, work(context, &mut store)).await
}

async fn work(context: &Context, store: &mut Store) -> anyhow::Result<()> {
    let mut ticks = interval(TOPOLOGY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u32.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.shutdown.cancelled() => return Ok(()),
        }
        context.broker.declare().await?;
        if round % PARTITIONS_EVERY == 0 {
            look_after_partitions(context, store).await;
        }
    }
    Ok(())
}

/// What could not be done within the lock timeout is done in a minute; it is no reason to end the session.
async fn look_after_partitions(context: &Context, store: &mut Store) {
    let retention = context.settings.retention;
    if let Err(error) = store.make_partitions(retention).await {
        tracing::warn!(%error, "partitions could not be made: {error}");
    }
    match store.drop_old(retention).await {
        Ok(dropped) if dropped.is_empty() => {}
        Ok(dropped) => tracing::info!(?dropped, "old partitions were dropped"),
        Err(error) => tracing::warn!(%error, "old partitions could not be dropped: {error}"),
    }
}
