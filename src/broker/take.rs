//! Work, for as long as a worker has room for it.
//!
//! ```text
//! consume ──► deliveries, one at a time from each queue ──► acknowledge, or give back
//! cancel  ──► what was on its way still comes, then nothing
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};

use super::consume::read;
use super::publish::short;
use super::{Broker, Error, Queue, asked, close};
use crate::protocol::Received;

/// What is delivered ahead of an acknowledgement, to each consumer: work waits at the broker, where
/// another worker finds it.
const PREFETCH: u16 = 1;

/// A delivery that is not settled. It means nothing after its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryTag(pub u64);

/// A channel that takes work from several queues, and is told when.
///
/// All consumers share it, and it is used by one task: so a cancellation is done before the acknowledgement
/// that follows it, whatever queue either is for.
pub struct Taker {
    channel: Channel,
    queues: Vec<String>,
    prefix: String,
    /// What the console calls a consumer; each opening counts, since one that was cancelled may not be empty yet.
    tag: String,
    openings: u64,
    /// The consumers that are wanted, by their tags.
    open: HashSet<String>,
    /// Those, and cancelled ones that are not empty yet.
    streams: SelectAll<BoxStream<'static, Taken>>,
    unsettled: HashMap<DeliveryTag, Acker>,
}

/// What a consumer yields.
enum Taken {
    Delivery(Box<lapin::Result<Delivery>>),
    /// It has ended: cancelled by us, by the broker, or with its channel.
    End {
        tag: String,
        queue: String,
    },
}

impl Broker {
    /// A channel that takes work from these queues; it consumes nothing yet.
    pub async fn taker(&self, queues: impl IntoIterator<Item = Queue>) -> Result<Taker, Error> {
        let channel = self.consuming_channel().await?;
        // Per consumer, so one queue does not hold up another.
        let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        asked(&channel, "setting the prefetch", qos).await?;
        let queues = queues.into_iter().map(|queue| self.topology.queue(queue)).collect();
        let prefix = self.topology.prefix().to_owned();
        let (open, streams, unsettled) = (HashSet::new(), SelectAll::new(), HashMap::new());
        let (tag, openings) = (self.name.clone(), 0);
        Ok(Taker { channel, queues, prefix, tag, openings, open, streams, unsettled })
    }
}

impl Taker {
    /// Opens a consumer on each queue.
    pub async fn consume(&mut self) -> Result<(), Error> {
        self.openings += 1;
        for queue in &self.queues {
            let tag = format!("{} {queue} {}", self.tag, self.openings);
            let (name, options) = (short(queue), BasicConsumeOptions::default());
            let consuming = self.channel.basic_consume(name, short(&tag), options, FieldTable::default());
            let consumer = asked(&self.channel, "consuming", consuming).await?;
            self.streams.push(taken(consumer, tag.clone(), queue.clone()));
            self.open.insert(tag);
        }
        Ok(())
    }

    /// Cancels every consumer, and returns when the broker has done it: nothing more is sent.
    pub async fn cancel(&mut self) -> Result<(), Error> {
        for tag in self.open.drain() {
            let cancelling = self.channel.basic_cancel(short(&tag), BasicCancelOptions::default());
            asked(&self.channel, "cancelling a consumer", cancelling).await?;
        }
        Ok(())
    }

    /// The next delivery; waits while there is no consumer. Nothing is lost when it is not awaited to its end.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the broker has cancelled a consumer: the session is over.
    pub async fn next(&mut self) -> Result<(DeliveryTag, Received), Error> {
        loop {
            match self.streams.next().await {
                Some(Taken::Delivery(delivery)) => return Ok(self.hold((*delivery)?)),
                Some(Taken::End { tag, queue }) if self.open.contains(&tag) => {
                    return Err(Error::Cancelled(queue));
                }
                Some(Taken::End { .. }) => {}
                None => future::pending().await,
            }
        }
    }

    /// Acknowledges a delivery.
    pub async fn acknowledge(&mut self, tag: DeliveryTag) -> Result<(), Error> {
        if let Some(acker) = self.unsettled.remove(&tag) {
            asked(&self.channel, "acknowledging", acker.ack(BasicAckOptions::default())).await?;
        }
        Ok(())
    }

    /// Gives a delivery back to its queue, for another worker.
    pub async fn give_back(&mut self, tag: DeliveryTag) -> Result<(), Error> {
        if let Some(acker) = self.unsettled.remove(&tag) {
            let giving_back = acker.nack(BasicNackOptions { requeue: true, multiple: false });
            asked(&self.channel, "giving work back", giving_back).await?;
        }
        Ok(())
    }

    /// Closes the channel, at an orderly end: what was not settled goes back to its queue.
    pub async fn close(self) {
        close(&self.channel).await;
    }

    fn hold(&mut self, delivery: Delivery) -> (DeliveryTag, Received) {
        let (tag, received) = (DeliveryTag(delivery.delivery_tag), read(&delivery, &self.prefix));
        self.unsettled.insert(tag, delivery.acker);
        (tag, received)
    }
}

/// What a consumer yields, with its end marked: a lapin stream that ends does not say which it was.
fn taken(consumer: Consumer, tag: String, queue: String) -> BoxStream<'static, Taken> {
    let end = stream::once(future::ready(Taken::End { tag, queue }));
    consumer.map(|delivery| Taken::Delivery(Box::new(delivery))).chain(end).boxed()
}

impl fmt::Debug for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").field("queues", &self.queues).finish_non_exhaustive()
    }
}
