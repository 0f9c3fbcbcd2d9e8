//! A catalogue of any size, as months of life would have left it: imports, a waiting job of each, and three results of
//! each in thirty daily partitions, all of which agree.
//!
//! A job is written when the one before it ends, and is due an interval later: so jobs lie in the order in which they
//! will be due. Their imports lie where they were registered, anywhere.

use anyhow::Context as _;
use tokio_postgres::Client;

/// Days of history before yesterday.
const DAYS: i64 = 30;

/// Each import has run so often.
const RUNS: i64 = 3;

/// From the import of one job to that of the next: a prime, so that every import has its turn.
const STEP: i64 = 7_919;

/// Makes imports 1 to `count`, a multiple of ten. Their jobs are due in some hours, one after the
/// other.
pub async fn make(sql: &Client, count: i64) -> anyhow::Result<()> {
    // What is written is whole by the way it is made; checking each reference would take most of the time.
    sql.batch_execute(
        "SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '512MB';
         INSERT INTO people (name, display_name) VALUES ('bench', 'The bench');
         INSERT INTO machines (hostname, state, date_state, heartbeat)
         SELECT 'machine-' || n, 'ONLINE', now(), now() + interval '1 day' FROM generate_series(0, 99) AS n",
    )
    .await
    .context("only a superuser may leave out foreign keys")?;
    let indexes = sql
        .query(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
             WHERE indrelid IN ('imports'::regclass, 'jobs'::regclass)
                 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
            &[],
        )
        .await?;
    for index in &indexes {
        sql.batch_execute(&format!("DROP INDEX {}", index.get::<_, String>(0))).await?;
    }
    imports_and_jobs(sql, count).await?;
    for index in &indexes {
        sql.batch_execute(index.get(1)).await?;
    }
    for day in 0..DAYS {
        results(sql, count, day).await.with_context(|| format!("results of day {day}"))?;
    }
    sql.batch_execute(&format!(
        "SELECT setval('imports_id_seq', {count}), setval('results_id_seq', {RUNS} * {count}),
             setval('jobs_id_seq', ({RUNS} + 1) * {count});
         RESET session_replication_role; RESET synchronous_commit"
    ))
    .await?;
    for statement in ["VACUUM ANALYZE imports", "VACUUM ANALYZE jobs", "ANALYZE results", "CHECKPOINT"] {
        sql.batch_execute(statement).await?;
    }
    Ok(())
}

/// When the last run of import n ended: a tenth of the imports on each of the last ten days.
const LAST_END: &str =
    "date_trunc('day', now(), 'UTC') - make_interval(days => 11 - (10 * (n - 1) / $1)::int)
     + make_interval(secs => n % 86400)";

async fn imports_and_jobs(sql: &Client, count: i64) -> anyhow::Result<()> {
    let imports = format!(
        "INSERT INTO imports (id, unique_name, registrant, owner, rcs_type, url, review_status, date_created,
             date_last_successful, last_job_id, last_run, last_status, last_date_job_started, last_date_created)
         SELECT n, '~bench/p/i' || n, 'bench', 'bench', 'GIT', 'https://code.example.org/' || n || '.git', 'REVIEWED',
             now() - interval '40 days', ended, job, lpad(to_hex(job), 32, '0')::uuid, 'SUCCESS',
             ended - interval '1 min', ended
         FROM (SELECT n, ({RUNS} - 1) * $1 + n AS job, {LAST_END} AS ended
               FROM generate_series(1, $1::bigint) AS n) AS made"
    );
    sql.execute(&imports, &[&count]).await.context("imports")?;
    let jobs = format!(
        "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due)
         SELECT {RUNS} * $1 + n, n * {STEP} % $1 + 1, 'GIT', 'PENDING', now(),
             now() + interval '2 hours' + interval '4 hours' * n / $1
         FROM generate_series(1, $1::bigint) AS n"
    );
    sql.execute(&jobs, &[&count]).await.context("jobs")?;
    Ok(())
}

/// A day's results are written into a table of its own, whose indexes are built when it becomes a partition.
async fn results(sql: &Client, count: i64, day: i64) -> anyhow::Result<()> {
    let back = DAYS + 1 - day;
    let name = format!("results_of_day_{day}");
    let (run, tenth, width) = (day / 10, day % 10, count / 10);
    sql.batch_execute(&format!(
        "CREATE TABLE {name} (LIKE results INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
         INSERT INTO {name} (id, import_id, job_id, run, machine, status, date_job_started, date_created, log_excerpt)
         SELECT job, n, job, lpad(to_hex(job), 32, '0')::uuid, 'machine-' || n % 100, 'SUCCESS',
             ended - interval '1 min', ended, ''
         FROM (SELECT n, {run} * {count} + n AS job,
                   date_trunc('day', now(), 'UTC') - interval '{back} days' + make_interval(secs => n % 86400) AS ended
               FROM generate_series({tenth} * {width} + 1, ({tenth} + 1) * {width}) AS n) AS made"
    ))
    .await?;
    let bounds = format!(
        "SELECT format('ALTER TABLE results ATTACH PARTITION {name} FOR VALUES FROM (%L) TO (%L)',
             date_trunc('day', now(), 'UTC') - interval '{back} days',
             date_trunc('day', now(), 'UTC') - interval '{back} days' + interval '1 day')"
    );
    let attach: String = sql.query_one(&bounds, &[]).await?.get(0);
    sql.batch_execute(&attach).await?;
    Ok(())
}
