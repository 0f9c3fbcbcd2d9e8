//! From when on jobs may run.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::domain::Timestamp;
use crate::store::Watermark;

/// A database's clock that is set back by less than this changes nothing; by more, and we begin anew.
const STEP: TimeDelta = TimeDelta::seconds(60);

/// How often to look from the beginning all the same: a clock that is wrong between two looks, or somebody's hand, may have
/// started a job in the past.
const WHOLE_LOOK: Duration = Duration::from_mins(10);

/// Before when nothing runs any more, and nothing will, as this session has seen it.
///
/// No job starts in the past, and what has ended stays ended: so what lies before the oldest job that runs needs not be
/// looked through again. Somebody's long transaction keeps the index entries of all runs that ended meanwhile, millions
/// after a while, and every look would read them.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    begins: Option<Timestamp>,
    /// Starts from before it may have been written, and not been committed.
    waiting: Option<Watermark>,
    /// When it was last begun anew.
    begun: Option<Instant>,
    /// When the database's clock was ahead of ours most, by both.
    ahead: Option<(Timestamp, Instant)>,
}

impl Horizon {
    /// From when on to look now; none means from the beginning.
    pub(super) fn look(&mut self, watermark: Watermark, at: Instant) -> Option<Timestamp> {
        let ahead = Some((watermark.now, at));
        let expected = self.ahead.map(|(now, when)| {
            now + TimeDelta::from_std(at.duration_since(when)).unwrap_or(TimeDelta::zero())
        });
        let is_set_back = expected.is_some_and(|expected| watermark.now < expected - STEP);
        let is_old = self.begun.is_none_or(|begun| at.duration_since(begun) >= WHOLE_LOOK);
        if is_set_back || is_old {
            *self = Self { begun: Some(at), ahead, ..Self::default() };
        } else if expected.is_some_and(|expected| watermark.now > expected) {
            self.ahead = ahead;
        }
        self.begins
    }

    /// This look found that this was the oldest start, of all from where it began.
    pub(super) fn found(&mut self, oldest: Option<Timestamp>, watermark: Watermark) {
        match self.waiting {
            // Somebody who had begun before may still commit a start.
            Some(waiting) if watermark.oldest_open < waiting.next => {}
            Some(waiting) => {
                let begins = oldest.map_or(waiting.now, |oldest| oldest.min(waiting.now));
                (self.begins, self.waiting) = (Some(begins - STEP), Some(watermark));
            }
            None => self.waiting = Some(watermark),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use chrono::DateTime;

    use super::*;

    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    /// A look at a second of the database's clock, and of ours, while these transactions were open.
    fn look(
        horizon: &mut Horizon,
        (theirs, ours): (i64, u64),
        oldest: Option<i64>,
        open: std::ops::Range<i64>,
    ) {
        let watermark = Watermark { now: at(theirs), oldest_open: open.start, next: open.end };
        horizon.look(watermark, *BEGUN + Duration::from_secs(ours));
        horizon.found(oldest.map(at), watermark);
    }

    #[test]
    fn what_lies_before_the_oldest_run_is_not_looked_through_again() {
        let mut horizon = Horizon::default();
        look(&mut horizon, (1_000, 0), Some(500), 7..7);
        assert_eq!(horizon.begins, None, "who read the clock before may not have committed");
        look(&mut horizon, (1_010, 10), Some(500), 9..9);
        assert_eq!(horizon.begins, Some(at(500) - STEP));
        look(&mut horizon, (1_020, 20), None, 9..9);
        assert_eq!(horizon.begins, Some(at(1_010) - STEP), "nothing runs");
        look(&mut horizon, (1_030, 30), Some(1_025), 12..12);
        assert_eq!(
            horizon.begins,
            Some(at(1_020) - STEP),
            "what started since the look before is not all seen"
        );
    }

    #[test]
    fn a_start_that_is_not_committed_yet_holds_it_up() {
        let mut horizon = Horizon::default();
        look(&mut horizon, (1_000, 0), None, 5..8);
        look(&mut horizon, (1_010, 10), None, 5..20);
        look(&mut horizon, (1_020, 20), None, 7..30);
        assert_eq!(horizon.begins, None);
        look(&mut horizon, (1_030, 30), None, 8..40);
        assert_eq!(horizon.begins, Some(at(1_000) - STEP));
        look(&mut horizon, (1_040, 40), None, 39..50);
        assert_eq!(horizon.begins, Some(at(1_000) - STEP));
    }

    #[test]
    fn now_and_then_all_is_looked_at() {
        let mut horizon = Horizon::default();
        look(&mut horizon, (1_000, 0), None, 1..1);
        look(&mut horizon, (1_010, 10), None, 1..1);
        look(&mut horizon, (1_599, 599), None, 1..1);
        assert_eq!(horizon.begins, Some(at(1_010) - STEP));
        look(&mut horizon, (1_600, 600), None, 1..1);
        assert_eq!(horizon.begins, None);
        look(&mut horizon, (1_610, 610), None, 1..1);
        assert_eq!(horizon.begins, Some(at(1_600) - STEP));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_it_begin_anew() {
        let seen = || {
            let mut horizon = Horizon::default();
            look(&mut horizon, (1_000, 0), None, 1..1);
            look(&mut horizon, (1_010, 10), None, 1..1);
            assert_eq!(horizon.begins, Some(at(1_000) - STEP));
            horizon
        };
        let mut little = seen();
        look(&mut little, (970, 20), None, 1..1);
        assert_eq!(little.begins, Some(at(1_010) - STEP), "starts of now come after it");
        look(&mut little, (930, 30), None, 1..1);
        assert_eq!(little.begins, None, "in two steps");
        let mut late = seen();
        look(&mut late, (1_020, 90), None, 1..1);
        assert_eq!(late.begins, None, "while nobody looked");
        let mut ahead = seen();
        look(&mut ahead, (2_000, 20), None, 1..1);
        assert_eq!(ahead.begins, Some(at(1_010) - STEP));
    }
}
