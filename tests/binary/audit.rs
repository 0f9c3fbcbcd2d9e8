//! An audit subscriber: a durable queue, bound to the events, which goes on filling while nobody looks.

use std::collections::BTreeSet;

use code_imports::protocol::event::EventBody;
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties, Consumer};

use crate::process::within;

const QUEUE: &str = "audit";

/// What the queue holds, as it comes.
pub(crate) struct Audit {
    deliveries: Consumer,
    _connection: Connection,
}

impl Audit {
    /// Declares the queue, and binds it; nobody reads it yet. The exchange must be there.
    pub(crate) async fn bind(amqp_url: &str) {
        let connection = connect(amqp_url).await;
        let channel = connection.create_channel().await.unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
        let exchange = "code-imports.events".into();
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(QUEUE.into(), exchange, "".into(), options, arguments).await.unwrap();
        connection.close(200, "bound".into()).await.unwrap();
    }

    /// How much lies in the queue.
    pub(crate) async fn unread(amqp_url: &str) -> u32 {
        let channel = connect(amqp_url).await.create_channel().await.unwrap();
        let options = QueueDeclareOptions::durable().passive();
        channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await.unwrap().message_count()
    }

    /// Reads the queue.
    pub(crate) async fn read(amqp_url: &str) -> Self {
        let connection = connect(amqp_url).await;
        let channel = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consuming = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
        Self { deliveries: consuming.await.unwrap(), _connection: connection }
    }

    pub(crate) async fn next(&mut self) -> EventBody {
        let delivery = within("an event", self.deliveries.next()).await.unwrap().unwrap();
        serde_json::from_slice(&delivery.data).unwrap()
    }

    /// Waits for an event of this summary.
    pub(crate) async fn wait_for(&mut self, summary: &str) -> EventBody {
        let waiting = async {
            loop {
                let event = self.next().await;
                if event.summary == summary {
                    return event;
                }
            }
        };
        within(summary, waiting).await
    }

    /// Reads on until every id up to this one has come, and fails if they come in an order that no subscriber
    /// could follow: a jump forward, before the missing ones came.
    pub(crate) async fn hears_all_up_to(&mut self, last: i64) {
        let mut heard = BTreeSet::new();
        while heard.len() < usize::try_from(last).unwrap() {
            let id = self.next().await.id;
            let next = heard.last().map_or(1, |last| last + 1);
            assert!(id <= next, "event {id} came when {next} was the next");
            heard.insert(id);
        }
    }
}

/// A connection to the first of these that lives.
pub(crate) async fn connect(amqp_urls: &str) -> Connection {
    for url in amqp_urls.split(',') {
        if let Ok(connection) = Connection::connect(url, ConnectionProperties::default()).await {
            return connection;
        }
    }
    panic!("nobody answers at {amqp_urls}")
}
