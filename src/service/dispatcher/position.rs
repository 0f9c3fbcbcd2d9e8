//! From where the due jobs are scanned.

use chrono::TimeDelta;

use crate::domain::Timestamp;

/// A transaction may commit a job this much later than it read the clock for its due date.
const LATE_COMMIT: TimeDelta = TimeDelta::seconds(15);

/// How often the scan begins at the beginning.
const WHOLE_SCAN: TimeDelta = TimeDelta::seconds(30);

/// The due date up to which one work queue's jobs are handed out.
///
/// Scanning from there, and not from the beginning, costs nothing for the dead index entries that somebody's
/// long transaction keeps; the beginning is looked at now and then all the same.
#[derive(Debug, Default)]
pub(super) struct Position {
    emptied_to: Option<Timestamp>,
    whole_scan: Option<Timestamp>,
}

impl Position {
    /// From which due date to scan; none means from the beginning.
    pub(super) fn scan_from(&mut self, now: Timestamp) -> Option<Timestamp> {
        // A clock that stepped back must not end the whole scans.
        let is_due = self.whole_scan.is_none_or(|last| (now - last).abs() >= WHOLE_SCAN);
        if is_due {
            self.whole_scan = Some(now);
            return None;
        }
        self.emptied_to.map(|emptied| emptied - LATE_COMMIT)
    }

    /// Everything that is due up to `to` is handed out.
    pub(super) fn emptied(&mut self, to: Timestamp, now: Timestamp) {
        self.emptied_to = Some(to.min(now));
    }

    /// A job of this due date is not handed out after all.
    pub(super) fn back_to(&mut self, date_due: Timestamp) {
        self.emptied_to = self.emptied_to.map(|emptied| emptied.min(date_due));
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
    fn the_scan_begins_at_the_beginning_at_start_and_every_thirty_seconds() {
        let mut position = Position::default();
        assert_eq!(position.scan_from(at(0)), None);
        position.emptied(at(0), at(0));
        assert_eq!(position.scan_from(at(1)), Some(at(-15)));
        position.emptied(at(20), at(29));
        assert_eq!(position.scan_from(at(29)), Some(at(5)));
        assert_eq!(position.scan_from(at(30)), None);
        assert_eq!(position.scan_from(at(31)), Some(at(5)));
    }

    #[test]
    fn an_unmarked_job_sets_the_position_back() {
        let mut position = Position::default();
        position.scan_from(at(0));
        position.emptied(at(100), at(100));
        position.back_to(at(40));
        assert_eq!(position.scan_from(at(1)), Some(at(25)));
    }
}
