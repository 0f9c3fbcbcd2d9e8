//! How long a run may take the coordinator's word for it that it is the current one.
//!
//! The heartbeat renews the lease, the importer asks it before it changes a ref of the target (duty 7).

use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// Counts while the machine sleeps, so that a laptop that wakes up knows how old its lease is.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// Elsewhere the monotonic clock does so itself.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A moment by a clock that never goes back and also counts sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(CLOCK);
        // The time since boot is not negative, and a nanosecond count fits.
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    /// How long it has been since an earlier moment; nothing, if that one is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Says whether a run may still change the refs of its target; cheap to clone.
///
/// It is valid while the newest *answered* message that named the run is younger than the heartbeat timeout:
/// its start, counted from its first publication, or a heartbeat, counted from its sending.
#[derive(Clone, Debug)]
pub struct Lease {
    expires: watch::Sender<Option<BootTime>>,
}

impl Lease {
    /// The lease of a run whose start was accepted; that start was first published at `sent`.
    #[must_use]
    pub fn new(sent: BootTime, heartbeat_timeout: Duration) -> Self {
        Self { expires: watch::Sender::new(sent.0.checked_add(heartbeat_timeout).map(BootTime)) }
    }

    /// A heartbeat that named the run and was sent at `sent` has been answered.
    ///
    /// An answer that overtook a younger one changes nothing.
    pub fn renew(&self, sent: BootTime, heartbeat_timeout: Duration) {
        let expires = sent.0.checked_add(heartbeat_timeout).map(BootTime);
        self.expires.send_if_modified(|current| {
            let later = expires > *current;
            *current = expires.max(*current);
            later
        });
    }

    /// Whether it is valid at this moment.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.is_valid_at(BootTime::now())
    }

    pub(super) fn is_valid_at(&self, now: BootTime) -> bool {
        self.expires.borrow().is_some_and(|expires| now < expires)
    }

    /// Waits for an answer that makes it valid, unless it is.
    pub async fn wait_until_valid(&self) {
        let mut renewals = self.expires.subscribe();
        while !self.is_valid() {
            // `self` holds a sender, so there is always somebody to wait for.
            let _ = renewals.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(5);

    #[test]
    fn a_lease_is_valid_until_the_heartbeat_timeout_after_the_sending() {
        let lease = Lease::new(BootTime::now(), TIMEOUT);
        assert!(lease.is_valid());
        assert_eq!(lease.wait_until_valid().now_or_never(), Some(()));
        assert!(!Lease::new(BootTime::now(), Duration::ZERO).is_valid());
    }

    #[tokio::test]
    async fn an_expired_lease_is_waited_for_until_it_is_renewed() {
        let lease = Lease::new(BootTime::now(), Duration::ZERO);
        let waiting = lease.wait_until_valid();
        tokio::pin!(waiting);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        lease.clone().renew(BootTime::now(), TIMEOUT);
        waiting.await;
    }

    #[test]
    fn an_older_answer_does_not_shorten_a_lease() {
        let first = BootTime::now();
        let lease = Lease::new(BootTime::now(), TIMEOUT);
        lease.renew(first, Duration::ZERO);
        assert!(lease.is_valid());
    }
}
