//! A message that could not be applied, and lies in the rejected queue.

/// A rejected message, as an audit entry names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRef {
    /// By which it is known.
    pub message_id: String,
    /// Why it was rejected: a code of ours, or the broker's word for a dead letter.
    pub reason_code: String,
    /// The queue that it was in.
    pub queue: String,
}
