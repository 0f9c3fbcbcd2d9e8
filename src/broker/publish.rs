//! Batches → confirms.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};

use super::{Broker, Error, asked, close, while_alive};
use crate::protocol::VERSION;

/// Publishes in flight before the first is written, and confirms awaited at once: the broker is kept
/// busy while memory stays small.
const IN_FLIGHT: usize = 256;

/// How long a whole window of confirms may take before the session is given up.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// A message that is to be published.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The routing key.
    pub routing_key: String,
    /// The same on a repeat, different otherwise.
    pub message_id: String,
    /// What the message is.
    pub kind: &'static str,
    /// The JSON.
    pub body: Vec<u8>,
    /// How long it may lie in a queue.
    pub expiration: Option<Duration>,
    /// Not written to disk: for what is worth nothing after a restart.
    pub is_transient: bool,
    /// Our own account, where the reader asks who says so.
    pub user_id: Option<String>,
    /// Where an answer is awaited.
    pub reply_to: Option<String>,
    /// What the answer must carry.
    pub correlation_id: Option<String>,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The broker has it.
    Taken,
    /// No queue is bound for it.
    Returned,
    /// The broker refused it.
    Refused,
}

/// A channel that publishes with confirms. One task uses it: two would get each other's confirms.
#[derive(Debug)]
pub struct Publisher {
    pub(super) channel: Channel,
    app_id: ShortString,
}

impl Broker {
    /// A publisher on a channel of its own.
    pub async fn publisher(&self) -> Result<Publisher, Error> {
        let channel = self.publishing_channel().await?;
        asked(&channel, "asking for confirms", channel.confirm_select(ConfirmSelectOptions::default()))
            .await?;
        Ok(Publisher { channel, app_id: short(self.topology.prefix()) })
    }

    /// A publisher of answers, whose channel waits for no confirms.
    pub(super) async fn answers(&self) -> Result<Publisher, Error> {
        Ok(Publisher { channel: self.answering_channel().await?, app_id: short(self.topology.prefix()) })
    }
}

impl Publisher {
    /// Publishes messages in order and says of each what became of it.
    ///
    /// `is_mandatory`: a message that no queue takes comes back, instead of being dropped.
    pub async fn publish(
        &self,
        exchange: &str,
        messages: &[Outgoing],
        is_mandatory: bool,
    ) -> Result<Vec<Confirm>, Error> {
        let options = BasicPublishOptions { mandatory: is_mandatory, ..BasicPublishOptions::default() };
        let exchange = short(exchange);
        // By index: a closure over references would make this future one that can not be spawned.
        let publishing = stream::iter(0..messages.len())
            .map(|index| {
                let message = &messages[index];
                let (exchange, key) = (exchange.clone(), short(&message.routing_key));
                let properties = properties(message, self.app_id.clone());
                self.channel.basic_publish(exchange, key, options, &message.body, properties)
            })
            .buffered(IN_FLIGHT)
            .try_buffered(IN_FLIGHT)
            .try_collect::<Vec<_>>();
        let publishing = while_alive(&self.channel, "publishing", publishing);
        let confirmations = tokio::time::timeout(CONFIRM_TIMEOUT, publishing)
            .await
            .map_err(|_| Error::Stalled("a publisher confirm", CONFIRM_TIMEOUT))??;
        Ok(confirms(messages, confirmations))
    }

    /// Publishes messages that must arrive: all are confirmed, or it is an error.
    pub async fn publish_all(&self, exchange: &str, messages: &[Outgoing]) -> Result<(), Error> {
        let confirms = self.publish(exchange, messages, true).await?;
        match messages.iter().zip(confirms).find(|(_, confirm)| *confirm != Confirm::Taken) {
            None => Ok(()),
            Some((message, confirm)) => {
                let why =
                    if confirm == Confirm::Returned { "no queue is bound for it" } else { "it refused" };
                Err(Error::NotConfirmed(format!("{} {}", message.kind, message.message_id), why))
            }
        }
    }

    /// Publishes without waiting for a confirm: for answers, which are repeated when they are lost.
    pub async fn publish_answer(&self, message: &Outgoing) -> Result<(), Error> {
        let properties = properties(message, self.app_id.clone());
        let key = short(&message.routing_key);
        let options = BasicPublishOptions::default();
        self.channel.basic_publish(ShortString::default(), key, options, &message.body, properties).await?;
        Ok(())
    }

    /// Closes the channel, at an orderly end: what was written before arrives.
    pub async fn close(self) {
        close(&self.channel).await;
    }
}

/// A returned message may ride on another one's confirm, so it is known by its id, not by its place.
fn confirms(messages: &[Outgoing], confirmations: Vec<Confirmation>) -> Vec<Confirm> {
    let mut returned = HashSet::new();
    let mut confirms = Vec::with_capacity(messages.len());
    for confirmation in confirmations {
        confirms.push(if confirmation.is_ack() { Confirm::Taken } else { Confirm::Refused });
        if let Some(message) = confirmation.take_message() {
            returned.extend(message.properties.message_id().as_ref().map(ToString::to_string));
        }
    }
    for (message, confirm) in messages.iter().zip(&mut confirms) {
        if returned.contains(&message.message_id) {
            *confirm = Confirm::Returned;
        }
    }
    confirms
}

fn properties(message: &Outgoing, app_id: ShortString) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-version".into(), AMQPValue::LongLongInt(VERSION));
    for (key, value) in &message.headers {
        headers.insert((*key).into(), AMQPValue::LongString(value.as_str().into()));
    }
    let mut properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_message_id(short(&message.message_id))
        .with_type(message.kind.into())
        .with_timestamp(seconds_now())
        .with_app_id(app_id)
        .with_delivery_mode(if message.is_transient { 1 } else { 2 })
        .with_headers(headers);
    if let Some(expiration) = message.expiration {
        properties = properties.with_expiration(short(&expiration.as_millis().to_string()));
    }
    if let Some(user_id) = &message.user_id {
        properties = properties.with_user_id(short(user_id));
    }
    if let Some(reply_to) = &message.reply_to {
        properties = properties.with_reply_to(short(reply_to));
    }
    if let Some(correlation_id) = &message.correlation_id {
        properties = properties.with_correlation_id(short(correlation_id));
    }
    properties
}

/// A text as AMQP's short string, cut to the 255 bytes that one holds: longer ones would panic.
pub(super) fn short(text: &str) -> ShortString {
    ShortString::try_new(crate::protocol::beginning_of(text, 255)).unwrap_or_default()
}

/// When a message was sent, for people: nothing decides by it.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
