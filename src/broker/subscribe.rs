//! What an audit subscriber does: a queue of its own, bound to the events exchange.

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};

use super::publish::short;
use super::{Broker, Error, Exchange};
use crate::protocol::event::EventBody;

/// Events that the broker sends ahead; what more there is waits there, and not in the memory of a slow reader.
const PREFETCH: u16 = 1_000;

/// Every event from now on, as long as this lives. An audit subscriber that must not miss any binds a durable
/// queue instead, which goes on filling while it is away.
pub struct Subscriber {
    deliveries: lapin::Consumer,
    // The queue lives as long as its connection's channel.
    _channel: lapin::Channel,
}

impl Broker {
    /// Subscribes to the events, on a queue that goes with the connection.
    pub async fn subscribe(&self) -> Result<Subscriber, Error> {
        let channel = self.consuming_channel().await?;
        let options = QueueDeclareOptions::exclusive().auto_delete();
        let queue = channel.queue_declare(ShortString::default(), options, FieldTable::default()).await?;
        let exchange = short(&self.topology.exchange(Exchange::Events));
        let (name, key, arguments) = (queue.name().clone(), ShortString::default(), FieldTable::default());
        channel.queue_bind(name.clone(), exchange, key, QueueBindOptions::default(), arguments).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (tag, options) = (short(&self.tag("events")), BasicConsumeOptions::default());
        let deliveries = channel.basic_consume(name, tag, options, FieldTable::default()).await?;
        Ok(Subscriber { deliveries, _channel: channel })
    }
}

impl Subscriber {
    /// The next event. What cannot be read as one is an error: nobody else publishes there.
    pub async fn next(&mut self) -> Result<EventBody, Error> {
        let delivery = self.deliveries.next().await;
        let delivery = delivery.ok_or_else(|| Error::Cancelled("the events".to_owned()))??;
        delivery.acker.ack(BasicAckOptions::default()).await?;
        serde_json::from_slice(&delivery.data).map_err(|error| Error::Unreadable(error.to_string()))
    }
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}
