//! Run, restart, shut down. The only backoff there is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Context, metrics};
use crate::{broker, store};

/// The first wait after an error is at most this, and it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_millis(200);

/// No wait is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A session that lasted so long was well: the next error is a new incident.
const WELL: Duration = Duration::from_secs(10);

/// Runs sessions of a role, one after the other, until one ends well or in what only people can mend.
///
/// A session drops everything when it ends: connections, channels, tags, confirms.
pub(super) async fn supervise<F>(
    role: &'static str,
    context: Arc<Context>,
    session: impl Fn(Arc<Context>) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut failures: u32 = 0;
    while !context.shutdown.is_cancelled() {
        context.health.starting(role);
        let begun = Instant::now();
        let Err(error) = session(Arc::clone(&context)).await else { return Ok(()) };
        if is_for_people(&error) {
            return Err(error);
        }
        // A message that breaks its connection is no fault of ours, and was told by whoever met it. It goes when it was
        // delivered often enough: the sooner, the better.
        let is_ours = !matches!(error.downcast_ref(), Some(broker::Error::BreaksConnections(_)));
        failures = if is_ours && begun.elapsed() <= WELL { failures.saturating_add(1) } else { 1 };
        metrics::session_lost(role);
        let reason = format!("{error:#}");
        if is_ours && context.health.failed(role, &reason) {
            tracing::warn!(role, reason, "{role} lost its session: {reason}");
        }
        tokio::select! {
            () = back_off(failures) => {}
            () = context.shutdown.cancelled() => {}
        }
    }
    Ok(())
}

/// What trying again cannot mend.
fn is_for_people(error: &anyhow::Error) -> bool {
    let is_topology = matches!(error.downcast_ref(), Some(broker::Error::Topology { .. }));
    let is_store =
        matches!(error.downcast_ref(), Some(store::Error::LogWentBack { .. } | store::Error::Migration(_)));
    is_topology || is_store
}

/// Waits for a random part of a time that doubles with every failure, so that sessions do not come back all
/// at once.
#[expect(clippy::disallowed_methods, reason = "this is the one place that waits")]
async fn back_off(failures: u32) {
    let most = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
    tokio::time::sleep(most.mul_f64(rand::random())).await;
}
