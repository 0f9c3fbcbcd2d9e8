//! Deliveries → batches → verdicts.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ErrorKind};
use tokio_util::sync::CancellationToken;

use super::connection::Link;
use super::publish::{Outgoing, Publisher, short};
use super::reject::{self, REPLAYED_BY, Rejected, USER_ID};
use super::{Broker, Error, Exchange, Queue, asked, close, in_time};
use crate::failpoint;
use crate::protocol::{Received, Refusal, Replay, is_answer_queue};

/// A batch ends when it holds so many bytes, so that memory is bounded whatever the bodies are.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A batch that is not settled within this time has stalled; everything is dropped and begun again.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies to the rejected queue that wait for their confirm at once.
const REJECTS_IN_FLIGHT: usize = 64;

/// An answer that cannot be written within this time is dropped; whoever waits for it asks again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What becomes of a delivery.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What is told to whoever asked for an answer.
    pub answer: Option<Vec<u8>>,
    /// Why a copy goes to the rejected queue, before the delivery is acknowledged.
    pub reject: Option<Refusal>,
    /// Whether it came from there, as somebody with the right to it vouches: then it keeps its first headers.
    pub is_replay: bool,
}

/// How a queue is consumed.
#[derive(Clone, Copy, Debug)]
pub struct Consumption {
    /// Which queue.
    pub queue: Queue,
    /// The most deliveries of a batch. The broker sends twice as many ahead: while one batch is settled, the next
    /// one arrives.
    pub batch: u16,
    /// After so long without a message the queue is consumed anew. RabbitMQ tells nobody whose consumer began just when
    /// the queue was deleted, and the next queue of that name knows nothing of it.
    pub idle: Duration,
}

/// Why a consumer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is wanted no more.
    Over,
    /// Nothing came for a while.
    Idle,
}

impl Broker {
    /// Hands batches to `judge` and settles them by its verdicts, until `shutdown`.
    ///
    /// A batch is whatever has already arrived, from one delivery to the most of a batch: it grows with the load
    /// by itself, and nothing waits for it to fill. Nothing is settled before `judge` has answered, so a
    /// crash costs a redelivery and never a message.
    ///
    /// # Errors
    /// Any error of the broker or of `judge`, and [`Error::Stalled`]: the session is over, and what was not
    /// settled is delivered again.
    pub async fn consume<E: From<Error>>(
        &self,
        consumption: Consumption,
        shutdown: &CancellationToken,
        mut judge: impl AsyncFnMut(&[Received]) -> Result<Vec<Verdict>, E>,
    ) -> Result<(), E> {
        while !shutdown.is_cancelled() {
            self.consume_in_session(consumption, shutdown, &mut judge).await?;
        }
        Ok(())
    }

    /// One session: until `shutdown`; or, if it takes care, until that is needed no more and it has noticed, at the next
    /// message or when none comes.
    async fn consume_in_session<E: From<Error>>(
        &self,
        consumption: Consumption,
        shutdown: &CancellationToken,
        judge: &mut impl AsyncFnMut(&[Received]) -> Result<Vec<Verdict>, E>,
    ) -> Result<(), E> {
        let is_careful = self.care.is_needed(consumption.queue);
        let prefetch = if is_careful { 1 } else { consumption.batch.saturating_mul(2) };
        let mut session =
            in_time("opening a session", Session::open(self, consumption.queue, prefetch)).await?;
        let is_over = || shutdown.is_cancelled() || (is_careful && !self.care.is_needed(consumption.queue));
        while self.take_batches(&mut session, consumption, shutdown, &is_over, judge).await? == End::Idle {
            in_time("opening a channel", session.renew(prefetch)).await?;
        }
        session.close().await;
        Ok(())
    }

