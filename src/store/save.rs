//! Writes what commands changed: one statement per table, the events last.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Error;
use super::events::append;
use super::schema::{applied_commands, hearing, imports, jobs, results};
use super::statement::bulk_statement;
use crate::domain::{Import, Job, Machine, NewResult, Source, Timestamp};
use crate::workflow::{Changes, Hearing, Made};

bulk_statement! {
    /// Makes imports.
    InsertImports<'a>,
    "INSERT INTO imports (
        id, unique_name, registrant, owner, rcs_type, url, cvs_root, cvs_module, review_status,
        update_interval_seconds, date_created, date_last_successful, date_source_changed, last_job_id, last_run,
        last_status, last_date_job_started, last_date_created, consecutive_failure_count,
        consecutive_infrastructure_failure_count)
    SELECT * FROM",
    {
        ids: BigInt => i64,
        unique_names: Text => &'a str,
        registrants: Text => &'a str,
        owners: Text => &'a str,
        rcs_types: Text => String,
        urls: Nullable<Text> => Option<&'a str>,
        cvs_roots: Nullable<Text> => Option<&'a str>,
        cvs_modules: Nullable<Text> => Option<&'a str>,
        review_statuses: Text => String,
        update_intervals: Nullable<BigInt> => Option<i64>,
        dates_created: Timestamptz => Timestamp,
        dates_last_successful: Nullable<Timestamptz> => Option<Timestamp>,
        dates_source_changed: Nullable<Timestamptz> => Option<Timestamp>,
        last_job_ids: Nullable<BigInt> => Option<i64>,
        last_runs: Nullable<SqlUuid> => Option<Uuid>,
        last_statuses: Nullable<Text> => Option<String>,
        last_dates_job_started: Nullable<Timestamptz> => Option<Timestamp>,
        last_dates_created: Nullable<Timestamptz> => Option<Timestamp>,
        failure_counts: BigInt => i64,
        infrastructure_failure_counts: BigInt => i64,
    },
    ""
}

bulk_statement! {
    /// Changes imports that are locked.
    UpdateImports<'a>,
    "UPDATE imports SET
        owner = v.owner, url = v.url, cvs_root = v.cvs_root, cvs_module = v.cvs_module,
        review_status = v.review_status, update_interval_seconds = v.update_interval_seconds,
        date_last_successful = v.date_last_successful, date_source_changed = v.date_source_changed,
        last_job_id = v.last_job_id, last_run = v.last_run, last_status = v.last_status,
        last_date_job_started = v.last_date_job_started, last_date_created = v.last_date_created,
        consecutive_failure_count = v.failure_count,
        consecutive_infrastructure_failure_count = v.infrastructure_failure_count
    FROM",
    {
        ids: BigInt => i64,
        owners: Text => &'a str,
        urls: Nullable<Text> => Option<&'a str>,
        cvs_roots: Nullable<Text> => Option<&'a str>,
        cvs_modules: Nullable<Text> => Option<&'a str>,
        review_statuses: Text => String,
        update_intervals: Nullable<BigInt> => Option<i64>,
        dates_last_successful: Nullable<Timestamptz> => Option<Timestamp>,
        dates_source_changed: Nullable<Timestamptz> => Option<Timestamp>,
        last_job_ids: Nullable<BigInt> => Option<i64>,
        last_runs: Nullable<SqlUuid> => Option<Uuid>,
        last_statuses: Nullable<Text> => Option<String>,
        last_dates_job_started: Nullable<Timestamptz> => Option<Timestamp>,
        last_dates_created: Nullable<Timestamptz> => Option<Timestamp>,
        failure_counts: BigInt => i64,
        infrastructure_failure_counts: BigInt => i64,
    },
    " AS v (id, owner, url, cvs_root, cvs_module, review_status, update_interval_seconds,
        date_last_successful, date_source_changed, last_job_id, last_run, last_status, last_date_job_started,
        last_date_created, failure_count, infrastructure_failure_count)
    WHERE imports.id = v.id"
}

