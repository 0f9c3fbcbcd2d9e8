//! Locks and loads all that commands may look at.
//!
//! The order of locks is the same everywhere: message ids of asks, the registrar, imports, jobs, machines, our
//! hearing, and last of all, when the changes are saved, the event counter. Within a table rows are locked in
//! the order of their ids, and each table is locked in a statement of its own, so that it sees what the lock
//! before waited for.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Error;
use super::rows::{Corrupt, ImportRow, JobRow, MachineRow, clock_timestamp};
use super::schema::{applied_commands, hearing, imports, jobs, machines, results};
use super::statement::counting_statement;
use crate::domain::{
    Hostname, Import, ImportId, Job, JobId, Machine, MachineState, Person, ResultId, RunId, Timestamp,
};
use crate::workflow::{Command, Fresh, Hearing, Needs, Past, Policy, Snapshot};

/// Whoever takes a name or a source holds this advisory lock, so that one at a time looks whether it is free.
const REGISTRAR_LOCK: i64 = 0x636f_6465_0001;

counting_statement! {
    /// Draws ids for next jobs and their results.
    DrawFresh -> (BigInt, BigInt),
    "SELECT nextval('jobs_id_seq'), nextval('results_id_seq') FROM generate_series(1, ", ")"
}

counting_statement! {
    /// Draws ids for new imports.
    DrawImportIds -> BigInt,
    "SELECT nextval('imports_id_seq') FROM generate_series(1, ", ")"
}

/// Locks and loads all that the commands may look at.
pub(super) async fn load(
    connection: &mut AsyncPgConnection,
    commands: &[Command],
    policy: &Policy,
) -> Result<Snapshot, Error> {
    let needs = Needs::of(commands, policy);
    let mut rows = Snapshot::default();
    reserve_message_ids(connection, &needs, &mut rows).await?;
    if needs.registers {
        diesel::select(pg_advisory_xact_lock(REGISTRAR_LOCK)).execute(connection).await?;
    }
    lock_imports(connection, &needs, &mut rows).await?;
    lock_jobs(connection, &needs, &mut rows).await?;
    read_imports(connection, &needs, &mut rows).await?;
    find_taken(connection, &needs, commands, policy, &mut rows).await?;
    find_past(connection, &needs, &mut rows).await?;
    lock_machines(connection, &needs, policy, &mut rows).await?;
    lock_hearing(connection, &needs, &mut rows).await?;
    rows.people = people(connection, &needs.people).await?;
    draw_ids(connection, &needs, &mut rows).await?;
    let clock = diesel::select(clock_timestamp()).get_result(connection).await?;
    rows.now = rows.newest_date().map_or(clock, |newest| newest.max(clock));
    Ok(rows)
}

diesel::define_sql_function! {
    /// Takes an advisory lock until the end of the transaction.
    fn pg_advisory_xact_lock(key: BigInt) -> diesel::sql_types::Nullable<Bool>;
}

/// Reserves the message ids of asks; those that were reserved before have been answered.
async fn reserve_message_ids(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    use applied_commands::{answer, message_id, table};

    if needs.message_ids.is_empty() {
        return Ok(());
    }
    let new: Vec<_> = needs.message_ids.iter().map(|id| message_id.eq(id)).collect();
    let reserved = diesel::insert_into(table).values(new).on_conflict_do_nothing().returning(message_id);
    let reserved: BTreeSet<String> = reserved.load(connection).await?.into_iter().collect();
    let before: Vec<&String> = needs.message_ids.difference(&reserved).collect();
    if before.is_empty() {
        return Ok(());
    }
    let found = table.filter(message_id.eq_any(before)).select((message_id, answer));
    for (id, answered) in found.load::<(String, Option<serde_json::Value>)>(connection).await? {
        let corrupt = Corrupt { table: "applied_commands", id: &id };
        let made = answered.ok_or_else(|| corrupt.error("no answer"))?;
        let made = serde_json::from_value(made).map_err(|error| corrupt.error(error))?;
        rows.answered.insert(id, made);
    }
    Ok(())
}

