//! What cannot be applied → the rejected queue: the one way to reject.
//!
//! A copy's headers say why, from where, and what the broker verified of its sender; [`super::rejected`] reads
//! them. What a sender wrote under these names itself is taken away, so that they can be believed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};

use super::{Error, while_alive};
use crate::domain::Timestamp;
use crate::protocol::{Refusal, beginning_of};

/// A message with more headers than this is not copied: the frame would break the connection.
pub(super) const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Every text that is copied into a header is cut to this.
const MAX_COPIED_BYTES: usize = 1024;

/// How long the broker may take to confirm a copy.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// The code of the refusal.
pub(super) const REASON_CODE: &str = "x-reason-code";
/// Its text.
pub(super) const REASON: &str = "x-reason";
/// The queue that it was in.
pub(super) const REJECTED_FROM: &str = "x-rejected-from";
/// When it was rejected.
pub(super) const REJECTED_AT: &str = "x-rejected-at";
/// The account that sent it, as the broker verified.
pub(super) const USER_ID: &str = "x-user-id";
/// How long it might have lain in its queue.
pub(super) const EXPIRATION: &str = "x-expiration";
/// Where an answer was awaited.
pub(super) const REPLY_TO: &str = "x-reply-to";
/// Who sent it again.
pub(super) const REPLAYED_BY: &str = "x-replayed-by";
/// When that was.
pub(super) const REPLAYED_AT: &str = "x-replayed-at";
/// The code of the refusal of what was sent again; the first one stays.
pub(super) const REPLAY_REASON_CODE: &str = "x-replay-reason-code";
/// Its text.
pub(super) const REPLAY_REASON: &str = "x-replay-reason";

/// Ours: no sender's word.
const OURS: [&str; 11] = [
    REASON_CODE,
    REASON,
    REJECTED_FROM,
    REJECTED_AT,
    USER_ID,
    EXPIRATION,
    REPLY_TO,
    REPLAYED_BY,
    REPLAYED_AT,
    REPLAY_REASON_CODE,
    REPLAY_REASON,
];

/// Where the broker says from which queues a message was dead-lettered, the latest first.
pub(super) const DEATHS: &str = "x-death";

/// Those by which the broker tells of dead letters and redeliveries: no sender's word either.
const BROKERS: [&str; 9] = [
    DEATHS,
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
    "x-acquired-count",
];

/// Why a message is rejected, and whether it had been before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejected<'a> {
    pub(super) refusal: &'a Refusal,
    pub(super) is_replay: bool,
}

/// Copies a delivery to the rejected exchange, with its reason.
///
/// True when the copy was plainly confirmed, and the original may be acknowledged; false when there was
/// no copying it: then it has been refused with `basic.reject`, and the dead-letter exchange takes it.
pub(super) async fn reject(
    channel: &Channel,
    exchange: &str,
    queue: &str,
    delivery: &Delivery,
    rejection: &Rejected<'_>,
) -> Result<bool, Error> {
    if headers_size(delivery.properties.headers().as_ref()) > MAX_HEADER_BYTES {
        delivery.acker.reject(BasicRejectOptions { requeue: false }).await?;
        return Ok(false);
    }
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = copied_properties(queue, &delivery.properties, rejection);
    let key = delivery.routing_key.clone();
    let copying = async {
        channel.basic_publish(exchange.into(), key, options, &delivery.data, properties).await?.await
    };
    let copying = while_alive(channel, "copying what is rejected", copying);
    let confirmation = tokio::time::timeout(CONFIRM_TIMEOUT, copying)
        .await
        .map_err(|_| Error::Stalled("the copy of a rejected message", CONFIRM_TIMEOUT))??;
    match confirmation {
        Confirmation::Ack(None) => Ok(true),
        Confirmation::Ack(Some(_)) => {
            Err(Error::NotConfirmed("a rejected message".to_owned(), "no queue is bound for it"))
        }
        _ => Err(Error::NotConfirmed("a rejected message".to_owned(), "it refused")),
    }
}

