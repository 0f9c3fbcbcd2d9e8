//! A message that is kept until it is answered.

use std::time::Duration;

use uuid::Uuid;

use super::lease::BootTime;
use crate::broker::publish::Outgoing;

/// A start or a finish: the same message again and again, until somebody answers (duty 4).
#[derive(Debug)]
pub(super) struct Kept {
    id: Uuid,
    message: Outgoing,
    first_published: Option<BootTime>,
    /// When it is published again; none while nothing can be published, or may.
    due: Option<BootTime>,
    /// How many times it was published since it last began.
    published: usize,
}

impl Kept {
    /// Keeps the message that is made for an id; it is published when somebody says so.
    pub(super) fn new(message: impl FnOnce(Uuid) -> Outgoing) -> Self {
        let id = Uuid::new_v4();
        Self { id, message: message(id), first_published: None, due: None, published: 0 }
    }

    /// By what its answer is known.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// When it was first published: a lease counts from there, since the answer may be to that one.
    pub(super) fn first_published(&self) -> Option<BootTime> {
        self.first_published
    }

    /// The message, which is due again after the next of these waits; the last one counts for all that follow.
    pub(super) fn publish(&mut self, now: BootTime, repeats: &[Duration]) -> Outgoing {
        self.first_published.get_or_insert(now);
        self.due = repeats.get(self.published).or(repeats.last()).map(|wait| now + *wait);
        self.published = self.published.saturating_add(1);
        self.message.clone()
    }

    /// Begins its waits anew, and publishes nothing until it is told to.
    pub(super) fn pause(&mut self) {
        self.published = 0;
        self.due = None;
    }

    /// When it is published again.
    pub(super) fn due(&self) -> Option<BootTime> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Timing;

    /// Duty 4: within 30 s, then after 1, 2, 4 and every 5 minutes.
    #[test]
    fn a_message_is_repeated_as_the_contract_says() {
        let repeats = Timing::default().repeats;
        let begin = BootTime::now();
        let mut now = begin;
        let mut kept = Kept::new(|_| Outgoing::default());
        for seconds in [30, 60, 120, 240, 300, 300, 300] {
            kept.publish(now, &repeats);
            now = now + Duration::from_secs(seconds);
            assert_eq!(kept.due(), Some(now));
        }
        assert_eq!(kept.first_published(), Some(begin));

        kept.pause();
        assert_eq!(kept.due(), None);
        kept.publish(now, &repeats);
        assert_eq!(kept.due(), Some(now + Duration::from_secs(30)));
        assert_eq!(kept.first_published(), Some(begin));
    }
}