    /// One consumer: judges and settles what comes, until it is over or nothing came for a while.
    async fn take_batches<E: From<Error>>(
        &self,
        session: &mut Session<'_>,
        consumption: Consumption,
        shutdown: &CancellationToken,
        is_over: &impl Fn() -> bool,
        judge: &mut impl AsyncFnMut(&[Received]) -> Result<Vec<Verdict>, E>,
    ) -> Result<End, E> {
        let prefix = self.topology.prefix();
        let tag = self.tag(&session.queue);
        let consumer = session.channel.basic_consume(
            short(&session.queue),
            short(&tag),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = in_time("consuming", async { Ok(consumer.await?) }).await;
        let consumer = consumer.map_err(|error| self.broken(consumption.queue, error))?;
        let mut batches = consumer.ready_chunks(consumption.batch.into());
        let (mut is_idle, mut end) = (false, None);
        loop {
            if end.is_none() && (is_idle || is_over()) {
                // What was delivered already still comes, and then the end of the stream.
                end = Some(if is_over() { End::Over } else { End::Idle });
                let options = BasicCancelOptions::default();
                let cancelling = session.channel.basic_cancel(short(&tag), options);
                let cancelled = in_time("cancelling a consumer", async { Ok(cancelling.await?) }).await;
                cancelled.map_err(|error| self.broken(consumption.queue, error))?;
            }
            let patience = if end.is_none() { consumption.idle } else { STALL_TIMEOUT };
            let batch = tokio::select! {
                biased;
                () = shutdown.cancelled(), if end.is_none() => continue,
                batch = tokio::time::timeout(patience, batches.next()) => batch,
            };
            let batch = match (batch, end) {
                (Ok(Some(batch)), _) => batch,
                (Ok(None), Some(end)) => return Ok(end),
                (Ok(None), None) => return Err(Error::Cancelled(session.queue.clone()).into()),
                (Err(_), None) => {
                    is_idle = true;
                    continue;
                }
                (Err(_), Some(_)) => {
                    return Err(Error::Stalled("the end of a consumer", patience).into());
                }
            };
            let batch = batch.into_iter().collect::<Result<Vec<Delivery>, _>>();
            let batch = batch.map_err(|error| self.broken(consumption.queue, error.into()))?;
            for batch in by_size(batch) {
                let settled = async {
                    let messages: Vec<Received> =
                        batch.iter().map(|delivery| read(delivery, prefix)).collect();
                    let verdicts = judge(&messages).await?;
                    failpoint::pass("committed-not-answered");
                    let settled = session.settle(&batch, &messages, verdicts).await;
                    settled.map_err(|error| E::from(self.broken(consumption.queue, error)))
                };
                let stalled = |_| Error::Stalled("a batch", STALL_TIMEOUT);
                tokio::time::timeout(STALL_TIMEOUT, settled).await.map_err(stalled)??;
            }
        }
    }

    /// Says so, if it was a message of this queue that broke a session, and begins to take care.
    fn broken(&self, queue: Queue, error: Error) -> Error {
        let is_a_message =
            matches!(&error, Error::Lapin(error) if matches!(error.kind(), ErrorKind::ParsingError(_)));
        if !is_a_message {
            return error;
        }
        let is_news = self.care.begin(queue);
        let queue = self.topology.queue(queue);
        let error = Error::BreaksConnections(queue.clone());
        if is_news {
            tracing::warn!(
                queue,
                "{error}: a property of it is not UTF-8. Messages are taken one by one until it was delivered often \
                 enough, and is rejected (a heartbeat: dropped)"
            );
        }
        error
    }
}

/// Cuts a batch where it grows too large.
fn by_size(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut batches: Vec<Vec<Delivery>> = Vec::new();
    let mut size: usize = 0;
    for delivery in deliveries {
        let bytes = delivery.data.len();
        match batches.last_mut() {
            Some(batch) if size.saturating_add(bytes) <= MAX_BATCH_BYTES => {
                batch.push(delivery);
                size = size.saturating_add(bytes);
            }
            // The first, or one that is too much. It may have any size, and none at all.
            _ => {
                batches.push(vec![delivery]);
                size = bytes;
            }
        }
    }
    batches
}

/// A channel on which so much is sent ahead.
async fn channel_of(link: &Link, prefetch: u16) -> Result<Channel, Error> {
    let channel = link.channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    Ok(channel)
}

/// A role's channels at the broker.
struct Session<'a> {
    broker: &'a Broker,
    queue: String,
    link: Link,
    channel: Channel,
    /// None once an answer could not be published; the next one opens it again.
    answers: Option<Publisher>,
    rejects: Channel,
}

impl<'a> Session<'a> {
    async fn open(broker: &'a Broker, queue: Queue, prefetch: u16) -> Result<Self, Error> {
        let queue = broker.topology.queue(queue);
        let link = broker.consumer_link(&queue);
        let channel = channel_of(&link, prefetch).await?;
        let rejects = broker.publishing_channel().await?;
        rejects.confirm_select(lapin::options::ConfirmSelectOptions::default()).await?;
        Ok(Self { broker, queue, link, channel, answers: None, rejects })
    }

    /// Consumes on another channel from now on: on that of a consumer that nobody knows the next one may be no better.
    async fn renew(&mut self, prefetch: u16) -> Result<(), Error> {
        let channel = channel_of(&self.link, prefetch).await?;
        close(&std::mem::replace(&mut self.channel, channel)).await;
        Ok(())
    }

    /// Closes its channels: answers and acknowledgements that were written arrive.
    async fn close(self) {
        if let Some(answers) = self.answers {
            answers.close().await;
        }
        close(&self.rejects).await;
        close(&self.channel).await;
        self.link.close().await;
    }

