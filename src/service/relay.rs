//! Event log → fanout exchange, in order, at least once.
//!
//! While the broker takes one batch, the next is read, and the cursor follows the one before. It moves over the
//! longest prefix that was confirmed, by compare-and-set: two relays at once only repeat each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::leader::{hold, wait_to_lead};
use super::log::log_end;
use super::{Context, begin, metrics};
use crate::broker::Exchange;
use crate::broker::publish::{Confirm, Outgoing, Publisher};
use crate::domain::event::Event;
use crate::failpoint;
use crate::protocol::event::EventBody;
use crate::store::Store;

const ROLE: &str = "relay";

/// The most events that are read and published at once.
const BATCH_MAX: i64 = 1000;

/// How often the log is looked at when nobody in this process wrote to it.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How often whoever stands by looks where the log ends.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn session(context: Arc<Context>) -> anyhow::Result<()> {
    let context = context.as_ref();
    let mut store = begin(context, ROLE).await?;
    let publisher = context.broker.publisher().await?;
    let leadership = tokio::select! {
        waited = wait_to_lead(context, ROLE) => waited?,
        gone = watch(context, &mut store) => return gone,
    };
    if let Some(leadership) = leadership {
        hold(context, leadership, ROLE, work(context, &mut store, &publisher)).await?;
    }
    publisher.close().await;
    Ok(())
}

/// Looks where the log ends for as long as another process leads: whoever stands by must see a restore too, or it
/// would go on where the leader had to stop.
async fn watch(context: &Context, store: &mut Store) -> anyhow::Result<()> {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        log_end(context, store).await?;
    }
}

/// How far a session has come: ids of the log, each at most the next.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Where it left the cursor.
    cursor: i64,
    /// What the broker has.
    confirmed: i64,
    /// What was read, and is on the standby.
    read: i64,
}

impl Progress {
    fn at(cursor: i64) -> Self {
        Self { cursor, confirmed: cursor, read: cursor }
    }

    /// Whether nothing is on its way.
    fn is_idle(&self) -> bool {
        self.cursor == self.read
    }
}

async fn work(context: &Context, store: &mut Store, publisher: &Publisher) -> anyhow::Result<()> {
    let mut progress = Progress::at(log_end(context, store).await?.published);
    let mut batch = Vec::new();
    loop {
        let (next, taken) =
            tokio::try_join!(ahead(context, store, &mut progress), publish(context, publisher, &batch))?;
        progress.confirmed += i64::try_from(taken)?;
        if taken < batch.len() {
            settle(store, &mut progress, true).await?;
            anyhow::bail!("the broker refused event {}", progress.confirmed + 1);
        }
        batch = next;
        if !progress.is_idle() {
            continue;
        }
        if context.shutdown.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            () = context.events_written.notified() => {}
            _ = tokio::time::timeout(POLL_INTERVAL, context.shutdown.cancelled()) => {}
        }
    }
}

/// Reads the next batch, and moves the cursor over what was confirmed before. Told to stop, it reads no more.
async fn ahead(
    context: &Context,
    store: &mut Store,
    progress: &mut Progress,
) -> anyhow::Result<Vec<Outgoing>> {
    let log = log_end(context, store).await?;
    if progress.is_idle() {
        *progress = Progress::at(log.published);
    }
    metrics::relay_lag(log.end - progress.confirmed);
    if progress.read >= log.end || context.shutdown.is_cancelled() {
        settle(store, progress, log.has_standby).await?;
        return Ok(Vec::new());
    }
    let events = store.events_after(progress.read, BATCH_MAX).await?;
    let ids = events.iter().map(|event| event.id);
    let is_whole = ids.zip(progress.read + 1..).all(|(id, expected)| id == expected);
    anyhow::ensure!(is_whole && !events.is_empty(), "the event log has a gap after {}", progress.read);
    // What a primary that was replaced shows may have happened nowhere else: before any of it is published, a COMMIT
    // after the reading has waited for the standby, where there is one.
    let has_waited = settle(store, progress, log.has_standby).await?;
    if log.has_standby && !has_waited {
        store.wait_for_standby().await?;
    }
    progress.read += i64::try_from(events.len())?;
    let account = context.broker.account();
    events.into_iter().map(|event| message(event, account)).collect()
}

/// Moves the cursor over what was confirmed; says whether it had to be moved, which is a COMMIT. It waits for the disk
/// only where it waits for a standby too: a cursor that is lost costs a repeat, and every wait is one for what is told.
async fn settle(store: &mut Store, progress: &mut Progress, durable: bool) -> anyhow::Result<bool> {
    let must_move = progress.cursor < progress.confirmed;
    if must_move {
        store.move_cursor(progress.cursor, progress.confirmed, durable).await?;
        progress.cursor = progress.confirmed;
    }
    Ok(must_move)
}

/// Publishes a batch, and says how many of its first the broker has.
async fn publish(context: &Context, publisher: &Publisher, batch: &[Outgoing]) -> anyhow::Result<usize> {
    if batch.is_empty() {
        return Ok(0);
    }
    let exchange = context.broker.topology.exchange(Exchange::Events);
    let confirms = publisher.publish(&exchange, batch, false).await?;
    failpoint::pass("published-cursor-not-moved");
    let taken = confirms.iter().take_while(|confirm| **confirm == Confirm::Taken).count();
    metrics::published(taken);
    Ok(taken)
}

fn message(event: Event, account: &str) -> anyhow::Result<Outgoing> {
    let routing_key = event.what.kind.routing_key().to_owned();
    let message_id = event.message_id().to_string();
    let body = serde_json::to_vec(&EventBody::from(event))?;
    let user_id = Some(account.to_owned());
    Ok(Outgoing { routing_key, message_id, kind: "event", body, user_id, ..Outgoing::default() })
}
