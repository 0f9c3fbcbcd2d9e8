//! The rejected queue, as people deal with it: look, send again, drop.
//!
//! ```text
//! look ──► the oldest messages, held ──► send again (confirmed) ──► remove ──► close: the others go back
//! ```
//!
//! Who looks holds what it sees: nobody else sees that meanwhile. What is not removed goes back to the front
//! of the queue, in the order in which it lay there; so it does when we die.

mod message;

pub use message::RejectedMessage;

use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Confirmation};

use super::publish::short;
use super::{Broker, Error, Gauge, Queue, Topology, in_time};
use crate::domain::{PersonName, Timestamp};

/// The most messages that are looked at.
pub const MAX_LOOKED: u32 = 1_000;

/// So many bytes of bodies end a look, so that memory is bounded whatever they are; a page more may be held.
const MAX_LOOKED_BYTES: usize = 64 * 1024 * 1024;

/// Each page is held by a consumer of its own. The broker gives back the messages of up to 32 consumers of a
/// channel in the order of the consumers; those of single gets would come back in any order.
const PAGE: u16 = 50;

/// What the broker said lies there, and does not come within this, or is not back within this, somebody else
/// has taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// So often the queue is asked whether it has what was given back.
const GLANCES: Duration = Duration::from_millis(10);

/// Publishes before the first confirm is awaited.
const IN_FLIGHT: usize = 64;

/// Some messages of the rejected queue, held until they are removed or given back.
pub struct Look {
    /// What was seen, oldest first.
    pub messages: Vec<RejectedMessage>,
    /// How many more lay behind them.
    pub unseen: u32,
    ackers: Vec<Option<Acker>>,
    channel: Channel,
    publishing: Channel,
    gauge: Gauge,
    topology: Topology,
    account: String,
    tag: String,
}

impl Broker {
    /// Holds the oldest messages of the rejected queue, [`MAX_LOOKED`] at most.
    pub async fn look_at_rejected(&self) -> Result<Look, Error> {
        let mut look = in_time("opening a look", Look::open(self)).await?;
        let ready = look.gauge.ready(Queue::Rejected).await?;
        let wanted = ready.min(MAX_LOOKED);
        while look.seen() < wanted && look.bytes() < MAX_LOOKED_BYTES {
            let size = wanted.saturating_sub(look.seen()).min(PAGE.into());
            if in_time("looking at the rejected queue", look.turn_page(size)).await? < size {
                break;
            }
        }
        look.unseen = ready.saturating_sub(look.seen());
        Ok(look)
    }
}

impl Look {
    /// Those that are not removed, with their places, oldest first.
    pub fn held(&self) -> impl Iterator<Item = (usize, &RejectedMessage)> {
        let places = self.messages.iter().zip(&self.ackers).enumerate();
        places.filter(|(_, (_, acker))| acker.is_some()).map(|(place, (message, _))| (place, message))
    }

    /// The message at a place, which [`Look::held`] gave.
    #[must_use]
    pub fn message(&self, place: usize) -> &RejectedMessage {
        self.messages.get(place).unwrap_or_else(|| unreachable!("no message is ever taken off the list"))
    }

    async fn open(broker: &Broker) -> Result<Self, Error> {
        let channel = broker.consuming_channel().await?;
        let (publishing, gauge) = (broker.publishing_channel().await?, broker.gauge().await?);
        publishing.confirm_select(ConfirmSelectOptions::default()).await?;
        let (topology, account) = (broker.topology.clone(), broker.account().to_owned());
        let (messages, ackers) = (Vec::new(), Vec::new());
        let tag = broker.tag("look");
        Ok(Self { messages, unseen: 0, ackers, channel, publishing, gauge, topology, account, tag })
    }

    fn seen(&self) -> u32 {
        self.messages.len().try_into().unwrap_or(u32::MAX)
    }

    fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.body.len()).sum()
    }

    /// Holds so many more, and says how many there were.
    async fn turn_page(&mut self, size: u32) -> Result<u32, Error> {
        let (queue, tag) = (
            self.topology.queue(Queue::Rejected),
            format!("{} {:02}", self.tag, self.seen().div_euclid(PAGE.into())),
        );
        self.channel.basic_qos(size.try_into().unwrap_or(PAGE), BasicQosOptions::default()).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut consumer = self.channel.basic_consume(short(&queue), short(&tag), options, arguments).await?;
        let mut seen: u32 = 0;
        while seen < size {
            let Ok(delivery) = tokio::time::timeout(PATIENCE, consumer.next()).await else { break };
            let delivery = delivery.ok_or_else(|| Error::Cancelled(queue.clone()))??;
            self.messages.push(RejectedMessage::read(&delivery, &self.topology, &self.account));
            self.ackers.push(Some(delivery.acker));
            seen = seen.saturating_add(1);
        }
        // Or each one that is removed would bring another.
        self.channel.basic_cancel(short(&tag), BasicCancelOptions::default()).await?;
        Ok(seen)
    }

    /// Sends messages, by their places, again to where they came from, marked: all are confirmed, or it is an
    /// error. One that cannot be sent again must not be among them.
    pub async fn send_again(&self, places: &[usize], by: &PersonName) -> Result<(), Error> {
        let now = Timestamp::from(SystemTime::now());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        // A copy: a closure over references would make this future one that can not be spawned.
        let publishing = stream::iter(places.to_vec())
            .map(|place| {
                let message = self.message(place);
                let (exchange, key) = message.origin();
                let exchange = short(&self.topology.exchange(exchange));
                let properties = message.replayed(&self.account, by, now);
                self.publishing.basic_publish(exchange, key.into(), options, &message.body, properties)
            })
            .buffered(IN_FLIGHT)
            .try_buffered(IN_FLIGHT)
            .try_collect::<Vec<_>>();
        let confirmations =
            in_time("a confirm of what was sent again", async { Ok(publishing.await?) }).await?;
        for confirmation in confirmations {
            let why = match confirmation {
                Confirmation::Ack(None) => continue,
                Confirmation::Ack(Some(_)) => "no queue is bound for it",
                _ => "it refused",
            };
            return Err(Error::NotConfirmed("what was to be sent again".to_owned(), why));
        }
        Ok(())
    }

    /// Takes messages, by their places, off the queue for good; returns when the queue has noted it.
    pub async fn remove(&mut self, places: &[usize]) -> Result<(), Error> {
        for place in places {
            if let Some(acker) = self.ackers.get_mut(*place).and_then(Option::take) {
                acker.ack(BasicAckOptions::default()).await?;
            }
        }
        // The broker's channel passes on no more than some 32 acknowledgements at once, and forgets the others
        // when it is closed. A consumer that comes and goes takes two turns through the queue's own log, which
        // come after what was passed on; by then the others have been passed on, too.
        let settling = async {
            self.channel.basic_qos(1, BasicQosOptions::default()).await?;
            for tag in ["settled-1", "settled-2"] {
                let queue = short(&self.topology.queue(Queue::Rejected));
                let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
                drop(self.channel.basic_consume(queue, tag.into(), options, arguments).await?);
                self.channel.basic_cancel(tag.into(), BasicCancelOptions::default()).await?;
            }
            Ok(())
        };
        in_time("settling what was removed", settling).await
    }

    /// Gives the others back; returns when who looks next finds them.
    pub async fn close(self) -> Result<(), Error> {
        let closing = async {
            let behind = self.gauge.ready(Queue::Rejected).await?;
            self.channel.close(200, "looked".into()).await?;
            self.given_back(behind).await?;
            self.gauge.close().await;
            Ok(self.publishing.close(200, "looked".into()).await?)
        };
        in_time("giving back what was looked at", closing).await
    }

    /// The broker says that a channel is closed before its queues have heard of it.
    async fn given_back(&self, behind: u32) -> Result<(), Error> {
        let all = behind.saturating_add(self.held().count().try_into().unwrap_or(u32::MAX));
        let waiting = async {
            let mut glances = tokio::time::interval(GLANCES);
            while self.gauge.ready(Queue::Rejected).await? < all {
                glances.tick().await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or(Ok(()))
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("messages", &self.messages).finish_non_exhaustive()
    }
}
