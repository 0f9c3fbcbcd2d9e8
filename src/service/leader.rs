//! A role that runs at one process at a time.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Context;
use crate::store::Leadership;

/// How often the lock is asked for, and its holder asks the server something.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// A server that answers nothing for this long has given the lock away, or is stopped.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Waits until this process leads a role, and then does its work until that ends or leadership is lost.
///
/// It is entered when database and broker were reached: a process that reaches only one of them must not keep
/// the lock from one that reaches both.
pub(super) async fn lead(
    context: &Context,
    role: &'static str,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let Some(leadership) = wait_to_lead(context, role).await? else { return Ok(()) };
    hold(context, leadership, role, work).await
}

/// Waits until this process leads a role; nothing, if it is told to stop before.
pub(super) async fn wait_to_lead(
    context: &Context,
    role: &'static str,
) -> anyhow::Result<Option<Leadership>> {
    let mut leadership = Leadership::connect(&context.settings.database, role).await?;
    let mut ticks = interval(ASK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.shutdown.cancelled() => return Ok(None),
        }
        if leadership.try_take().await? {
            return Ok(Some(leadership));
        }
        context.health.standby(role);
    }
}

/// Does the work of a role until that ends or leadership is lost.
pub(super) async fn hold(
    context: &Context,
    mut leadership: Leadership,
    role: &'static str,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut ticks = interval(ASK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tracing::info!(role, "this process leads the {role}");
    context.health.working(role);
    let keep = async {
        loop {
            ticks.tick().await;
            let late = |_| anyhow::anyhow!("the database did not answer within {LOST_AFTER:?}");
            tokio::time::timeout(LOST_AFTER, leadership.check()).await.map_err(late)??;
        }
    };
    tokio::select! {
        ended = work => ended,
        lost = keep => lost,
    }
}
