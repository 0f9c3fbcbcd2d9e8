//! Imports and jobs, made in bulk and behind the workflow's back, as a long life would have left them.

use anyhow::Context as _;
use tokio_postgres::Client;

/// The machines that run the jobs.
pub const MACHINES: i64 = 100;

/// A machine runs this job; so scenarios and rows agree.
#[must_use]
pub fn machine_of(job: i64) -> String {
    format!("machine-{}", job % MACHINES)
}

/// Makes imports with the ids 1 to `count`, of one person; each is updated every `interval_seconds` after a run began.
pub async fn imports(sql: &Client, count: i64, interval_seconds: i64) -> anyhow::Result<()> {
    sql.execute(
        "INSERT INTO people (name, display_name) VALUES ('bench', 'The bench') ON CONFLICT DO NOTHING",
        &[],
    )
    .await?;
    sql.execute(
        "INSERT INTO machines (hostname, state, date_state, heartbeat)
         SELECT 'machine-' || n, 'ONLINE', now(), now() + interval '1 hour' FROM generate_series(0, $1::bigint - 1) AS n",
        &[&MACHINES],
    )
    .await?;
    sql.execute(
        "INSERT INTO imports (id, unique_name, registrant, owner, rcs_type, url, review_status,
             update_interval_seconds, date_created)
         SELECT n, '~bench/project-' || n || '/import', 'bench', 'bench', 'GIT',
             'https://code.example.org/project-' || n || '/code.git', 'REVIEWED', $2::bigint, now()
         FROM generate_series(1, $1::bigint) AS n",
        &[&count, &interval_seconds],
    )
    .await
    .context("imports")?;
    sql.execute("SELECT setval('imports_id_seq', $1::bigint)", &[&count]).await?;
    Ok(())
}

/// Gives each of the first `count` imports a job of its own id that is due: in the order of the ids, evenly over the
/// `seconds` from now on; all at once if that is 0.
pub async fn due_jobs(sql: &Client, count: i64, seconds: f64) -> anyhow::Result<()> {
    sql.execute(
        "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due)
         SELECT n, n, 'GIT', 'PENDING', now(),
             clock_timestamp() + make_interval(secs => $2::float8 * n / $1::bigint)
         FROM generate_series(1, $1::bigint) AS n",
        &[&count, &seconds],
    )
    .await
    .context("due jobs")?;
    settle(sql, count).await
}

/// Gives each of the first `count` imports a job of its own id that is handed out and not started.
pub async fn dispatched_jobs(sql: &Client, count: i64) -> anyhow::Result<()> {
    sql.execute(
        "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due, date_dispatched)
         SELECT n, n, 'GIT', 'PENDING', now(), now(), now() FROM generate_series(1, $1::bigint) AS n",
        &[&count],
    )
    .await
    .context("dispatched jobs")?;
    settle(sql, count).await
}

/// Gives each of the first `count` imports a RUNNING job of its own id; its run is known by [`run_of`].
pub async fn running_jobs(sql: &Client, count: i64) -> anyhow::Result<()> {
    runs(sql, count, MACHINES).await?;
    settle(sql, count).await
}

/// The rows of such jobs, on so many machines in turn.
pub(super) async fn runs(sql: &Client, count: i64, machines: i64) -> anyhow::Result<()> {
    sql.execute(
        "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due, machine, run, date_started,
             heartbeat, log_tail)
         SELECT n, n, 'GIT', 'RUNNING', now(), now(), 'machine-' || n % $2::bigint,
             lpad(to_hex(n), 32, '0')::uuid, now(), now(), ''
         FROM generate_series(1, $1::bigint) AS n",
        &[&count, &machines],
    )
    .await
    .context("running jobs")?;
    Ok(())
}

/// The run of a job that was made RUNNING.
#[must_use]
pub fn run_of(job: i64) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(job.unsigned_abs()))
}

/// As after a while: statistics are there, the pages are written, and new jobs have new ids.
pub(super) async fn settle(sql: &Client, jobs: i64) -> anyhow::Result<()> {
    sql.execute("SELECT setval('jobs_id_seq', $1::bigint)", &[&jobs]).await?;
    sql.batch_execute("VACUUM ANALYZE imports").await?;
    sql.batch_execute("VACUUM ANALYZE jobs").await?;
    sql.batch_execute("CHECKPOINT").await?;
    Ok(())
}

/// Fills the event log with starts that are not published yet.
pub async fn events(sql: &Client, count: i64) -> anyhow::Result<()> {
    sql.execute(
        "INSERT INTO events (id, epoch, date_created, event_type, import_id, unique_name, machine, data)
         SELECT n, epoch, now(), 'START', n, '~bench/project-' || n || '/import', 'machine-' || n % $2::bigint, '{}'
         FROM generate_series(1, $1::bigint) AS n, event_counter",
        &[&count, &MACHINES],
    )
    .await
    .context("events")?;
    sql.execute("UPDATE event_counter SET next_id = $1::bigint + 1", &[&count]).await?;
    sql.batch_execute("CHECKPOINT").await?;
    Ok(())
}
