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

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::broker::Queue;
use crate::domain::RcsType;

/// The recorder of the process, installed by the first coordinator in it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to count.
pub(super) fn install() {
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Somebody who uses us as a library may count in a way of their own; then ours stays empty.
        drop(metrics::set_global_recorder(recorder));
        handle
    });
}

/// All that was counted, as Prometheus reads it.
pub(super) fn render() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// A batch was committed.
pub(super) fn batch(queue: Queue, messages: usize, took: Duration) {
    let queue = label(queue);
    metrics::histogram!("code_imports_batch_messages", "queue" => queue).record(count(messages));
    metrics::histogram!("code_imports_batch_seconds", "queue" => queue).record(took.as_secs_f64());
}

/// A message has its verdict.
pub(super) fn message(queue: Queue, outcome: &'static str) {
    metrics::counter!("code_imports_messages_total", "queue" => label(queue), "outcome" => outcome)
        .increment(1);
}

/// Jobs went out.
pub(super) fn dispatched(rcs_type: RcsType, jobs: u32) {
    metrics::counter!("code_imports_jobs_dispatched_total", "rcs" => rcs_type.key()).increment(jobs.into());
}

/// Events went out.
pub(super) fn published(events: usize) {
    metrics::counter!("code_imports_events_published_total").increment(events as u64);
}

/// So many events are not published yet.
pub(super) fn relay_lag(events: i64) {
    metrics::gauge!("code_imports_relay_lag_events").set(count(usize::try_from(events).unwrap_or(0)));
}

/// Silent jobs and machines were given up.
pub(super) fn silent(given_up: usize) {
    metrics::counter!("code_imports_silent_total").increment(given_up as u64);
}

/// A session ended in an error.
pub(super) fn session_lost(role: &'static str) {
    metrics::counter!("code_imports_sessions_lost_total", "role" => role).increment(1);
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
