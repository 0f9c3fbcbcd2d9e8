//! The numbers that rules go by; each is a setting.

use chrono::TimeDelta;

use crate::domain::source::SourcePolicy;
use crate::domain::{Import, RcsType};

/// The numbers that rules go by (sections 4 to 10), and what may be imported (section 8).
#[derive(Clone, Debug)]
pub struct Policy {
    /// From one run's start to the next, where an import says nothing of its own: SVN, GIT, HG, BZR.
    pub update_interval: TimeDelta,
    /// The same for CVS, which has no cheap way to ask what is new.
    pub cvs_update_interval: TimeDelta,
    /// After so many failures in a row an import is FAILING.
    pub failure_limit: u32,
    /// The second retry after trouble of our own comes after this, the next after twice it, and so on.
    pub infrastructure_backoff: TimeDelta,
    /// After so much silence a job is reclaimed.
    pub heartbeat_timeout: TimeDelta,
    /// After so much silence a machine goes OFFLINE.
    pub machine_timeout: TimeDelta,
    /// A machine is QUIESCING for at least this long before it counts as drained.
    pub quiesce_grace: TimeDelta,
    /// A dispatched job that nobody started within this is dispatched again.
    pub dispatch_timeout: TimeDelta,
    /// What may be imported.
    pub sources: SourcePolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            update_interval: TimeDelta::hours(6),
            cvs_update_interval: TimeDelta::hours(12),
            failure_limit: 5,
            infrastructure_backoff: TimeDelta::minutes(5),
            heartbeat_timeout: TimeDelta::seconds(300),
            machine_timeout: TimeDelta::seconds(300),
            quiesce_grace: TimeDelta::seconds(30),
            dispatch_timeout: TimeDelta::minutes(10),
            sources: SourcePolicy::default(),
        }
    }
}

/// A machine's heartbeat is moved only when it is older, so that a busy fleet does not write it all the time.
const HEARTBEAT_RESOLUTION: TimeDelta = TimeDelta::seconds(10);

impl Policy {
    /// How old a machine's heartbeat must be for a word to move it: 10 s, or a quarter of a short machine timeout,
    /// since a machine that speaks every half of that must never seem silent.
    pub fn heartbeat_resolution(&self) -> TimeDelta {
        HEARTBEAT_RESOLUTION
            .min(TimeDelta::milliseconds(self.machine_timeout.num_milliseconds().div_euclid(4)))
    }

    /// From one run's start to the next (section 5): the import's own interval, else the default for its RCS.
    pub fn effective_interval(&self, import: &Import) -> TimeDelta {
        let default = match import.rcs_type {
            RcsType::Cvs => self.cvs_update_interval,
            RcsType::Svn | RcsType::Git | RcsType::Hg | RcsType::Bzr => self.update_interval,
        };
        import.update_interval.unwrap_or(default)
    }

    /// From a failing run's start to the next: doubled for every failure in a row after the first.
    pub fn failure_interval(&self, import: &Import, failures: u32) -> TimeDelta {
        doubled(self.effective_interval(import), failures.saturating_sub(1))
    }

    /// From *now* to the retry after trouble of our own, `k` times in a row: the first is at once, and none
    /// waits longer than the effective interval.
    pub fn infrastructure_delay(&self, import: &Import, k: u32) -> TimeDelta {
        match k {
            0 | 1 => TimeDelta::zero(),
            k => {
                doubled(self.infrastructure_backoff, k.saturating_sub(2)).min(self.effective_interval(import))
            }
        }
    }
}

/// `delay × 2^times`; the exponent is clamped, so that no count can overflow.
fn doubled(delay: TimeDelta, times: u32) -> TimeDelta {
    let factor = 1_i32 << times.min(20);
    delay.checked_mul(factor).unwrap_or(delay).min(TimeDelta::days(3650))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::fixtures::{hours, import, minutes};

    #[test]
    fn no_count_can_overflow_a_delay() {
        let policy = Policy::default();
        let slow = Import { update_interval: Some(TimeDelta::days(3650)), ..import() };
        for count in [22, 64, 1_000_000, u32::MAX] {
            assert_eq!(policy.failure_interval(&slow, count), TimeDelta::days(3650));
            assert_eq!(policy.infrastructure_delay(&slow, count), minutes(5) * (1 << 20));
            assert_eq!(policy.infrastructure_delay(&import(), count), hours(6));
        }
    }

    #[test]
    fn a_failing_run_is_tried_again_later_and_later() {
        let policy = Policy::default();
        let delays: Vec<_> = (1..=4).map(|count| policy.failure_interval(&import(), count)).collect();
        assert_eq!(delays, [hours(6), hours(12), hours(24), hours(48)]);
    }
}
