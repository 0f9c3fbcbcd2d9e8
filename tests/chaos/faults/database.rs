//! PostgreSQL that comes and goes, is full, is locked, and fails over.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};

use super::Done;
use crate::process::{pass, until};
use crate::world::World;

/// Longer than `statement_timeout`.
const STATEMENT: Duration = Duration::from_secs(11);

/// Ends the primary by this signal, and starts it again after a while.
pub(super) async fn end(world: &World, signal: Signal, lasts: Duration) -> Done {
    let primary = world.database.primary();
    primary.kill(signal).await;
    pass(lasts).await;
    primary.start().await;
    Done::back_now(format!("by {signal:?}"))
}

pub(super) async fn terminate_connections(world: &World) -> Done {
    let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let count = world.count(query).await.unwrap_or(0);
    Done::back_now(format!("{count} of them")).if_it_was(count > 0)
}

/// The server may go down by it, and is started again when there is room.
pub(super) async fn fill_disk(world: &World, lasts: Duration) -> Done {
    let primary = world.database.primary();
    primary.fill_disk().await;
    pass(lasts + Duration::from_secs(3)).await;
    let has_lived = primary.lives().await;
    primary.empty_disk().await;
    let answers = async || world.database.connect().await.is_some();
    if !primary.lives().await || !until(Duration::from_secs(30), answers).await {
        primary.kill(Signal::QUIT).await;
        primary.start().await;
    }
    Done::back_now(if has_lived { "it lived" } else { "it went down" })
}

pub(super) async fn hold_lock(world: &World, chance: &mut StdRng, lasts: Duration) -> Done {
    let locks = [
        "LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE",
        "SELECT 1 FROM event_counter FOR UPDATE",
        "SELECT count(*) FROM (SELECT 1 FROM imports FOR UPDATE) AS locked",
        "LOCK TABLE results IN SHARE MODE",
    ];
    let lock = locks[chance.random_range(0..locks.len())];
    let Some(client) = world.database.connect().await else { return nobody() };
    let is_held = client.batch_execute("BEGIN; SET LOCAL lock_timeout = '5s'").await.is_ok()
        && client.batch_execute(lock).await.is_ok();
    if is_held {
        pass(lasts).await;
    }
    // The connection goes, and with it the lock.
    drop(client);
    Done::back_now(lock).if_it_was(is_held)
}

/// The database did not answer, or nobody was connected to it.
fn nobody() -> Done {
    Done::nothing_to_recover("nobody").if_it_was(false)
}

/// A backend of a coordinator stands still for longer than a statement may take.
pub(super) async fn statement_timeout(world: &World, chance: &mut StdRng) -> Done {
    let query = "SELECT pid, application_name FROM pg_stat_activity
        WHERE application_name LIKE 'code-imports%' AND application_name NOT LIKE '%referee%' ORDER BY pid";
    let Some(client) = world.database.connect().await else { return nobody() };
    let Ok(rows) = client.query(query, &[]).await else { return nobody() };
    if rows.is_empty() {
        return nobody();
    }
    let row = &rows[chance.random_range(0..rows.len())];
    let (id, name): (i32, String) = (row.get(0), row.get(1));
    let backend = Pid::from_raw(id).unwrap();
    if kill_process(backend, Signal::STOP).is_err() {
        return nobody();
    }
    pass(STATEMENT).await;
    // It may have been killed meanwhile.
    let _ = kill_process(backend, Signal::CONT);
    Done::back_now(format!("of the backend of {name}"))
}

pub(super) async fn fail_over(world: &World, chance: &mut StdRng) -> Done {
    let signal = if chance.random_bool(0.5) { Signal::KILL } else { Signal::QUIT };
    world.database.fail_over(signal).await;
    Done::back_now(format!("after {signal:?}"))
}