async fn lock_imports(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let mut ids: BTreeSet<i64> = needs.imports.iter().map(|id| id.0).collect();
    // Names, and the import of a job, never change: what is read here without a lock stays true.
    if !needs.import_names.is_empty() {
        let names = needs.import_names.iter().map(super::super::domain::name::UniqueName::as_str);
        let found = imports::table.filter(imports::unique_name.eq_any(names)).select(imports::id);
        ids.extend(found.load::<i64>(connection).await?);
    }
    if !needs.jobs_with_imports.is_empty() {
        let jobs = needs.jobs_with_imports.iter().map(|id| id.0);
        let found = jobs::table.filter(jobs::id.eq_any(jobs)).select(jobs::import_id);
        ids.extend(found.load::<i64>(connection).await?);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let locked: Vec<ImportRow> = imports::table
        .filter(imports::id.eq_any(Vec::from_iter(ids)))
        .order(imports::id)
        .select(ImportRow::as_select())
        .for_no_key_update()
        .load(connection)
        .await?;
    keep_imports(locked, rows)
}

async fn lock_jobs(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let ids = needs.jobs.iter().chain(&needs.beating).chain(&needs.jobs_with_imports);
    let ids: Vec<i64> = ids.collect::<BTreeSet<_>>().into_iter().map(|id| id.0).collect();
    let locked: Vec<JobRow> = if rows.imports.is_empty() {
        if ids.is_empty() {
            return Ok(());
        }
        let query = jobs::table.filter(jobs::id.eq_any(ids)).order(jobs::id).select(JobRow::as_select());
        query.for_no_key_update().load(connection).await?
    } else {
        let of: Vec<i64> = rows.imports.keys().map(|id| id.0).collect();
        let query = jobs::table.filter(jobs::id.eq_any(ids).or(jobs::import_id.eq_any(of)));
        query.order(jobs::id).select(JobRow::as_select()).for_no_key_update().load(connection).await?
    };
    for row in locked {
        let job = Job::try_from(row)?;
        rows.jobs.insert(job.id, job);
    }
    Ok(())
}

/// Reads the imports that are named, or whose jobs are: after the lock of the jobs, so that a start sees the
/// import as it is when the job becomes its own.
async fn read_imports(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let mut ids: BTreeSet<ImportId> = needs.read_imports.clone();
    ids.extend(rows.jobs.values().filter(|job| needs.import_of(job)).map(|job| job.import_id));
    let ids: Vec<i64> = ids.iter().filter(|id| !rows.imports.contains_key(id)).map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let query = imports::table.filter(imports::id.eq_any(ids)).select(ImportRow::as_select());
    let read = query.load(connection).await?;
    keep_imports(read, rows)
}

fn keep_imports(read: Vec<ImportRow>, rows: &mut Snapshot) -> Result<(), Error> {
    for row in read {
        let import = Import::try_from(row)?;
        rows.names.insert(import.unique_name.clone(), import.id);
        rows.imports.insert(import.id, import);
    }
    Ok(())
}

/// Finds the imports that have the names and sources that are asked for.
async fn find_taken(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    commands: &[Command],
    policy: &Policy,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    if !needs.registers {
        return Ok(());
    }
    // What this batch may free is taken until it does.
    rows.sources = rows.imports.values().map(|import| (import.source.key(), import.id)).collect();
    let names = needs.new_names.iter().map(super::super::domain::name::UniqueName::as_str);
    let same_name = imports::table.filter(imports::unique_name.eq_any(names)).select(ImportRow::as_select());
    let mut taken: Vec<ImportRow> = same_name.load(connection).await?;

    let import_named = |name: &_| rows.imports.get(rows.names.get(name)?);
    let mut keys = Needs::updated_sources(commands, import_named, policy);
    keys.extend(needs.new_sources.iter().cloned());
    // The expressions of the unique indexes, whose values are what `Source::key` says.
    let by_key = diesel::sql_query(
        "SELECT id FROM imports WHERE regexp_replace(url, '^([a-z][a-z0-9+.-]*://)[^/@]*@', '\\1') = ANY ($1)
         UNION ALL
         SELECT id FROM imports
         WHERE regexp_replace(cvs_root, '^(:[a-z]+:)[^/@]*@', '\\1') = ANY ($2)
             AND regexp_replace(cvs_root, '^(:[a-z]+:)[^/@]*@', '\\1') || ' ' || cvs_module = ANY ($1)",
    );
    let roots: Vec<&str> = keys.iter().filter_map(|key| Some(key.split_once(' ')?.0)).collect();
    let by_key = by_key.bind::<Array<Text>, _>(Vec::from_iter(&keys)).bind::<Array<Text>, _>(roots);
    let ids: Vec<i64> = by_key.load::<Id>(connection).await?.into_iter().map(|row| row.id).collect();
    let by_source = imports::table.filter(imports::id.eq_any(ids)).select(ImportRow::as_select());
    taken.extend(by_source.load::<ImportRow>(connection).await?);
    for row in taken {
        let import = Import::try_from(row)?;
        rows.names.insert(import.unique_name.clone(), import.id);
        rows.sources.insert(import.source.key(), import.id);
        rows.imports.entry(import.id).or_insert(import);
    }
    Ok(())
}

/// Finds the results of jobs that are gone and that their imports do not remember any more.
async fn find_past(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let is_remembered = |job: JobId, import: ImportId| {
        let last = rows.imports.get(&import).and_then(|import| import.last_result.as_ref());
        last.is_some_and(|last| last.job_id == job)
    };
    let gone = needs.reported.iter().filter(|(job, _)| !rows.jobs.contains_key(job));
    let gone: Vec<i64> =
        gone.filter(|(job, import)| !is_remembered(*job, *import)).map(|(job, _)| job.0).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let query = results::table.filter(results::job_id.eq_any(gone)).select((
        results::job_id,
        results::import_id,
        results::run,
        results::status,
    ));
    for (job, import, run, status) in query.load::<(i64, i64, Uuid, String)>(connection).await? {
        let status = Corrupt { table: "results", id: &job }.parse("status", &status)?;
        rows.past.insert(JobId(job), Past { import: ImportId(import), run: RunId(run), status });
    }
    Ok(())
}

/// Reads the machines that speak, and locks those of them that change: that are new, or were not heard of for
/// a while, or are not ONLINE; and those that are spoken of.
async fn lock_machines(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    policy: &Policy,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    if needs.speakers.is_empty() && needs.machines.is_empty() {
        return Ok(());
    }
    let names = needs.speakers.iter().map(Hostname::as_str);
    let query = machines::table
        .filter(machines::hostname.eq_any(names))
        .select((MachineRow::as_select(), clock_timestamp()));
    let mut to_lock: BTreeSet<Hostname> = needs.machines.clone();
    for (row, now) in query.load::<(MachineRow, Timestamp)>(connection).await? {
        let machine = Machine::try_from(row)?;
        // One that was heard of more recently is not locked: its heartbeat does not move.
        let is_old =
            machine.heartbeat.is_none_or(|heartbeat| now - heartbeat > policy.heartbeat_resolution());
        if is_old || machine.state != MachineState::Online {
            to_lock.insert(machine.hostname.clone());
        }
        rows.machines.insert(machine.hostname.clone(), machine);
    }
    let new: Vec<&Hostname> =
        needs.speakers.iter().filter(|name| !rows.machines.contains_key(*name)).collect();
    if !new.is_empty() {
        // A row without a heartbeat: the rule that hears the first word completes it in this transaction.
        let values: Vec<_> = new
            .iter()
            .map(|name| {
                let date_state = machines::date_state.eq(clock_timestamp());
                (machines::hostname.eq(name.as_str()), machines::state.eq("ONLINE"), date_state)
            })
            .collect();
        diesel::insert_into(machines::table)
            .values(values)
            .on_conflict_do_nothing()
            .execute(connection)
            .await?;
        to_lock.extend(new.into_iter().cloned());
    }
    if to_lock.is_empty() {
        return Ok(());
    }
    let locked: Vec<MachineRow> = machines::table
        .filter(machines::hostname.eq_any(to_lock.iter().map(Hostname::as_str)))
        .order(machines::hostname)
        .select(MachineRow::as_select())
        .for_no_key_update()
        .load(connection)
        .await?;
    for row in locked {
        let machine = Machine::try_from(row)?;
        rows.locked_machines.insert(machine.hostname.clone());
        rows.machines.insert(machine.hostname.clone(), machine);
    }
    find_running(connection, needs, rows).await
}

/// Finds the RUNNING jobs of the machines that say that they run nothing, and are to be drained.
async fn find_running(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let is_quiescing = |name: &&Hostname| {
        rows.machines.get(*name).is_some_and(|machine| machine.state == MachineState::Quiescing)
    };
    let names: Vec<&str> = needs.idle.iter().filter(is_quiescing).map(Hostname::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    let query = jobs::table
        .filter(jobs::state.eq("RUNNING").and(jobs::machine.eq_any(names)))
        .select((jobs::machine.assume_not_null(), jobs::id));
    for (name, id) in query.load::<(String, i64)>(connection).await? {
        let machine = Corrupt { table: "jobs", id: &id }.parse("machine", &name)?;
        rows.running.insert((machine, JobId(id)));
    }
    Ok(())
}

async fn lock_hearing(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let query = hearing::table.select((hearing::heard, hearing::since));
    let row: Option<(Timestamp, Timestamp)> = if needs.echo {
        query.for_no_key_update().first(connection).await.optional()?
    } else if needs.hearing {
        query.first(connection).await.optional()?
    } else {
        None
    };
    rows.hearing = row.map(|(heard, since)| Hearing { heard, since });
    Ok(())
}

/// People by name, with every team that they are in, directly or through another team.
pub(super) async fn people(
    connection: &mut AsyncPgConnection,
    names: &BTreeSet<crate::domain::PersonName>,
) -> Result<HashMap<crate::domain::PersonName, Person>, Error> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        is_team: bool,
        #[diesel(sql_type = Array<Text>)]
        teams: Vec<String>,
    }
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let query = diesel::sql_query(
        "WITH RECURSIVE membership (member, team) AS (
             SELECT member, team FROM team_members WHERE member = ANY ($1)
             UNION
             SELECT membership.member, team_members.team
             FROM membership JOIN team_members ON team_members.member = membership.team
         )
         SELECT name, is_team, ARRAY(SELECT team FROM membership WHERE member = people.name) AS teams
         FROM people WHERE name = ANY ($1)",
    );
    let names: Vec<&str> = names.iter().map(super::super::domain::name::PersonName::as_str).collect();
    let found: Vec<Row> = query.bind::<Array<Text>, _>(names).load(connection).await?;
    let person = |row: Row| {
        let corrupt = Corrupt { table: "people", id: &row.name };
        let teams = row.teams.iter().map(|team| corrupt.parse("team", team)).collect::<Result<_, _>>()?;
        let name: crate::domain::PersonName = corrupt.parse("name", &row.name)?;
        Ok((name.clone(), Person { name, is_team: row.is_team, teams }))
    };
    found.into_iter().map(person).collect()
}

async fn draw_ids(
    connection: &mut AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    if needs.fresh > 0 {
        let count = i64::try_from(needs.fresh).unwrap_or(i64::MAX);
        let fresh = |(job, result)| Fresh { job: JobId(job), result: ResultId(result) };
        let drawn: Vec<(i64, i64)> = DrawFresh(count).load(connection).await?;
        rows.fresh = drawn.into_iter().map(fresh).collect();
    }
    if needs.new_imports > 0 {
        let count = i64::try_from(needs.new_imports).unwrap_or(i64::MAX);
        let drawn: Vec<i64> = DrawImportIds(count).load(connection).await?;
        rows.import_ids = drawn.into_iter().map(ImportId).collect();
    }
    Ok(())
}
