//! The audit subscriber: a durable queue of its own, bound to the events, and all that comes is written down.

use std::time::Duration;

use code_imports::protocol::event::EventBody;
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::{MissedTickBehavior, interval};

use crate::history::{Heard, History, Span, now};
use crate::process::pass;

const QUEUE: &str = "audit";

/// How often it binds its queue again: somebody may have deleted the exchange.
const BIND: Duration = Duration::from_millis(500);

/// How long the broker may take for anything; lapin would wait for ever for one that is gone.
const PATIENCE: Duration = Duration::from_secs(8);

/// Listens until the harness ends.
pub(crate) async fn listen(url: String, history: History) {
    loop {
        // Whatever ends a session, the next one follows; what was not acknowledged comes again.
        drop(session(&url, &history).await);
        pass(Duration::from_millis(500)).await;
    }
}

async fn session(url: &str, history: &History) -> lapin::Result<()> {
    let url = format!("{url}?heartbeat=4");
    let opening = async {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        bind(&channel).await?;
        let (queue, options) = (QUEUE.into(), BasicConsumeOptions::default());
        let events = channel.basic_consume(queue, "audit".into(), options, FieldTable::default()).await?;
        Ok::<_, lapin::Error>((connection, channel, events))
    };
    let Ok(opened) = tokio::time::timeout(PATIENCE, opening).await else { return Ok(()) };
    let (_connection, channel, mut events) = opened?;
    let mut binds = interval(BIND);
    binds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            delivery = events.next() => {
                let Some(delivery) = delivery else { return Ok(()) };
                let delivery = delivery?;
                if let Ok(event) = serde_json::from_slice::<EventBody>(&delivery.data) {
                    let heard = Heard { id: event.id, epoch: event.epoch, at: now() };
                    history.facts().heard.push(heard);
                }
                let acknowledging = delivery.acker.ack(BasicAckOptions::default());
                let Ok(acknowledged) = tokio::time::timeout(PATIENCE, acknowledging).await else { return Ok(()) };
                acknowledged?;
            }
            _ = binds.tick() => {
                let Ok(bound) = tokio::time::timeout(PATIENCE, bind(&channel)).await else { return Ok(()) };
                bound?;
            }
        }
    }
}

async fn bind(channel: &Channel) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    let (exchange, options) = ("code-imports.events".into(), QueueBindOptions::default());
    channel.queue_bind(QUEUE.into(), exchange, "".into(), options, FieldTable::default()).await
}

/// What the subscriber cannot have heard: its binding was deleted in this time.
pub(crate) fn missed(history: &History, from: crate::history::At) {
    history.facts().unbound.push(Span { from, until: now() });
}