bulk_statement! {
    /// Makes jobs.
    InsertJobs<'a>,
    "INSERT INTO jobs (
        id, import_id, rcs_type, state, date_created, date_due, date_dispatched, requesting_user, machine, run,
        date_started, heartbeat, log_tail)
    SELECT * FROM",
    {
        ids: BigInt => i64,
        import_ids: BigInt => i64,
        rcs_types: Text => String,
        states: Text => String,
        dates_created: Timestamptz => Timestamp,
        dates_due: Timestamptz => Timestamp,
        dates_dispatched: Nullable<Timestamptz> => Option<Timestamp>,
        requesting_users: Nullable<Text> => Option<&'a str>,
        machines: Nullable<Text> => Option<&'a str>,
        runs: Nullable<SqlUuid> => Option<Uuid>,
        dates_started: Nullable<Timestamptz> => Option<Timestamp>,
        heartbeats: Nullable<Timestamptz> => Option<Timestamp>,
        log_tails: Nullable<Text> => Option<&'a str>,
    },
    ""
}

bulk_statement! {
    /// Changes jobs that are locked. A heartbeat changes no indexed column, so its row stays on its page.
    UpdateJobs<'a>,
    "UPDATE jobs SET
        state = v.state, date_due = v.date_due, date_dispatched = v.date_dispatched,
        requesting_user = v.requesting_user, machine = v.machine, run = v.run, date_started = v.date_started,
        heartbeat = v.heartbeat, log_tail = v.log_tail
    FROM",
    {
        ids: BigInt => i64,
        states: Text => String,
        dates_due: Timestamptz => Timestamp,
        dates_dispatched: Nullable<Timestamptz> => Option<Timestamp>,
        requesting_users: Nullable<Text> => Option<&'a str>,
        machines: Nullable<Text> => Option<&'a str>,
        runs: Nullable<SqlUuid> => Option<Uuid>,
        dates_started: Nullable<Timestamptz> => Option<Timestamp>,
        heartbeats: Nullable<Timestamptz> => Option<Timestamp>,
        log_tails: Nullable<Text> => Option<&'a str>,
    },
    " AS v (id, state, date_due, date_dispatched, requesting_user, machine, run, date_started, heartbeat, log_tail)
    WHERE jobs.id = v.id"
}

bulk_statement! {
    /// Writes results.
    InsertResults<'a>,
    "INSERT INTO results (
        id, import_id, job_id, run, machine, requesting_user, status, date_job_started, date_created,
        log_excerpt, log_url, reason, stats)
    SELECT * FROM",
    {
        ids: BigInt => i64,
        import_ids: BigInt => i64,
        job_ids: BigInt => i64,
        runs: SqlUuid => Uuid,
        machines: Text => &'a str,
        requesting_users: Nullable<Text> => Option<&'a str>,
        statuses: Text => String,
        dates_job_started: Timestamptz => Timestamp,
        dates_created: Timestamptz => Timestamp,
        log_excerpts: Text => &'a str,
        log_urls: Nullable<Text> => Option<&'a str>,
        reasons: Nullable<Text> => Option<&'a str>,
        stats: Jsonb => serde_json::Value,
    },
    ""
}

bulk_statement! {
    /// Changes machines that are locked.
    UpdateMachines<'a>,
    "UPDATE machines SET
        state = v.state, offline_reason = v.offline_reason, date_state = v.date_state, heartbeat = v.heartbeat
    FROM",
    {
        hostnames: Text => &'a str,
        states: Text => String,
        offline_reasons: Nullable<Text> => Option<String>,
        dates_state: Timestamptz => Timestamp,
        heartbeats: Nullable<Timestamptz> => Option<Timestamp>,
    },
    " AS v (hostname, state, offline_reason, date_state, heartbeat) WHERE machines.hostname = v.hostname"
}

bulk_statement! {
    /// Keeps what was answered.
    SaveAnswers<'a>,
    "UPDATE applied_commands SET answer = v.answer FROM",
    {
        message_ids: Text => &'a str,
        answers: Jsonb => serde_json::Value,
    },
    " AS v (message_id, answer) WHERE applied_commands.message_id = v.message_id"
}

/// Writes what the commands changed. The events come last: they lock the counter, which nobody must hold long.
pub(super) async fn save(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if is_empty(changes) {
        return emit_message(connection).await;
    }
    delete_rows(connection, changes).await?;
    save_imports(connection, changes).await?;
    save_jobs(connection, changes).await?;
    if !changes.results.is_empty() {
        insert_results(&changes.results).execute(connection).await?;
    }
    if !changes.machines.is_empty() {
        update_machines(&changes.machines).execute(connection).await?;
    }
    if let Some(heard) = changes.hearing {
        save_hearing(connection, heard).await?;
    }
    save_answers(connection, changes).await?;
    append(connection, &changes.events, changes.now).await
}

