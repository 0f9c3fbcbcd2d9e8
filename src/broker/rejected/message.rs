//! A message of the rejected queue: a copy that we made, or a dead letter of the broker's.

use chrono::DateTime;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use uuid::Uuid;

use crate::broker::publish::short;
use crate::broker::reject::{
    DEATHS, Headers, MAX_HEADER_BYTES, REASON, REASON_CODE, REJECTED_AT, REJECTED_FROM, REPLAYED_AT,
    REPLAYED_BY, USER_ID, headers_size, with_headers,
};
use crate::broker::{Exchange, Queue, Topology};
use crate::domain::{PersonName, RejectedRef, Timestamp};
use crate::protocol::beginning_of;

/// Every text of a header is shown and compared up to this.
const MAX_TEXT_BYTES: usize = 1024;

/// What a property can hold.
const MAX_ID_BYTES: usize = 255;

/// A message of the rejected queue.
///
/// The headers of a copy are ours, and count. A dead letter's are whatever its sender wrote; there counts what
/// the broker says, by `x-death` and the verified account. One that carries our mark and was sent by our own
/// account is one that we had sent again: its headers are ours, too.
#[derive(Clone, Debug)]
pub struct RejectedMessage {
    /// Its message id; or, if it has none, one that is made of what it is, and so is always the same.
    pub id: String,
    /// Why it was rejected, in a word: a code of `messages.md`, or the broker's word for a dead letter.
    pub code: String,
    /// Why, for people.
    pub reason: String,
    /// The name of the queue that it came from; empty if nobody said.
    pub from: String,
    /// When it was rejected.
    pub at: Option<Timestamp>,
    /// What it says that it is.
    pub kind: Option<String>,
    /// The account that sent it first, as the broker verified.
    pub user_id: Option<String>,
    /// Who sent it again, if somebody did.
    pub replayed_by: Option<String>,
    /// All of its headers, as text.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Why it cannot be sent again.
    pub obstacle: Option<String>,
    queue: Option<Queue>,
    has_our_headers: bool,
    properties: BasicProperties,
}

impl RejectedMessage {
    pub(in crate::broker) fn read(delivery: &Delivery, topology: &Topology, account: &str) -> Self {
        let properties = &delivery.properties;
        let empty = FieldTable::default();
        let headers = properties.headers().as_ref().unwrap_or(&empty);
        let ours = |name: &str| headers.inner().get(name).map(text);
        let user_id = properties.user_id().as_ref().map(ToString::to_string);
        let death = latest_death(headers);
        let is_ours = user_id.as_deref() == Some(account) && headers.contains_key(REPLAYED_BY);
        let has_our_headers = death.is_none() || is_ours;
        let said = |name: &str| ours(name).filter(|_| has_our_headers);
        let died = |name: &str| Some(text(death?.inner().get(name)?));

        let died_at = death.and_then(|death| match death.inner().get("time") {
            Some(AMQPValue::Timestamp(seconds)) => DateTime::from_timestamp(i64::try_from(*seconds).ok()?, 0),
            _ => None,
        });
        let dead = died("reason").map(|word| format!("The broker dead-lettered it: {word}."));
        let from = said(REJECTED_FROM).or_else(|| died("queue")).unwrap_or_default();
        let mut message = Self {
            id: String::new(),
            code: said(REASON_CODE).or_else(|| died("reason")).unwrap_or_default(),
            reason: said(REASON).or(dead).unwrap_or_default(),
            at: said(REJECTED_AT).and_then(|at| at.parse().ok()).or(died_at),
            kind: properties.kind().as_ref().map(|kind| clean(kind.as_str())),
            user_id: if has_our_headers { said(USER_ID) } else { user_id },
            replayed_by: said(REPLAYED_BY),
            headers: headers.into_iter().map(|(name, value)| (clean(name.as_str()), text(value))).collect(),
            body: delivery.data.clone(),
            obstacle: None,
            queue: origin(&from, topology),
            from,
            has_our_headers,
            properties: properties.clone(),
        };
        message.id = message.id_of(properties.message_id().as_ref());
        message.obstacle = message.obstacle(headers);
        message
    }

    /// As an audit entry names it.
    #[must_use]
    pub fn reference(&self) -> RejectedRef {
        let (message_id, reason_code) = (self.id.clone(), self.code.clone());
        RejectedRef { message_id, reason_code, queue: self.from.clone() }
    }

    /// Where it is published to, so that it comes to the queue that it came from.
    pub(super) fn origin(&self) -> (Exchange, &'static str) {
        let queue = self.queue.unwrap_or_else(|| unreachable!("one with an obstacle is not sent again"));
        queue.binding()
    }

    /// The properties with which it is sent again: what it carried, the mark, and the account that vouches
    /// for it. It does not expire again, and nobody waits for an answer any more.
    pub(in crate::broker) fn replayed(
        &self,
        account: &str,
        by: &PersonName,
        now: Timestamp,
    ) -> BasicProperties {
        let mut headers = if self.has_our_headers {
            Headers::all(&self.properties).without_deaths()
        } else {
            let mut headers = Headers::of_sender(&self.properties);
            headers.set(REASON_CODE, &self.code);
            headers.set(REASON, &self.reason);
            headers.set(REJECTED_FROM, &self.from);
            if let Some(at) = self.at {
                headers.set(REJECTED_AT, &at.to_rfc3339());
            }
            headers.move_from(&self.properties);
            headers
        };
        headers.set(REPLAYED_BY, by.as_str());
        headers.set(REPLAYED_AT, &now.to_rfc3339());
        with_headers(&self.properties, headers).with_message_id(short(&self.id)).with_user_id(short(account))
    }

    fn id_of(&self, message_id: Option<&ShortString>) -> String {
        if let Some(id) = message_id.filter(|id| !id.as_str().is_empty()) {
            // What replaces a NUL is longer, and an id must still be one.
            return beginning_of(&clean(id.as_str()), MAX_ID_BYTES).to_owned();
        }
        let at = self.at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let what = [self.from.as_bytes(), at.as_bytes(), &self.body].join(&0);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &what).to_string()
    }

    fn obstacle(&self, headers: &FieldTable) -> Option<String> {
        if self.queue.is_none() {
            let from = &self.from;
            return Some(format!("It came from {from:?}, which is none of the queues that we read."));
        }
        let size = headers_size(Some(headers));
        let is_large = size > MAX_HEADER_BYTES;
        is_large.then(|| format!("It has {size} bytes of headers; the limit is {MAX_HEADER_BYTES}."))
    }
}

/// The queue of this name, if it is one that the coordinator reads.
fn origin(name: &str, topology: &Topology) -> Option<Queue> {
    let ours = [Queue::Start, Queue::Heartbeat, Queue::Finish, Queue::Commands];
    ours.into_iter().find(|queue| topology.queue(*queue) == name)
}

/// How the broker dead-lettered a message the last time.
fn latest_death(headers: &FieldTable) -> Option<&FieldTable> {
    match headers.inner().get(DEATHS)? {
        AMQPValue::FieldArray(deaths) => deaths.as_slice().iter().find_map(|death| match death {
            AMQPValue::FieldTable(death) => Some(death),
            _ => None,
        }),
        _ => None,
    }
}

/// A header as text.
fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => clean(&String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::ShortString(text) => clean(text.as_str()),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::Boolean(it) => it.to_string(),
        other => clean(&format!("{other:?}")),
    }
}

/// A text that the database can hold.
fn clean(text: &str) -> String {
    beginning_of(text, MAX_TEXT_BYTES).replace('\0', "\u{fffd}")
}
