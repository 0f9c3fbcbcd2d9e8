//! Writes what commands changed: one statement per table, the events last.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Error;
use super::columns::{AnswerColumns, ImportColumns, JobColumns, MachineColumns, ResultColumns};
use super::events::append;
use super::schema::{applied_commands, hearing, imports, jobs, results};
use super::statement::{Insert, Update};
use crate::workflow::{Changes, Hearing};

/// Writes what the commands changed. The events come last: they lock the counter, which nobody must hold long.
pub(super) async fn save(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if is_empty(changes) {
        return emit_message(connection).await;
    }
    delete_rows(connection, changes).await?;
    save_imports(connection, changes).await?;
    save_jobs(connection, changes).await?;
    if !changes.results.is_empty() {
        Insert(&ResultColumns::of(&changes.results)).execute(connection).await?;
    }
    if !changes.machines.is_empty() {
        Update(&MachineColumns::of(&changes.machines)).execute(connection).await?;
    }
    if let Some(heard) = changes.hearing {
        save_hearing(connection, heard).await?;
    }
    save_answers(connection, changes).await?;
    append(connection, &changes.events, changes.now).await
}

/// Writes a record that means nothing: its COMMIT waits for the standby like those before it.
///
/// A batch that answers only repeats does so, since it gives again what a COMMIT before it had answered; and
/// whoever publishes what it has read, since a COMMIT that was cut short while it waited is seen all the same.
pub(super) async fn emit_message(connection: &mut AsyncPgConnection) -> Result<(), Error> {
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
        Update(&ImportColumns::of(&changes.imports.updated)).execute(connection).await?;
    }
    if !changes.imports.inserted.is_empty() {
        Insert(&ImportColumns::of(&changes.imports.inserted)).execute(connection).await?;
    }
    Ok(())
}

async fn save_jobs(connection: &mut AsyncPgConnection, changes: &Changes) -> Result<(), Error> {
    if !changes.jobs.inserted.is_empty() {
        Insert(&JobColumns::of(&changes.jobs.inserted)).execute(connection).await?;
    }
    if !changes.jobs.updated.is_empty() {
        Update(&JobColumns::of(&changes.jobs.updated)).execute(connection).await?;
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
        Update(&AnswerColumns::of(&changes.answers)?).execute(connection).await?;
    }
    if !changes.refused.is_empty() {
        let ids: Vec<&String> = changes.refused.iter().collect();
        let refused = applied_commands::table.filter(applied_commands::message_id.eq_any(ids));
        diesel::delete(refused.filter(applied_commands::answer.is_null())).execute(connection).await?;
    }
    Ok(())
}
