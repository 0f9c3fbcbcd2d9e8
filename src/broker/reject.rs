//! What cannot be applied → the rejected queue: the one way to reject.

use std::time::{Duration, SystemTime};

use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};

use super::Error;
use crate::domain::Timestamp;
use crate::protocol::{Refusal, beginning_of};

/// A message with more headers than this is not copied: the frame would break the connection.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Every text that is copied into a header is cut to this.
const MAX_COPIED_BYTES: usize = 1024;

/// How long the broker may take to confirm a copy.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies a delivery to the rejected exchange, with its reason.
///
/// True when the copy was plainly confirmed, and the original may be acknowledged; false when there was
/// no copying it: then it has been refused with `basic.reject`, and the dead-letter exchange takes it.
pub(super) async fn reject(
    channel: &Channel,
    exchange: &str,
    queue: &str,
    delivery: &Delivery,
    refusal: &Refusal,
) -> Result<bool, Error> {
    if headers_size(delivery.properties.headers().as_ref()) > MAX_HEADER_BYTES {
        delivery.acker.reject(BasicRejectOptions { requeue: false }).await?;
        return Ok(false);
    }
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = copied_properties(queue, &delivery.properties, refusal);
    let key = delivery.routing_key.clone();
    let copying = async {
        channel.basic_publish(exchange.into(), key, options, &delivery.data, properties).await?.await
    };
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
fn copied_properties(queue: &str, original: &BasicProperties, refusal: &Refusal) -> BasicProperties {
    let mut headers = original.headers().clone().unwrap_or_default();
    let mut set = |key: &str, value: &str| {
        let value = beginning_of(value, MAX_COPIED_BYTES);
        headers.insert(key.into(), AMQPValue::LongString(value.into()));
    };
    set("x-reason-code", &refusal.code);
    set("x-reason", &refusal.reason);
    set("x-rejected-from", queue);
    set("x-rejected-at", &Timestamp::from(SystemTime::now()).to_rfc3339());
    let moved = [
        ("x-user-id", original.user_id()),
        ("x-expiration", original.expiration()),
        ("x-reply-to", original.reply_to()),
    ];
    for (key, value) in moved {
        if let Some(value) = value {
            set(key, value.as_str());
        }
    }
    let mut copy = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
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