    /// Answers, then rejects, then acknowledges: each step is harmless when the next one never comes.
    async fn settle(
        &mut self,
        deliveries: &[Delivery],
        messages: &[Received],
        verdicts: Vec<Verdict>,
    ) -> Result<(), Error> {
        assert_eq!(deliveries.len(), verdicts.len(), "every delivery has its verdict");
        self.answer(messages, &verdicts).await;
        failpoint::pass("answered-not-acknowledged");
        let exchange = self.broker.topology.exchange(Exchange::Rejected);
        // By index: a stream of futures that borrow their items is not `Send` in the eyes of the compiler.
        let copied: Vec<bool> = futures_util::stream::iter(0..deliveries.len())
            .map(|index| {
                let (delivery, verdict) =
                    deliveries.get(index).zip(verdicts.get(index)).unwrap_or_else(missed);
                self.reject(&exchange, delivery, verdict)
            })
            .buffered(REJECTS_IN_FLIGHT)
            .try_collect()
            .await?;
        if verdicts.iter().any(|verdict| verdict.reject.is_some()) {
            failpoint::pass("rejected-not-acknowledged");
        }
        // A cumulative acknowledgement must end at a delivery that is not settled yet.
        let last = deliveries.iter().zip(copied).rfind(|(_, is_open)| *is_open);
        let last = last.map(|(delivery, _)| delivery);
        if let Some(delivery) = last {
            let acknowledging = delivery.acker.ack(BasicAckOptions { multiple: true });
            asked(&self.channel, "acknowledging", acknowledging).await?;
        }
        Ok(())
    }

    /// Copies a delivery to the rejected exchange, if it is to go there; false if it is settled already.
    async fn reject(&self, exchange: &str, delivery: &Delivery, verdict: &Verdict) -> Result<bool, Error> {
        let Some(refusal) = &verdict.reject else { return Ok(true) };
        let rejected = Rejected { refusal, is_replay: verdict.is_replay };
        reject::reject(&self.rejects, exchange, &self.queue, delivery, &rejected).await
    }

    /// Answers whoever asked. While the broker takes nothing, answers are dropped: they are asked for again.
    async fn answer(&mut self, messages: &[Received], verdicts: &[Verdict]) {
        let account = self.broker.account();
        let answers =
            messages.iter().zip(verdicts).filter_map(|(message, verdict)| answer(message, verdict, account));
        let answers: Vec<Outgoing> = answers.collect();
        if answers.is_empty() || self.broker.is_answering_blocked() {
            return;
        }
        let publishing = async {
            if self.answers.is_none() {
                self.answers = Some(self.broker.answers().await?);
            }
            let publisher = self.answers.as_ref().unwrap_or_else(|| unreachable!("it was opened just now"));
            // By index: a closure over references would make this future one that can not be spawned.
            let publishing = futures_util::stream::iter(0..answers.len())
                .map(|index| publisher.publish_answer(answers.get(index).unwrap_or_else(missed)))
                .buffered(256);
            publishing.try_collect::<Vec<()>>().await
        };
        // Another answer of this process may have cost us the connection; whoever waits asks again.
        if !matches!(tokio::time::timeout(ANSWER_TIMEOUT, publishing).await, Ok(Ok(_))) {
            self.answers = None;
        }
    }
}

/// What an index that runs over all there is cannot miss. There are indexes, since closures over references make futures
/// that cannot be spawned.
pub(super) fn missed<T>() -> T {
    unreachable!("an index runs over all that there is")
}

/// What is told to whoever asked, if anybody did.
fn answer(message: &Received, verdict: &Verdict, account: &str) -> Option<Outgoing> {
    Some(Outgoing {
        routing_key: message.reply_to.clone()?,
        message_id: uuid::Uuid::new_v4().to_string(),
        kind: "answer",
        body: verdict.answer.clone()?,
        correlation_id: message.correlation_id.clone(),
        is_transient: true,
        user_id: Some(account.to_owned()),
        ..Outgoing::default()
    })
}

/// A message as it came; `prefix` says which queues are for answers.
pub(super) fn read(delivery: &Delivery, prefix: &str) -> Received {
    let properties = &delivery.properties;
    let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    Received {
        message_id: text(properties.message_id()),
        kind: text(properties.kind()),
        user_id: text(properties.user_id()),
        reply_to: text(properties.reply_to()).filter(|queue| is_answer_queue(queue, prefix)),
        correlation_id: text(properties.correlation_id()),
        version: properties.headers().as_ref().and_then(version),
        replay: properties.headers().as_ref().and_then(replay).map(Box::new),
        body: delivery.data.clone(),
    }
}

/// The mark of a message that was sent again from the rejected queue.
fn replay(headers: &FieldTable) -> Option<Replay> {
    let text = |name: &str| match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    };
    Some(Replay { by: text(REPLAYED_BY)?, user_id: text(USER_ID) })
}

/// The version of the contract that a message says it is written in; what is no number is none that we speak.
fn version(headers: &FieldTable) -> Option<i64> {
    headers.inner().get("x-version").map(|value| match value {
        AMQPValue::ShortShortInt(n) => i64::from(*n),
        AMQPValue::ShortShortUInt(n) => i64::from(*n),
        AMQPValue::ShortInt(n) => i64::from(*n),
        AMQPValue::ShortUInt(n) => i64::from(*n),
        AMQPValue::LongInt(n) => i64::from(*n),
        AMQPValue::LongUInt(n) => i64::from(*n),
        AMQPValue::LongLongInt(n) => *n,
        // The console's form sends texts.
        AMQPValue::LongString(text) => text.to_string().parse().unwrap_or(-1),
        _ => -1,
    })
}
