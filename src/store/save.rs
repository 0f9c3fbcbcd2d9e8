//! Writes what commands changed: one statement per table, the events last.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::try_join;

use super::Error;
use super::columns::{AnswerColumns, BeatColumns, ImportColumns, JobColumns, MachineColumns, ResultColumns};
use super::events::append;
use super::schema::{applied_commands, hearing, imports, jobs, results};
use super::statement::{Columns, Insert, Update, plain_statement};
use super::transaction::commit;
use crate::workflow::{Changes, Hearing};

plain_statement! {
    /// A record in the log that means nothing.
    EmitMessage, "SELECT pg_logical_emit_message(true, 'code-imports', 'repeat')"
}

/// Writes what the commands changed, and commits. Old rows go before new ones come, and changes before what is new: their
/// names, sources and imports are free then. The events come last: they lock the counter, which nobody must hold long.
pub(super) async fn save(connection: &AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if is_empty(changes) {
        try_join!(emit_message(connection), commit(connection))?;
        return Ok(());
    }
    try_join!(
        delete_jobs(connection, changes),
        delete_imports(connection, changes),
        update(connection, ImportColumns::of(&changes.imports.updated)),
        insert(connection, ImportColumns::of(&changes.imports.inserted)),
        insert(connection, JobColumns::of(&changes.jobs.inserted)),
        update(connection, JobColumns::of(&changes.jobs.updated)),
        update(connection, BeatColumns::of(&changes.beats)),
        insert(connection, ResultColumns::of(&changes.results)),
        update(connection, MachineColumns::of(&changes.machines)),
        save_hearing(connection, changes.hearing),
        update(connection, AnswerColumns::of(&changes.answers)?),
        forget_refused(connection, changes),
        append(connection, &changes.events, changes.now),
        commit(connection),
    )?;
    Ok(())
}

/// Writes a record that means nothing: its COMMIT waits for the standby like those before it.
///
/// A batch that answers only repeats does so, since it gives again what a COMMIT before it had answered; and
/// whoever publishes what it has read, since a COMMIT that was cut short while it waited is seen all the same.
pub(super) async fn emit_message(mut connection: &AsyncPgConnection) -> Result<(), Error> {
    EmitMessage.execute(&mut connection).await?;
    Ok(())
}

fn is_empty(changes: &Changes) -> bool {
    let Changes { now: _, imports, jobs, beats, results, machines, hearing, answers, refused, events } =
        changes;
    imports.is_empty()
        && jobs.is_empty()
        && beats.is_empty()
        && results.is_empty()
        && machines.is_empty()
        && hearing.is_none()
        && answers.is_empty()
        && refused.is_empty()
        && events.is_empty()
}

async fn insert<C: Columns + Sync>(mut connection: &AsyncPgConnection, rows: C) -> Result<(), Error> {
    if !rows.is_empty() {
        Insert(&rows).execute(&mut connection).await?;
    }
    Ok(())
}

async fn update<C: Columns + Sync>(mut connection: &AsyncPgConnection, rows: C) -> Result<(), Error> {
    if !rows.is_empty() {
        Update(&rows).execute(&mut connection).await?;
    }
    Ok(())
}

async fn delete_jobs(mut connection: &AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.jobs.deleted.is_empty() {
        let ids: Vec<i64> = changes.jobs.deleted.iter().map(|id| id.0).collect();
        diesel::delete(jobs::table.filter(jobs::id.eq_any(ids))).execute(&mut connection).await?;
    }
    Ok(())
}

async fn delete_imports(mut connection: &AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    let ids: Vec<i64> = changes.imports.deleted.iter().map(|id| id.0).collect();
    if !ids.is_empty() {
        let mut other = connection;
        let theirs = diesel::delete(results::table.filter(results::import_id.eq_any(ids.clone())));
        let themselves = diesel::delete(imports::table.filter(imports::id.eq_any(ids)));
        try_join!(theirs.execute(&mut connection), themselves.execute(&mut other))?;
    }
    Ok(())
}

async fn save_hearing(mut connection: &AsyncPgConnection, heard: Option<Hearing>) -> Result<(), Error> {
    if let Some(heard) = heard {
        let row = (hearing::heard.eq(heard.heard), hearing::since.eq(heard.since));
        let saving = diesel::insert_into(hearing::table).values(row).on_conflict(hearing::is_only);
        saving.do_update().set(row).execute(&mut connection).await?;
    }
    Ok(())
}

async fn forget_refused(mut connection: &AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.refused.is_empty() {
        let ids: Vec<&String> = changes.refused.iter().collect();
        let refused = applied_commands::table.filter(applied_commands::message_id.eq_any(ids));
        let refused = refused.filter(applied_commands::answer.is_null());
        diesel::delete(refused).execute(&mut connection).await?;
    }
    Ok(())
}
