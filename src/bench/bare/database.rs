//! S: a bare program that sends PostgreSQL the same rows, in batches of the same size: one bulk statement per table, a
//! transaction a batch, everything of a batch sent at once, so that it costs one round trip.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::bench::process::cpu_of;
use crate::bench::seed::{machine_of, run_of};

const HEARTBEAT: &str = "
    UPDATE jobs SET heartbeat = v.heartbeat, log_tail = v.log_tail
    FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS v (id, heartbeat, log_tail) WHERE jobs.id = v.id";

const DISPATCH: &str = "
    UPDATE jobs SET date_dispatched = v.date_dispatched
    FROM unnest($1::bigint[], $2::timestamptz[]) AS v (id, date_dispatched) WHERE jobs.id = v.id";

const START: &str = "
    UPDATE jobs SET state = 'RUNNING', machine = v.machine, run = v.run, date_started = v.date,
        heartbeat = v.date, log_tail = ''
    FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::timestamptz[]) AS v (id, machine, run, date)
    WHERE jobs.id = v.id";

const DELETE_JOBS: &str = "DELETE FROM jobs WHERE id = ANY ($1::bigint[])";

const UPDATE_IMPORTS: &str = "
    UPDATE imports SET date_last_successful = v.date, last_job_id = v.id, last_run = v.run, last_status = 'SUCCESS',
        last_date_job_started = v.date, last_date_created = v.date, consecutive_failure_count = 0,
        consecutive_infrastructure_failure_count = 0
    FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[]) AS v (id, run, date) WHERE imports.id = v.id";

const INSERT_JOBS: &str = "
    INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due)
    SELECT nextval('jobs_id_seq'), v.id, 'GIT', 'PENDING', v.date, v.date + interval '6 hours'
    FROM unnest($1::bigint[], $2::timestamptz[]) AS v (id, date)";

const INSERT_RESULTS: &str = "
    INSERT INTO results (id, import_id, job_id, run, machine, status, date_job_started, date_created, log_excerpt, stats)
    SELECT nextval('results_id_seq'), v.id, v.id, v.run, v.machine, 'SUCCESS', v.date, v.date, v.log, v.stats::jsonb
    FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
        AS v (id, run, machine, date, log, stats)";

const INSERT_EVENTS: &str = "
    INSERT INTO events (id, epoch, date_created, event_type, import_id, unique_name, machine, data)
    SELECT v.event, v.epoch, v.date, v.type, v.id, '~bench/project-' || v.id || '/import', v.machine, v.data::jsonb
    FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::text[])
        AS v (event, epoch, date, type, id, machine, data)";

/// What is written of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Its heartbeat.
    Heartbeat,
    /// That it was handed out.
    Dispatch,
    /// That it was started, and the event.
    Start,
    /// That it is done: the result, its import, the next job, and the event.
    Finish,
}