/// A batch that answers only repeats writes something too: so its COMMIT waits for the standby like the first
/// one's, whose answers it gives again.
async fn emit_message(connection: &mut AsyncPgConnection) -> Result<(), Error> {
    let message = "SELECT pg_logical_emit_message(true, 'code-imports', 'repeat')";
    diesel::sql_query(message).execute(connection).await?;
    Ok(())
}

fn is_empty(changes: &Changes) -> bool {
    let Changes { now: _, imports, jobs, results, machines, hearing, answers, refused, events } = changes;
    imports.is_empty()
        && jobs.is_empty()
        && results.is_empty()
        && machines.is_empty()
        && hearing.is_none()
        && answers.is_empty()
        && refused.is_empty()
        && events.is_empty()
}

/// Old rows go before new ones come: their names, sources and imports are free then.
async fn delete_rows(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.jobs.deleted.is_empty() {
        let ids: Vec<i64> = changes.jobs.deleted.iter().map(|id| id.0).collect();
        diesel::delete(jobs::table.filter(jobs::id.eq_any(ids))).execute(connection).await?;
    }
    let ids: Vec<i64> = changes.imports.deleted.iter().map(|id| id.0).collect();
    if !ids.is_empty() {
        diesel::delete(results::table.filter(results::import_id.eq_any(&ids))).execute(connection).await?;
        diesel::delete(imports::table.filter(imports::id.eq_any(&ids))).execute(connection).await?;
    }
    Ok(())
}

/// Changes come before what is new, for the same reason.
async fn save_imports(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.imports.updated.is_empty() {
        update_imports(&changes.imports.updated).execute(connection).await?;
    }
    if !changes.imports.inserted.is_empty() {
        insert_imports(&changes.imports.inserted).execute(connection).await?;
    }
    Ok(())
}

async fn save_jobs(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.jobs.inserted.is_empty() {
        insert_jobs(&changes.jobs.inserted).execute(connection).await?;
    }
    if !changes.jobs.updated.is_empty() {
        update_jobs(&changes.jobs.updated).execute(connection).await?;
    }
    Ok(())
}

async fn save_hearing(connection: &mut AsyncPgConnection, heard: Hearing) -> Result<(), Error> {
    let row = (hearing::heard.eq(heard.heard), hearing::since.eq(heard.since));
    diesel::insert_into(hearing::table)
        .values(row)
        .on_conflict(hearing::is_only)
        .do_update()
        .set(row)
        .execute(connection)
        .await?;
    Ok(())
}

async fn save_answers(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.answers.is_empty() {
        answers(&changes.answers)?.execute(connection).await?;
    }
    if !changes.refused.is_empty() {
        let ids: Vec<&String> = changes.refused.iter().collect();
        let refused = applied_commands::table.filter(applied_commands::message_id.eq_any(ids));
        diesel::delete(refused.filter(applied_commands::answer.is_null())).execute(connection).await?;
    }
    Ok(())
}

fn insert_imports(imports: &[Import]) -> InsertImports<'_> {
    let mut rows = InsertImports::default();
    for import in imports {
        let (url, root, module) = columns(&import.source);
        let last = import.last_result.as_ref();
        rows.ids.push(import.id.0);
        rows.unique_names.push(import.unique_name.as_str());
        rows.registrants.push(import.registrant.as_str());
        rows.owners.push(import.owner.as_str());
        rows.rcs_types.push(import.rcs_type.to_string());
        rows.urls.push(url);
        rows.cvs_roots.push(root);
        rows.cvs_modules.push(module);
        rows.review_statuses.push(import.review_status.to_string());
        rows.update_intervals.push(import.update_interval.map(|interval| interval.num_seconds()));
        rows.dates_created.push(import.date_created);
        rows.dates_last_successful.push(import.date_last_successful);
        rows.dates_source_changed.push(import.date_source_changed);
        rows.last_job_ids.push(last.map(|last| last.job_id.0));
        rows.last_runs.push(last.map(|last| last.run.0));
        rows.last_statuses.push(last.map(|last| last.status.to_string()));
        rows.last_dates_job_started.push(last.map(|last| last.date_job_started));
        rows.last_dates_created.push(last.map(|last| last.date_created));
        rows.failure_counts.push(import.consecutive_failure_count.into());
        rows.infrastructure_failure_counts.push(import.consecutive_infrastructure_failure_count.into());
    }
    rows
}

