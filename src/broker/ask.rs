//! Questions → answers, by direct reply-to.

use futures_util::StreamExt;
use lapin::Consumer;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;

use super::consume::read;
use super::publish::{Publisher, short};
use super::{Broker, Error, asked};
use crate::protocol::Received;

/// Where an answer is awaited: the broker puts the asking channel in its place, so no queue is made for it.
pub const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The answers to what one publisher asks.
///
/// They are heard at most once and only while the channel lives: whoever must have an answer asks again.
#[derive(Debug)]
pub struct Answers {
    consumer: Consumer,
    prefix: String,
}

impl Broker {
    /// A publisher whose messages may ask, and the answers to them: both are one channel.
    pub async fn asking_publisher(&self) -> Result<(Publisher, Answers), Error> {
        let publisher = self.publisher().await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let (queue, tag) = (DIRECT_REPLY_TO.into(), short(&self.tag("answers")));
        // Before the first question, or the broker refuses it.
        let consuming = publisher.channel.basic_consume(queue, tag, options, FieldTable::default());
        let consumer = asked(&publisher.channel, "consuming", consuming).await?;
        let prefix = self.topology.prefix().to_owned();
        Ok((publisher, Answers { consumer, prefix }))
    }
}

impl Answers {
    /// The next answer; its correlation id says to what.
    pub async fn next(&mut self) -> Result<Received, Error> {
        match self.consumer.next().await {
            Some(delivery) => Ok(read(&delivery?, &self.prefix)),
            None => Err(Error::Cancelled(DIRECT_REPLY_TO.to_owned())),
        }
    }
}