/// The properties as they came, but for those by which the broker would refuse or expire the copy.
///
/// What was sent again keeps what its headers said the first time.
fn copied_properties(queue: &str, original: &BasicProperties, rejected: &Rejected<'_>) -> BasicProperties {
    let Rejected { refusal, is_replay } = *rejected;
    let mut headers =
        if is_replay { Headers::all(original).without_deaths() } else { Headers::of_sender(original) };
    let is_first = !headers.contains(REASON_CODE);
    if is_first {
        headers.set(REASON_CODE, &refusal.code);
        headers.set(REASON, &refusal.reason);
        headers.set(REJECTED_FROM, queue);
        headers.set(REJECTED_AT, &Timestamp::from(SystemTime::now()).to_rfc3339());
    } else {
        headers.set(REPLAY_REASON_CODE, &refusal.code);
        headers.set(REPLAY_REASON, &refusal.reason);
    }
    if !is_replay {
        headers.move_from(original);
    }
    with_headers(original, headers)
}

/// What of the properties goes on with a message, with these headers.
pub(super) fn with_headers(original: &BasicProperties, headers: Headers) -> BasicProperties {
    let mut copy = BasicProperties::default().with_delivery_mode(2).with_headers(headers.0.into());
    if let Some(content_encoding) = original.content_encoding() {
        copy = copy.with_content_encoding(content_encoding.clone());
    }
    if let Some(priority) = original.priority() {
        copy = copy.with_priority(*priority);
    }
    if let Some(content_type) = original.content_type() {
        copy = copy.with_content_type(content_type.clone());
    }
    if let Some(correlation_id) = original.correlation_id() {
        copy = copy.with_correlation_id(correlation_id.clone());
    }
    if let Some(message_id) = original.message_id() {
        copy = copy.with_message_id(message_id.clone());
    }
    if let Some(timestamp) = original.timestamp() {
        copy = copy.with_timestamp(*timestamp);
    }
    if let Some(kind) = original.kind() {
        copy = copy.with_type(kind.clone());
    }
    if let Some(app_id) = original.app_id() {
        copy = copy.with_app_id(app_id.clone());
    }
    copy
}

/// The headers of a message.
pub(super) struct Headers(BTreeMap<ShortString, AMQPValue>);

impl Headers {
    pub(super) fn all(properties: &BasicProperties) -> Self {
        Self(properties.headers().as_ref().map(|headers| headers.inner().clone()).unwrap_or_default())
    }

    /// Those that its sender may write.
    pub(super) fn of_sender(properties: &BasicProperties) -> Self {
        Self::all(properties).without(&OURS).without_deaths()
    }

    /// Without what the broker tells of dead letters.
    pub(super) fn without_deaths(self) -> Self {
        self.without(&BROKERS)
    }

    fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets one, cut to what is copied.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let value = beginning_of(value, MAX_COPIED_BYTES);
        self.0.insert(name.into(), AMQPValue::LongString(value.into()));
    }

    /// Sets those that keep properties which do not go on with the message.
    pub(super) fn move_from(&mut self, properties: &BasicProperties) {
        let moved = [
            (USER_ID, properties.user_id()),
            (EXPIRATION, properties.expiration()),
            (REPLY_TO, properties.reply_to()),
        ];
        for (name, value) in moved {
            if let Some(value) = value {
                self.set(name, value.as_str());
            }
        }
    }
}

/// About how many bytes a table of headers takes in a frame. Tables may be nested as deep as a frame is long, so
/// this walks over them without going down itself.
pub(super) fn headers_size(headers: Option<&FieldTable>) -> usize {
    let mut size = 0;
    let mut tables: Vec<&FieldTable> = headers.into_iter().collect();
    let mut arrays: Vec<&[AMQPValue]> = Vec::new();
    loop {
        let values: Vec<&AMQPValue> = if let Some(table) = tables.pop() {
            size += table.into_iter().map(|(key, _)| key.as_str().len() + 2).sum::<usize>();
            table.into_iter().map(|(_, value)| value).collect()
        } else if let Some(array) = arrays.pop() {
            array.iter().collect()
        } else {
            return size;
        };
        for value in values {
            size += match value {
                AMQPValue::LongString(text) => text.len() + 5,
                AMQPValue::ShortString(text) => text.as_str().len() + 2,
                AMQPValue::ByteArray(bytes) => bytes.len() + 5,
                AMQPValue::FieldArray(values) => {
                    arrays.push(values.as_slice());
                    5
                }
                AMQPValue::FieldTable(table) => {
                    tables.push(table);
                    5
                }
                _ => 9,
            };
        }
    }
}