fn update_imports(imports: &[Import]) -> UpdateImports<'_> {
    let all = insert_imports(imports);
    UpdateImports {
        ids: all.ids,
        owners: all.owners,
        urls: all.urls,
        cvs_roots: all.cvs_roots,
        cvs_modules: all.cvs_modules,
        review_statuses: all.review_statuses,
        update_intervals: all.update_intervals,
        dates_last_successful: all.dates_last_successful,
        dates_source_changed: all.dates_source_changed,
        last_job_ids: all.last_job_ids,
        last_runs: all.last_runs,
        last_statuses: all.last_statuses,
        last_dates_job_started: all.last_dates_job_started,
        last_dates_created: all.last_dates_created,
        failure_counts: all.failure_counts,
        infrastructure_failure_counts: all.infrastructure_failure_counts,
        borrowed: all.borrowed,
    }
}

fn columns(source: &Source) -> (Option<&str>, Option<&str>, Option<&str>) {
    match source {
        Source::Url(url) => (Some(url), None, None),
        Source::Cvs { root, module } => (None, Some(root), Some(module)),
    }
}

fn insert_jobs(jobs: &[Job]) -> InsertJobs<'_> {
    let mut rows = InsertJobs::default();
    for job in jobs {
        let run = job.run();
        rows.ids.push(job.id.0);
        rows.import_ids.push(job.import_id.0);
        rows.rcs_types.push(job.rcs_type.to_string());
        rows.states.push(job.state_name().to_string());
        rows.dates_created.push(job.date_created);
        rows.dates_due.push(job.date_due);
        rows.dates_dispatched.push(job.date_dispatched);
        rows.requesting_users
            .push(job.requesting_user.as_ref().map(super::super::domain::name::PersonName::as_str));
        rows.machines.push(run.map(|run| run.machine.as_str()));
        rows.runs.push(run.map(|run| run.id.0));
        rows.dates_started.push(run.map(|run| run.date_started));
        rows.heartbeats.push(run.map(|run| run.heartbeat));
        rows.log_tails.push(run.map(|run| run.log_tail.as_str()));
    }
    rows
}

fn update_jobs(jobs: &[Job]) -> UpdateJobs<'_> {
    let all = insert_jobs(jobs);
    UpdateJobs {
        ids: all.ids,
        states: all.states,
        dates_due: all.dates_due,
        dates_dispatched: all.dates_dispatched,
        requesting_users: all.requesting_users,
        machines: all.machines,
        runs: all.runs,
        dates_started: all.dates_started,
        heartbeats: all.heartbeats,
        log_tails: all.log_tails,
        borrowed: all.borrowed,
    }
}

fn insert_results(results: &[NewResult]) -> InsertResults<'_> {
    let mut rows = InsertResults::default();
    for result in results {
        rows.ids.push(result.id.0);
        rows.import_ids.push(result.import_id.0);
        rows.job_ids.push(result.job_id.0);
        rows.runs.push(result.run.0);
        rows.machines.push(result.machine.as_str());
        rows.requesting_users
            .push(result.requesting_user.as_ref().map(super::super::domain::name::PersonName::as_str));
        rows.statuses.push(result.status.to_string());
        rows.dates_job_started.push(result.date_job_started);
        rows.dates_created.push(result.date_created);
        rows.log_excerpts.push(&result.log_excerpt);
        rows.log_urls.push(result.log_url.as_deref());
        rows.reasons.push(result.reason.as_deref());
        rows.stats.push(result.stats.clone().into());
    }
    rows
}

fn update_machines(machines: &[Machine]) -> UpdateMachines<'_> {
    let mut rows = UpdateMachines::default();
    for machine in machines {
        rows.hostnames.push(machine.hostname.as_str());
        rows.states.push(machine.state.name().to_string());
        rows.offline_reasons.push(machine.state.offline_reason().map(|reason| reason.to_string()));
        rows.dates_state.push(machine.date_state);
        rows.heartbeats.push(machine.heartbeat);
    }
    rows
}

fn answers(made: &std::collections::BTreeMap<String, Made>) -> Result<SaveAnswers<'_>, Error> {
    let mut rows = SaveAnswers::default();
    for (id, made) in made {
        rows.message_ids.push(id);
        let corrupt =
            |error| Error::Corrupt { table: "applied_commands", id: id.clone(), what: format!("{error}") };
        rows.answers.push(serde_json::to_value(made).map_err(corrupt)?);
    }
    Ok(rows)
}