/// A bare program at the database.
#[derive(Debug)]
pub struct Writer {
    sql: Client,
    heartbeat: Statement,
    dispatch: Statement,
    start: Statement,
    delete_jobs: Statement,
    update_imports: Statement,
    insert_jobs: Statement,
    insert_results: Statement,
    insert_events: Statement,
    next_event: i64,
    log_tail: String,
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Writer {
    /// Prepares everything; `log_tail` is what heartbeats carry.
    pub async fn new(sql: Client, log_tail: &str) -> anyhow::Result<Self> {
        Ok(Self {
            heartbeat: sql.prepare(HEARTBEAT).await?,
            dispatch: sql.prepare(DISPATCH).await?,
            start: sql.prepare(START).await?,
            delete_jobs: sql.prepare(DELETE_JOBS).await?,
            update_imports: sql.prepare(UPDATE_IMPORTS).await?,
            insert_jobs: sql.prepare(INSERT_JOBS).await?,
            insert_results: sql.prepare(INSERT_RESULTS).await?,
            insert_events: sql.prepare(INSERT_EVENTS).await?,
            sql,
            next_event: 1,
            log_tail: log_tail.to_owned(),
        })
    }

    /// Processor time of its session, if the server runs here.
    pub async fn cpu(&self) -> anyhow::Result<Duration> {
        let pid: i32 = self.sql.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        cpu_of(u32::try_from(pid)?)
    }

    /// Writes this of jobs in batches, each a transaction, and says how long it took.
    pub async fn write(
        &mut self,
        what: Write,
        jobs: impl Iterator<Item = i64>,
        batch: usize,
    ) -> anyhow::Result<Duration> {
        let jobs: Vec<i64> = jobs.collect();
        let begun = Instant::now();
        for batch in jobs.chunks(batch.max(1)) {
            self.write_batch(what, batch).await?;
        }
        Ok(begun.elapsed())
    }

    async fn write_batch(&mut self, what: Write, jobs: &[i64]) -> anyhow::Result<()> {
        let events = self.take_events(jobs.len());
        let dates = vec![SystemTime::now(); jobs.len()];
        let machines: Vec<String> = jobs.iter().map(|job| machine_of(*job)).collect();
        let runs: Vec<Uuid> = jobs.iter().map(|job| run_of(*job)).collect();
        let tails = vec![self.log_tail.as_str(); jobs.len()];
        match what {
            Write::Heartbeat => self.transaction(&[(&self.heartbeat, &[&jobs, &dates, &tails])]).await,
            Write::Dispatch => self.transaction(&[(&self.dispatch, &[&jobs, &dates])]).await,
            Write::Start => {
                let events = Events::of(jobs, events, "START", "{}");
                let start: Parameters<'_> = &[&jobs, &machines, &runs, &dates];
                let event: Parameters<'_> =
                    &[&events.ids, &events.epochs, &dates, &events.types, &jobs, &machines, &events.data];
                self.transaction(&[(&self.start, start), (&self.insert_events, event)]).await
            }
            Write::Finish => {
                let data = r#"{"duration": "0", "result": "1234567", "status": "SUCCESS"}"#;
                let events = Events::of(jobs, events, "FINISH", data);
                let stats = vec![r#"{"revisions": 3}"#; jobs.len()];
                let delete: Parameters<'_> = &[&jobs];
                let import: Parameters<'_> = &[&jobs, &runs, &dates];
                let next: Parameters<'_> = &[&jobs, &dates];
                let result: Parameters<'_> = &[&jobs, &runs, &machines, &dates, &tails, &stats];
                let event: Parameters<'_> =
                    &[&events.ids, &events.epochs, &dates, &events.types, &jobs, &machines, &events.data];
                self.transaction(&[
                    (&self.delete_jobs, delete),
                    (&self.update_imports, import),
                    (&self.insert_jobs, next),
                    (&self.insert_results, result),
                    (&self.insert_events, event),
                ])
                .await
            }
        }
    }

    /// One transaction. Statements that are polled together are sent together, in this order.
    async fn transaction(&self, statements: &[(&Statement, Parameters<'_>)]) -> anyhow::Result<()> {
        let executing =
            statements.iter().map(|(statement, parameters)| self.sql.execute(*statement, parameters));
        let (begun, executed, committed) = futures_util::join!(
            self.sql.batch_execute("BEGIN"),
            futures_util::future::join_all(executing),
            self.sql.batch_execute("COMMIT"),
        );
        begun?;
        executed.into_iter().collect::<Result<Vec<u64>, _>>()?;
        Ok(committed?)
    }

    fn take_events(&mut self, count: usize) -> RangeInclusive<i64> {
        let first = self.next_event;
        self.next_event += i64::try_from(count).unwrap_or(i64::MAX);
        first..=self.next_event - 1
    }
}

/// The columns of events that are alike.
struct Events<'a> {
    ids: Vec<i64>,
    epochs: Vec<Uuid>,
    types: Vec<&'a str>,
    data: Vec<&'a str>,
}

impl<'a> Events<'a> {
    fn of(jobs: &[i64], ids: RangeInclusive<i64>, kind: &'a str, data: &'a str) -> Self {
        let count = jobs.len();
        Self {
            ids: ids.collect(),
            epochs: vec![Uuid::nil(); count],
            types: vec![kind; count],
            data: vec![data; count],
        }
    }
}
