//! B: a bare program that moves messages, as fast as lapin and the broker do.
//!
//! Each stream of messages has a connection of its own, which lapin serves with a thread of its own. Publishers keep
//! 256 messages in flight and have each confirmed; consumers acknowledge with one frame whatever has arrived.

use anyhow::Context as _;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::sync::mpsc;

/// Publishes in flight, and confirms awaited.
const IN_FLIGHT: usize = 256;

/// Deliveries that the broker sends ahead.
const PREFETCH: u16 = 1000;

/// A message: its kind, which is its routing key too, and its body.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is.
    pub kind: &'static str,
    /// The JSON.
    pub body: Vec<u8>,
}

/// A channel on a connection of its own.
pub async fn channel(amqp_url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection =
        Connection::connect(amqp_url, ConnectionProperties::default()).await.context("RabbitMQ")?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// Somebody who publishes with confirms.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
    channel: Channel,
    exchange: ShortString,
}

impl Publisher {
    /// Connects.
    pub async fn open(amqp_url: &str, exchange: &str) -> anyhow::Result<Self> {
        let (connection, channel) = channel(amqp_url).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel, exchange: exchange.into() })
    }

    /// Publishes messages in order, until they end and all are confirmed.
    pub async fn publish(self, messages: impl Stream<Item = Message> + Send) -> anyhow::Result<()> {
        let (channel, exchange) = (&self.channel, &self.exchange);
        messages
            .map(|Message { kind, body }| {
                let (exchange, options) = (exchange.clone(), BasicPublishOptions::default());
                async move { channel.basic_publish(exchange, kind.into(), options, &body, properties(kind)).await }
            })
            .buffered(IN_FLIGHT)
            .try_buffered(IN_FLIGHT)
            .try_for_each(async |confirmation| {
                if confirmation.is_ack() { Ok(()) } else { Err(lapin::ErrorKind::InvalidConnectionState(lapin::ConnectionState::Error).into()) }
            })
            .await?;
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    /// Publishes what comes in by the hand that is given, in a task of its own.
    pub fn pump(self) -> (mpsc::UnboundedSender<Message>, tokio::task::JoinHandle<anyhow::Result<()>>) {
        let (hand, mut taken) = mpsc::unbounded_channel();
        let messages = stream::poll_fn(move |context| taken.poll_recv(context));
        (hand, tokio::spawn(self.publish(messages)))
    }
}

/// Somebody who takes messages and acknowledges them.
#[derive(Debug)]
pub struct Taker {
    connection: Connection,
    deliveries: Consumer,
    is_acknowledged: bool,
}

impl Taker {
    /// Consumes a queue.
    pub async fn open(amqp_url: &str, queue: &str) -> anyhow::Result<Self> {
        let (connection, channel) = channel(amqp_url).await?;
        Self::consume(connection, &channel, queue, true).await
    }

    /// Listens to a fanout exchange, as an audit subscriber does: on a queue that goes with the connection.
    pub async fn subscribe(amqp_url: &str, exchange: &str) -> anyhow::Result<Self> {
        let (connection, channel) = channel(amqp_url).await?;
        let options = QueueDeclareOptions::exclusive().auto_delete();
        let queue = channel.queue_declare(ShortString::default(), options, FieldTable::default()).await?;
        let (name, key) = (queue.name().clone(), ShortString::default());
        let options = QueueBindOptions::default();
        channel.queue_bind(name.clone(), exchange.into(), key, options, FieldTable::default()).await?;
        Self::consume(connection, &channel, name.as_str(), false).await
    }

    async fn consume(
        connection: Connection,
        channel: &Channel,
        queue: &str,
        is_acknowledged: bool,
    ) -> anyhow::Result<Self> {
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions { no_ack: !is_acknowledged, ..BasicConsumeOptions::default() };
        let deliveries =
            channel.basic_consume(queue.into(), "bare".into(), options, FieldTable::default()).await?;
        Ok(Self { connection, deliveries, is_acknowledged })
    }

    /// Takes so many messages, and shows each to somebody.
    pub async fn take(self, count: usize, mut see: impl FnMut(&[u8]) + Send) -> anyhow::Result<()> {
        let mut left = count;
        let mut chunks = self.deliveries.ready_chunks(PREFETCH.into());
        while left > 0 {
            let chunk = chunks.next().await.context("the broker cancelled a consumer")?;
            let mut last = None;
            for delivery in chunk {
                let delivery = delivery?;
                see(&delivery.data);
                left = left.saturating_sub(1);
                last = Some(delivery);
            }
            if let Some(last) = last.filter(|_| self.is_acknowledged) {
                last.acker.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }
}

/// Fills an exchange with messages before a measurement.
pub async fn preload(amqp_url: &str, exchange: &str, messages: Vec<Message>) -> anyhow::Result<()> {
    Publisher::open(amqp_url, exchange).await?.publish(stream::iter(messages)).await
}

/// How many consumers and ready messages a queue has.
pub async fn look(channel: &Channel, queue: &str) -> anyhow::Result<(u32, u32)> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    Ok((queue.consumer_count(), queue.message_count()))
}

/// What ours sends with a message: persistent, with the same properties.
fn properties(kind: &'static str) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-version".into(), AMQPValue::LongLongInt(1));
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_message_id(uuid::Uuid::new_v4().to_string().into())
        .with_type(kind.into())
        .with_timestamp(1_700_000_000)
        .with_app_id("code-imports".into())
        .with_delivery_mode(2)
        .with_headers(headers)
}
