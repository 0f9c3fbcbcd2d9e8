//! What a sender writes into the properties of a message, and the broker's first frame.

use lapin::message::Delivery;
use lapin::protocol::basic::parse_properties;

use super::consume::read;
use super::doctor::fuzz_version;
use super::reject::{MAX_HEADER_BYTES, Rejected, copied_properties, headers_size};
use super::rejected::RejectedMessage;
use super::topology::Topology;
use crate::domain::{PersonName, Timestamp};
use crate::protocol::{Refusal, is_answer_queue};

/// Our own account, and a queue of ours.
const ACCOUNT: &str = "coordinator";
const QUEUE: &str = "ci.finish";

/// Properties as they come in a frame: the first byte says whether they are of a message that was sent again.
///
/// Whatever stands in them: an answer goes only where answers go, and what is read of a rejected message is what we, or
/// the broker, said of it.
pub(crate) fn properties(data: &[u8]) {
    let Some((choice, frame)) = data.split_first() else { return };
    let Ok((_, properties)) = parse_properties(frame) else { return };
    let topology = Topology::new("ci");
    let mut delivery = Delivery::mock(1, "".into(), "".into(), false, b"{}".to_vec());
    delivery.properties = properties;
    let received = read(&delivery, "ci");
    assert!(received.reply_to.as_ref().is_none_or(|queue| is_answer_queue(queue, "ci")));
    assert!(
        received.version.is_none_or(|version| version == 1)
            || received.decode::<serde_json::Value>().is_err()
    );
    check_texts(&RejectedMessage::read(&delivery, &topology, ACCOUNT));
    if headers_size(delivery.properties.headers().as_ref()) > MAX_HEADER_BYTES {
        return;
    }
    let (refusal, is_replay) = (Refusal::malformed("why"), choice & 1 == 1);
    delivery.properties =
        copied_properties(QUEUE, &delivery.properties, &Rejected { refusal: &refusal, is_replay });
    assert!(delivery.properties.expiration().is_none() && delivery.properties.user_id().is_none());
    let seen = RejectedMessage::read(&delivery, &topology, ACCOUNT);
    check_texts(&seen);
    if !is_replay {
        assert_eq!(
            (seen.from.as_str(), seen.code.as_str(), seen.reason.as_str()),
            (QUEUE, "malformed", "why")
        );
        assert_eq!(seen.user_id, received.user_id.map(|account| account.replace('\0', "\u{fffd}")));
        assert_eq!(seen.replayed_by, None);
    }
    if seen.obstacle.is_none() {
        check_replay(seen, delivery, &topology);
    }
}

/// What is sent again says who did so, and still where it came from.
fn check_replay(seen: RejectedMessage, mut delivery: Delivery, topology: &Topology) {
    let Ok(by) = "ann".parse::<PersonName>() else { unreachable!("it is a name") };
    delivery.properties = seen.replayed(ACCOUNT, &by, Timestamp::UNIX_EPOCH);
    let received = read(&delivery, "ci");
    assert_eq!(received.user_id.as_deref(), Some(ACCOUNT));
    assert_eq!(received.replay.map(|replay| replay.by).as_deref(), Some("ann"));
    let again = RejectedMessage::read(&delivery, topology, ACCOUNT);
    assert_eq!((again.from, again.code, again.id), (seen.from, seen.code, seen.id));
}

fn check_texts(message: &RejectedMessage) {
    let headers = message.headers.iter().flat_map(|(name, value)| [name, value]);
    for text in headers.chain([&message.id, &message.code, &message.reason, &message.from]) {
        // A NUL is replaced by three bytes.
        assert!(text.len() <= 3 * 1024 && !text.contains('\0'), "{text:?}");
    }
}

/// What a server says first.
pub(crate) fn version(data: &[u8]) {
    fuzz_version(data);
}
