//! The rules of rejected messages: whoever deals with one leaves an audit entry.

use super::Transition;
use crate::domain::{EventKind, NewEvent, PersonName, RejectedRef};

/// Notes that a person dealt with rejected messages; what is done to the messages themselves, the caller does.
///
/// *Leaves* an event of each, which says what it was and where it came from.
pub fn note(kind: EventKind, messages: &[RejectedRef], user: &PersonName) -> Transition {
    let event = |message: &RejectedRef| {
        let event = NewEvent::new(kind).person(Some(user)).data("MESSAGE_ID", &message.message_id);
        event.data("REASON_CODE", &message.reason_code).data("REJECTED_FROM", &message.queue)
    };
    Transition { events: messages.iter().map(event).collect(), ..Transition::default() }
}
