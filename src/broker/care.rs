//! Care after a message that cannot even be taken.
//!
//! A property that is not UTF-8 breaks the connection that reads it, whatever else was under way on it. The broker
//! delivers such a message again and again, up to its queue's delivery limit, and counts all that was on its way with it:
//! without care hundreds of healthy ones would go to the rejected queue beside it. So for a while every session that begins
//! takes what comes from that queue one by one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Queue;

/// How long deliveries are taken one by one. Every further break begins it anew.
const WHILE: Duration = Duration::from_secs(10);

/// The queues in which lately was something that broke a connection.
#[derive(Debug, Default)]
pub(super) struct Care(Mutex<HashMap<Queue, Instant>>);

impl Care {
    /// Something in this queue broke the connection that read it. True if that is news.
    pub(super) fn begin(&self, queue: Queue) -> bool {
        let before = self.queues().insert(queue, Instant::now());
        before.is_none_or(|before| before.elapsed() >= WHILE)
    }

    /// Whether this queue's deliveries are to be taken one by one.
    pub(super) fn is_needed(&self, queue: Queue) -> bool {
        self.queues().get(&queue).is_some_and(|broken| broken.elapsed() < WHILE)
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, HashMap<Queue, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
