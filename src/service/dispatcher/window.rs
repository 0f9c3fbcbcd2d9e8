//! How many messages may lie ready in a work queue (section 9).

use std::collections::VecDeque;

use chrono::TimeDelta;

use crate::domain::Timestamp;

/// What workers took in this time, they may find ready.
const SPAN: TimeDelta = TimeDelta::seconds(5);

/// The window of one work queue: as much as workers took in the last five seconds, within limits.
///
/// What they took is seen at the queue itself: what lay ready, and what was published since, less what lies
/// ready now.
#[derive(Debug)]
pub(super) struct Window {
    min: u32,
    max: u32,
    expected: u32,
    taken: VecDeque<(Timestamp, u32)>,
}

impl Window {
    pub(super) fn new(min: u32, max: u32) -> Self {
        Self { min, max, expected: 0, taken: VecDeque::new() }
    }

    /// How many more may be published, when so many lie ready now.
    pub(super) fn free(&mut self, ready: u32, now: Timestamp) -> u32 {
        let taken = self.expected.saturating_sub(ready);
        self.expected = ready;
        if taken > 0 {
            self.taken.push_back((now, taken));
        }
        while self.taken.pop_front_if(|(at, _)| now - *at > SPAN).is_some() {}
        let rate = self.taken.iter().fold(0_u32, |sum, (_, taken)| sum.saturating_add(*taken));
        rate.clamp(self.min, self.max).saturating_sub(ready)
    }

    /// So many were published since.
    pub(super) fn published(&mut self, count: u32) {
        self.expected = self.expected.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_queue_that_nobody_empties_holds_the_minimum() {
        let mut window = Window::new(10, 5000);
        assert_eq!(window.free(0, at(0)), 10);
        window.published(10);
        assert_eq!(window.free(10, at(1)), 0);
        assert_eq!(window.free(12, at(2)), 0);
    }

    #[test]
    fn the_window_grows_with_what_workers_take_and_shrinks_again() {
        let mut window = Window::new(10, 100);
        window.published(10);
        assert_eq!(window.free(0, at(1)), 10);
        window.published(10);
        assert_eq!(window.free(0, at(2)), 20);
        window.published(20);
        assert_eq!(window.free(5, at(3)), 30); // 35 taken, 5 lie ready
        window.published(95);
        assert_eq!(window.free(0, at(4)), 100); // the maximum
        assert_eq!(window.free(0, at(20)), 10);
    }
}
