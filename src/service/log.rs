//! How far this process has seen the event log go, by which a restore to an earlier moment is known.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Context;
use crate::store::{self, LogEnd, Store};

/// The farthest end that any role has seen.
#[derive(Debug, Default)]
pub(super) struct LogSeen(AtomicI64);

impl LogSeen {
    /// How far the log had been seen before it is asked how far it goes now.
    fn before(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The log only grows; one that ends below where it had been *before* it was asked was restored to an earlier moment.
    /// What another role saw meanwhile says nothing: its question may have been answered later than this one.
    fn check(&self, before: i64, end: i64) -> Result<(), store::Error> {
        self.0.fetch_max(end, Ordering::Relaxed);
        if end < before { Err(store::Error::LogWentBack { end, read: before }) } else { Ok(()) }
    }
}

/// Asks how far the log goes.
///
/// # Errors
/// [`store::Error::LogWentBack`], if that is less far than it was, and the server can commit: a primary that was
/// replaced, and has come back, is behind too, but waits for its standby for ever.
pub(super) async fn log_end(context: &Context, store: &mut Store) -> Result<LogEnd, store::Error> {
    let before = context.log_seen.before();
    let log = store.log_end().await?;
    let went_back = context.log_seen.check(before, log.end);
    if went_back.is_err() {
        store.begin_session().await?;
    }
    went_back.map(|()| log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_went_back_is_seen() {
        let seen = LogSeen::default();
        seen.check(seen.before(), 956).unwrap();
        assert!(matches!(
            seen.check(seen.before(), 954),
            Err(store::Error::LogWentBack { end: 954, read: 956 })
        ));
    }

    #[test]
    fn two_roles_that_ask_at_once_may_hear_their_answers_in_any_order() {
        let seen = LogSeen::default();
        let (first, second) = (seen.before(), seen.before());
        seen.check(second, 956).unwrap();
        seen.check(first, 954).unwrap();
        assert_eq!(seen.before(), 956);
    }
}
