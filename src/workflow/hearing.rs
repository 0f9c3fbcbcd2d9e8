//! We listen while we hear ourselves (section 10).

use chrono::TimeDelta;

use crate::domain::Timestamp;

/// An echo that is older, or a step that is longer, says that we did not listen in between.
const LIMIT: TimeDelta = TimeDelta::seconds(30);

/// What we know of our own listening, so that no outage of ours counts as somebody's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// The newest of our own echoes that came back, by the database's clock when it was sent.
    pub heard: Timestamp,
    /// Since when we have listened without a gap.
    pub since: Timestamp,
}

impl Hearing {
    /// What we know once an echo came back.
    ///
    /// *Leaves* `heard` moved on by a step of up to 30 s; unchanged by an echo that came late; and both
    /// `heard` and `since` set to it when it says that there was a gap, or is the first.
    pub fn after_echo(hearing: Option<Self>, sent: Timestamp, now: Timestamp) -> Self {
        let begun = Self { heard: sent, since: sent };
        let Some(hearing) = hearing else { return begun };
        let step = sent - hearing.heard;
        if now - sent > LIMIT || step.abs() > LIMIT {
            begun
        } else if step > TimeDelta::zero() {
            Self { heard: sent, ..hearing }
        } else {
            hearing
        }
    }

    /// For how long we have heard nothing of somebody whose last word came at `heartbeat`.
    pub fn silence(self, heartbeat: Timestamp) -> TimeDelta {
        self.heard - heartbeat.max(self.since)
    }

    /// Whether it may be acted upon: we heard ourselves at most 30 s before `now`, and not after.
    pub fn is_fresh(self, now: Timestamp) -> bool {
        let age = now - self.heard;
        age >= TimeDelta::zero() && age <= LIMIT
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn hearing(heard: i64, since: i64) -> Hearing {
        Hearing { heard: at(heard), since: at(since) }
    }

    /// Section 10, "We listen while we hear ourselves".
    #[test]
    fn an_echo_moves_what_we_know_of_our_listening() {
        #[track_caller]
        fn check(before: Option<Hearing>, sent: i64, now: i64, after: Hearing) {
            assert_eq!(Hearing::after_echo(before, at(sent), at(now)), after);
        }
        let before = Some(hearing(100, 0));
        check(None, 100, 100, hearing(100, 100));
        check(before, 110, 111, hearing(110, 0));
        check(before, 130, 131, hearing(130, 0));
        check(before, 131, 131, hearing(131, 131)); // a step over 30 s: a gap
        check(before, 100, 101, hearing(100, 0)); // again
        check(before, 70, 100, hearing(100, 0)); // late, but not too late
        check(before, 69, 99, hearing(69, 69)); // the clock stepped back
        check(before, 110, 140, hearing(110, 0)); // 30 s old when taken
        check(before, 110, 141, hearing(110, 110)); // it lay in a backlog
    }

    #[test]
    fn silence_does_not_count_from_before_we_listened() {
        assert_eq!(hearing(400, 0).silence(at(50)), TimeDelta::seconds(350));
        assert_eq!(hearing(400, 300).silence(at(50)), TimeDelta::seconds(100));
        assert_eq!(hearing(400, 0).silence(at(450)), TimeDelta::seconds(-50));
    }

    #[test]
    fn silence_is_acted_upon_only_while_we_hear_ourselves() {
        assert!(hearing(400, 0).is_fresh(at(400)));
        assert!(hearing(400, 0).is_fresh(at(430)));
        assert!(!hearing(400, 0).is_fresh(at(431)));
        assert!(!hearing(400, 0).is_fresh(at(399)));
    }
}
