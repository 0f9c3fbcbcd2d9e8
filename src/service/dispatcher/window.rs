//! How many messages may lie ready in a work queue (section 9).

use std::collections::{HashSet, VecDeque};

use chrono::TimeDelta;

use crate::domain::{JobId, Timestamp};

/// Jobs that were started in this time make the window.
const SPAN: TimeDelta = TimeDelta::seconds(5);

/// How often it is looked which of the jobs that were handed out have been started.
const LOOK: TimeDelta = TimeDelta::seconds(1);

/// The window of one work queue: as many jobs as were started in the last five seconds, within limits.
///
/// What left the queue otherwise, because it expired or somebody purged it, does not widen it.
#[derive(Debug)]
pub(super) struct Window {
    min: u32,
    max: u32,
    /// Handed out, and not seen to be started.
    waiting: HashSet<JobId>,
    looked: Option<Timestamp>,
    started: VecDeque<(Timestamp, u32)>,
}

impl Window {
    pub(super) fn new(min: u32, max: u32) -> Self {
        Self { min, max, waiting: HashSet::new(), looked: None, started: VecDeque::new() }
    }

    /// The jobs of which it is time to look whether they are started.
    pub(super) fn look_at(&mut self, now: Timestamp) -> Vec<JobId> {
        // A clock that stepped back must not end the looking.
        let is_time = self.looked.is_none_or(|looked| (now - looked).abs() >= LOOK);
        if !is_time || self.waiting.is_empty() {
            return Vec::new();
        }
        self.looked = Some(now);
        self.waiting.iter().copied().collect()
    }

    /// These are PENDING still; the others are started.
    pub(super) fn pending(&mut self, pending: &HashSet<JobId>, now: Timestamp) {
        let before = self.waiting.len();
        self.waiting.retain(|job| pending.contains(job));
        let started = u32::try_from(before - self.waiting.len()).unwrap_or(u32::MAX);
        self.started.push_back((now, started));
    }

    /// How many more may be published, when so many lie ready now.
    pub(super) fn free(&mut self, ready: u32, now: Timestamp) -> u32 {
        while self.started.pop_front_if(|(at, _)| (now - *at).abs() > SPAN).is_some() {}
        let rate = self.started.iter().fold(0_u32, |sum, (_, started)| sum.saturating_add(*started));
        rate.clamp(self.min, self.max).saturating_sub(ready)
    }

    /// These were published.
    pub(super) fn published(&mut self, jobs: impl IntoIterator<Item = JobId>) {
        self.waiting.extend(jobs);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn jobs(ids: std::ops::Range<i64>) -> HashSet<JobId> {
        ids.map(JobId).collect()
    }

    #[test]
    fn a_queue_whose_jobs_nobody_starts_holds_the_minimum() {
        let mut window = Window::new(10, 5000);
        assert_eq!(window.free(0, at(0)), 10);
        window.published(jobs(0..10));
        assert_eq!(window.look_at(at(1)).len(), 10);
        window.pending(&jobs(0..10), at(1));
        assert_eq!(window.free(10, at(1)), 0);
        // Somebody purged the queue, again and again: no job was started.
        assert_eq!(window.free(0, at(2)), 10);
        window.published(jobs(10..20));
        window.pending(&jobs(0..20), at(2));
        assert_eq!(window.free(0, at(3)), 10);
    }

    #[test]
    fn the_window_grows_with_what_is_started_and_shrinks_again() {
        let mut window = Window::new(10, 100);
        window.published(jobs(0..40));
        window.pending(&jobs(30..40), at(1));
        assert_eq!(window.free(5, at(1)), 25);
        window.published(jobs(40..300));
        window.pending(&jobs(0..0), at(2));
        assert_eq!(window.free(0, at(2)), 100); // the maximum
        assert_eq!(window.free(0, at(8)), 10);
    }

    #[test]
    fn it_looks_once_a_second_and_only_where_something_waits() {
        let mut window = Window::new(10, 100);
        assert!(window.look_at(at(0)).is_empty());
        window.published(jobs(0..1));
        assert_eq!(window.look_at(at(0)), [JobId(0)]);
        assert!(window.look_at(at(0)).is_empty());
        assert_eq!(window.look_at(at(1)), [JobId(0)]);
        assert_eq!(window.look_at(at(-100)), [JobId(0)]); // the clock stepped back
    }
}
