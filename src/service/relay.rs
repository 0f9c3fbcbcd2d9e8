//! Event log → fanout exchange, in order, at least once.
//!
//! The cursor moves over the longest prefix that was confirmed, by compare-and-set: two relays at once only
//! repeat each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::leader::lead;
use super::{Context, begin, metrics};
use crate::broker::Exchange;
use crate::broker::publish::{Confirm, Outgoing, Publisher};
use crate::domain::event::Event;
use crate::failpoint;
use crate::protocol::event::EventBody;
use crate::store::{Error, Store};

const ROLE: &str = "relay";

/// The most events that are read and published at once.
const BATCH_MAX: i64 = 1000;

/// How often the log is looked at when nobody in this process wrote to it.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

pub(super) async fn session(context: Arc<Context>) -> anyhow::Result<()> {
    let context = context.as_ref();
    let mut store = begin(context, ROLE).await?;
    let publisher = context.broker.publisher().await?;
    lead(context, ROLE, work(context, &mut store, &publisher)).await?;
    publisher.close().await;
    Ok(())
}

async fn work(context: &Context, store: &mut Store, publisher: &Publisher) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        let log = store.log_end().await?;
        check_log(context, log.end)?;
        metrics::relay_lag(log.end - log.published);
        if log.published >= log.end {
            tokio::select! {
                () = context.events_written.notified() => {}
                _ = tokio::time::timeout(POLL_INTERVAL, context.shutdown.cancelled()) => {}
            }
            continue;
        }
        let events = store.events_after(log.published, BATCH_MAX).await?;
        publish(context, store, publisher, log.published, events).await?;
    }
    Ok(())
}

/// The log only grows; one that ends below where it has been was restored to an earlier moment.
fn check_log(context: &Context, end: i64) -> Result<(), Error> {
    let read = context.log_seen.fetch_max(end, Ordering::Relaxed);
    if end < read { Err(Error::LogWentBack { end, read }) } else { Ok(()) }
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
