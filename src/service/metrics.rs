//! What is counted, for whoever draws curves: the text that Prometheus reads.
//!
//! | name                                    | what                                                |
//! |-----------------------------------------|-----------------------------------------------------|
//! | `code_imports_messages_total`           | messages by queue and outcome                       |
//! | `code_imports_batch_messages`           | messages of a batch, by queue                       |
//! | `code_imports_batch_seconds`            | from read to committed, by queue                    |
//! | `code_imports_jobs_dispatched_total`    | work messages that were taken by the broker, by RCS |
//! | `code_imports_events_published_total`   | events that were taken by the broker                |
//! | `code_imports_relay_lag_events`         | events of the log that are not published yet        |
//! | `code_imports_silent_total`             | jobs and machines that were given up                |
//! | `code_imports_sessions_lost_total`      | sessions that ended in an error, by role            |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::broker::Queue;
use crate::domain::RcsType;

/// What the process has counted, by name and labels.
static COUNTED: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());

fn counted() -> MutexGuard<'static, BTreeMap<String, f64>> {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(name: String, value: f64) {
    *counted().entry(name).or_default() += value;
}

/// All that was counted, as Prometheus reads it.
pub(super) fn render() -> String {
    counted().iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {value}");
        text
    })
}

/// A batch was committed.
pub(super) fn batch(queue: Queue, messages: usize, took: Duration) {
    let queue = label(queue);
    for (name, value) in [("messages", count(messages)), ("seconds", took.as_secs_f64())] {
        add(format!("code_imports_batch_{name}_sum{{queue=\"{queue}\"}}"), value);
        add(format!("code_imports_batch_{name}_count{{queue=\"{queue}\"}}"), 1.0);
    }
}

/// A message has its verdict.
pub(super) fn message(queue: Queue, outcome: &'static str) {
    let queue = label(queue);
    add(format!("code_imports_messages_total{{queue=\"{queue}\",outcome=\"{outcome}\"}}"), 1.0);
}

/// Jobs went out.
pub(super) fn dispatched(rcs_type: RcsType, jobs: u32) {
    add(format!("code_imports_jobs_dispatched_total{{rcs=\"{}\"}}", rcs_type.key()), jobs.into());
}

/// Events went out.
pub(super) fn published(events: usize) {
    add("code_imports_events_published_total".to_owned(), count(events));
}

/// So many events are not published yet.
pub(super) fn relay_lag(events: i64) {
    let lag = count(usize::try_from(events).unwrap_or(0));
    counted().insert("code_imports_relay_lag_events".to_owned(), lag);
}

/// Silent jobs and machines were given up.
pub(super) fn silent(given_up: usize) {
    add("code_imports_silent_total".to_owned(), count(given_up));
}

/// A session ended in an error.
pub(super) fn session_lost(role: &'static str) {
    add(format!("code_imports_sessions_lost_total{{role=\"{role}\"}}"), 1.0);
}

fn label(queue: Queue) -> &'static str {
    match queue {
        Queue::Start => "start",
        Queue::Heartbeat => "heartbeat",
        Queue::Finish => "finish",
        Queue::Commands => "commands",
        Queue::Work(_) => "work",
        Queue::Rejected => "rejected",
    }
}

/// A count as what a gauge holds; no count of ours is so large that it would lose anything.
#[expect(clippy::cast_precision_loss, reason = "no count of ours has more than 52 bits")]
fn count(count: usize) -> f64 {
    count as f64
}
