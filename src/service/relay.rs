//! Event log → fanout exchange, in order, at least once.
//!
//! The cursor moves over the longest prefix that was confirmed, by compare-and-set: two relays at once only
//! repeat each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::leader::{hold, wait_to_lead};
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
        context.check_log(store.log_end().await?.end)?;
    }
}

async fn work(context: &Context, store: &mut Store, publisher: &Publisher) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        let log = store.log_end().await?;
        context.check_log(log.end)?;
        metrics::relay_lag(log.end - log.published);
        if log.published >= log.end {
            tokio::select! {
                () = context.events_written.notified() => {}
                _ = tokio::time::timeout(POLL_INTERVAL, context.shutdown.cancelled()) => {}
            }
            continue;
        }
        let events = store.events_after(log.published, BATCH_MAX).await?;
        // What a primary that was replaced shows may have happened nowhere else.
        store.wait_for_standby().await?;
        publish(context, store, publisher, log.published, events).await?;
    }
    Ok(())
}

async fn publish(
    context: &Context,
    store: &mut Store,
    publisher: &Publisher,
    cursor: i64,
    events: Vec<Event>,
) -> anyhow::Result<()> {
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let is_whole = ids.iter().zip(cursor + 1..).all(|(id, expected)| *id == expected);
    anyhow::ensure!(is_whole && !ids.is_empty(), "the event log has a gap after {cursor}");
    let (exchange, account) = (context.broker.topology.exchange(Exchange::Events), context.broker.account());
    let messages = events.into_iter().map(|event| message(event, account));
    let messages: Vec<Outgoing> = messages.collect::<Result<_, _>>()?;
    let confirms = publisher.publish(&exchange, &messages, false).await?;
    failpoint::pass("published-cursor-not-moved");
    let taken = confirms.iter().take_while(|confirm| **confirm == Confirm::Taken).count();
    if let Some(last) = taken.checked_sub(1).and_then(|index| ids.get(index)) {
        store.move_cursor(cursor, *last).await?;
        metrics::published(taken);
    }
    anyhow::ensure!(
        taken == messages.len(),
        "the broker refused event {}",
        cursor + 1 + i64::try_from(taken)?
    );
    Ok(())
}

fn message(event: Event, account: &str) -> anyhow::Result<Outgoing> {
    let routing_key = event.what.kind.routing_key().to_owned();
    let message_id = event.message_id().to_string();
    let body = serde_json::to_vec(&EventBody::from(event))?;
    let user_id = Some(account.to_owned());
    Ok(Outgoing { routing_key, message_id, kind: "event", body, user_id, ..Outgoing::default() })
}
