//! Locks and loads all that commands may look at.
//!
//! The order of locks is the same everywhere: message ids of asks, the registrar, imports, jobs, machines, our
//! hearing, and last of all, when the changes are saved, the event counter. Within a table rows are locked in
//! the order of their ids, and each table is locked in a statement of its own, so that it sees what the lock
//! before waited for.

mod machines;

use std::collections::{BTreeSet, HashMap, VecDeque};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::try_join;
use uuid::Uuid;

use self::machines::{lock_machines, read_machines};
use super::Error;
use super::rows::{Corrupt, ImportRow, JobRow, clock_timestamp};
use super::schema::{applied_commands, hearing, imports, jobs, results};
use super::statement::counting_statement;
use super::transaction::begin;
use crate::domain::{Import, ImportId, Job, JobId, Person, ResultId, RunId, Timestamp};
use crate::workflow::{Command, Fresh, Hearing, Made, Needs, Past, Policy, Snapshot};

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

/// Begins a transaction, and locks and loads all that the commands may look at.
///
/// What is asked for by name is found first. Then all that is known is asked at once, in the order of the locks; what
/// depends on that comes after it, one by one.
pub(super) async fn load(
    connection: &AsyncPgConnection,
    commands: &[Command],
    policy: &Policy,
) -> Result<Snapshot, Error> {
    let needs = Needs::of(commands, policy);
    let mut rows = Snapshot::default();
    let asks = needs.asks();
    let ids = if asks {
        begin(connection).await?;
        rows.answered = reserve_message_ids(connection, &needs).await?;
        lock_registrar(connection, &needs).await?;
        imports_asked_for(connection, &needs).await?
    } else {
        needs.imports.iter().map(|id| id.0).collect()
    };
    let ((), locked, jobs, read, spoken, people, fresh, import_ids, clock) = try_join!(
        async { if asks { Ok(()) } else { begin(connection).await } },
        lock_imports(connection, &ids),
        lock_jobs(connection, &needs, &ids),
        read_imports(connection, needs.read_imports.iter().map(|id| id.0).collect()),
        read_machines(connection, &needs),
        people(connection, &needs.people),
        draw_ids(connection, &needs),
        draw_import_ids(connection, &needs),
        clock(connection),
    )?;
    keep_imports(locked, &mut rows);
    rows.jobs = jobs.into_iter().map(|job| (job.id, job)).collect();
    keep_imports(read, &mut rows);
    (rows.people, rows.fresh, rows.import_ids) = (people, fresh, import_ids);
    let others = imports_of_jobs(&needs, &rows);
    keep_imports(read_imports(connection, others).await?, &mut rows);
    find_taken(connection, &needs, commands, policy, &mut rows).await?;
    find_past(connection, &needs, &mut rows).await?;
    let has_locked = lock_machines(connection, &needs, policy, spoken, &mut rows).await?;
    lock_hearing(connection, &needs, &mut rows).await?;
    let clock = if has_locked || needs.echo { self::clock(connection).await? } else { clock };
    rows.now = rows.newest_date().map_or(clock, |newest| newest.max(clock));
    Ok(rows)
}

/// The clock is read when everything is locked.
async fn clock(mut connection: &AsyncPgConnection) -> Result<Timestamp, Error> {
    Ok(diesel::select(clock_timestamp()).get_result(&mut connection).await?)
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// The items of an array, each a row.
    fn unnest(items: Array<BigInt>) -> BigInt;
}

diesel::define_sql_function! {
    /// Takes an advisory lock until the end of the transaction.
    fn pg_advisory_xact_lock(key: BigInt) -> diesel::sql_types::Nullable<Bool>;
}

/// Reserves the message ids of asks; those that were reserved before have been answered, and so.
async fn reserve_message_ids(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
) -> Result<HashMap<String, Made>, Error> {
    use applied_commands::{answer, message_id, table};

    if needs.message_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let new: Vec<_> = needs.message_ids.iter().map(|id| message_id.eq(id)).collect();
    let reserved = diesel::insert_into(table).values(new).on_conflict_do_nothing().returning(message_id);
    let reserved: BTreeSet<String> = reserved.load(&mut connection).await?.into_iter().collect();
    let before: Vec<&String> = needs.message_ids.difference(&reserved).collect();
    if before.is_empty() {
        return Ok(HashMap::new());
    }
    let found = table.filter(message_id.eq_any(before)).select((message_id, answer));
    let found: Vec<(String, Option<serde_json::Value>)> = found.load(&mut connection).await?;
    let made = |(id, answered): (String, Option<serde_json::Value>)| {
        let corrupt = Corrupt { table: "applied_commands", id: &id };
        let made = answered.ok_or_else(|| corrupt.error("no answer"))?;
        let made = serde_json::from_value(made).map_err(|error| corrupt.error(error))?;
        Ok((id, made))
    };
    found.into_iter().map(made).collect()
}

async fn lock_registrar(mut connection: &AsyncPgConnection, needs: &Needs) -> Result<(), Error> {
    if needs.registers {
        diesel::select(pg_advisory_xact_lock(REGISTRAR_LOCK)).execute(&mut connection).await?;
    }
    Ok(())
}

/// The imports that are to be locked, where some are known by their names or their jobs. Names, and the import of a
/// job, never change: what is read here without a lock stays true.
async fn imports_asked_for(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
) -> Result<BTreeSet<i64>, Error> {
    let mut ids: BTreeSet<i64> = needs.imports.iter().map(|id| id.0).collect();
    if !needs.import_names.is_empty() {
        let names = needs.import_names.iter().map(super::super::domain::name::UniqueName::as_str);
        let found = imports::table.filter(imports::unique_name.eq_any(names)).select(imports::id);
        ids.extend(found.load::<i64>(&mut connection).await?);
    }
    if !needs.jobs_with_imports.is_empty() {
        let jobs = needs.jobs_with_imports.iter().map(|id| id.0);
        let found = jobs::table.filter(jobs::id.eq_any(jobs)).select(jobs::import_id);
        ids.extend(found.load::<i64>(&mut connection).await?);
    }
    Ok(ids)
}

async fn lock_imports(mut connection: &AsyncPgConnection, ids: &BTreeSet<i64>) -> Result<Vec<Import>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = imports::table
        .filter(imports::id.eq_any(Vec::from_iter(ids)))
        .order(imports::id)
        .select(ImportRow::as_select())
        .for_no_key_update();
    query.load(&mut connection).await?.into_iter().map(Import::try_from).collect()
}

/// Locks the jobs that are named, and those of the imports that are locked.
async fn lock_jobs(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
    imports: &BTreeSet<i64>,
) -> Result<Vec<Job>, Error> {
    let ids = needs.jobs.iter().chain(&needs.beating).chain(&needs.jobs_with_imports);
    let ids: Vec<i64> = ids.collect::<BTreeSet<_>>().into_iter().map(|id| id.0).collect();
    let locked: Vec<JobRow> = if !imports.is_empty() {
        let of = Vec::from_iter(imports);
        let query = jobs::table.filter(jobs::id.eq_any(ids).or(jobs::import_id.eq_any(of)));
        let query = query.order(jobs::id).select(JobRow::as_select()).for_no_key_update();
        query.load(&mut connection).await?
    } else if !ids.is_empty() {
        // Not `= ANY`: of heartbeats there are thousands, and a row that somebody else has changed meanwhile would be
        // compared with each of them.
        let query = jobs::table.filter(jobs::id.eq_any(diesel::select(unnest(ids)))).order(jobs::id);
        query.select(JobRow::as_select()).for_no_key_update().load(&mut connection).await?
    } else {
        Vec::new()
    };
    locked.into_iter().map(Job::try_from).collect()
}

/// Reads imports that are not locked: after the lock of the jobs, so that a start sees the import as it is when the job
/// becomes its own.
async fn read_imports(mut connection: &AsyncPgConnection, ids: Vec<i64>) -> Result<Vec<Import>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = imports::table.filter(imports::id.eq_any(ids)).select(ImportRow::as_select());
    query.load(&mut connection).await?.into_iter().map(Import::try_from).collect()
}

/// The imports of locked jobs that are looked at, and not known yet.
fn imports_of_jobs(needs: &Needs, rows: &Snapshot) -> Vec<i64> {
    let of: BTreeSet<ImportId> =
        rows.jobs.values().filter(|job| needs.import_of(job)).map(|job| job.import_id).collect();
    of.iter().filter(|id| !rows.imports.contains_key(id)).map(|id| id.0).collect()
}

fn keep_imports(read: Vec<Import>, rows: &mut Snapshot) {
    for import in read {
        rows.names.insert(import.unique_name.clone(), import.id);
        rows.imports.insert(import.id, import);
    }
}

/// Finds the imports that have the names and sources that are asked for.
async fn find_taken(
    mut connection: &AsyncPgConnection,
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
    let mut taken: Vec<ImportRow> = same_name.load(&mut connection).await?;

    let import_named = |name: &_| rows.imports.get(rows.names.get(name)?);
    let mut keys = Needs::updated_sources(commands, import_named, policy);
    keys.extend(needs.new_sources.iter().cloned());
    // The expressions of the unique indexes, whose values are what `Source::key` says. Key by key (OFFSET 0 keeps it so):
    // of `= ANY`, and a table that was not analyzed yet, PostgreSQL thinks that most rows match, and reads all of them.
    let by_key = diesel::sql_query(
        "SELECT id FROM unnest($1) AS key CROSS JOIN LATERAL (
             SELECT id FROM imports
             WHERE regexp_replace(url, '^([a-z][a-z0-9+.-]*://)[^/@]*@', '\\1') = key OFFSET 0) AS found
         UNION ALL
         SELECT id FROM unnest($2) AS root CROSS JOIN LATERAL (
             SELECT id, root || ' ' || cvs_module AS key FROM imports
             WHERE regexp_replace(cvs_root, '^(:[a-z]+:)[^/@]*@', '\\1') = root OFFSET 0) AS found
         WHERE key = ANY ($1)",
    );
    let roots: BTreeSet<&str> = keys.iter().filter_map(|key| Some(key.split_once(' ')?.0)).collect();
    let by_key =
        by_key.bind::<Array<Text>, _>(Vec::from_iter(&keys)).bind::<Array<Text>, _>(Vec::from_iter(roots));
    let ids: Vec<i64> = by_key.load::<Id>(&mut connection).await?.into_iter().map(|row| row.id).collect();
    let by_source = imports::table.filter(imports::id.eq_any(ids)).select(ImportRow::as_select());
    taken.extend(by_source.load::<ImportRow>(&mut connection).await?);
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
    mut connection: &AsyncPgConnection,
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
    for (job, import, run, status) in query.load::<(i64, i64, Uuid, String)>(&mut connection).await? {
        let status = Corrupt { table: "results", id: &job }.parse("status", &status)?;
        rows.past.insert(JobId(job), Past { import: ImportId(import), run: RunId(run), status });
    }
    Ok(())
}

async fn lock_hearing(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let query = hearing::table.select((hearing::heard, hearing::since));
    let row: Option<(Timestamp, Timestamp)> = if needs.echo {
        query.for_no_key_update().first(&mut connection).await.optional()?
    } else if needs.hearing {
        query.first(&mut connection).await.optional()?
    } else {
        None
    };
    rows.hearing = row.map(|(heard, since)| Hearing { heard, since });
    Ok(())
}

/// People by name, with every team that they are in, directly or through another team.
pub(super) async fn people(
    mut connection: &AsyncPgConnection,
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
    let found: Vec<Row> = query.bind::<Array<Text>, _>(names).load(&mut connection).await?;
    let person = |row: Row| {
        let corrupt = Corrupt { table: "people", id: &row.name };
        let teams = row.teams.iter().map(|team| corrupt.parse("team", team)).collect::<Result<_, _>>()?;
        let name: crate::domain::PersonName = corrupt.parse("name", &row.name)?;
        Ok((name.clone(), Person { name, is_team: row.is_team, teams }))
    };
    found.into_iter().map(person).collect()
}

async fn draw_ids(mut connection: &AsyncPgConnection, needs: &Needs) -> Result<VecDeque<Fresh>, Error> {
    if needs.fresh == 0 {
        return Ok(VecDeque::new());
    }
    let count = i64::try_from(needs.fresh).unwrap_or(i64::MAX);
    let fresh = |(job, result)| Fresh { job: JobId(job), result: ResultId(result) };
    let drawn: Vec<(i64, i64)> = DrawFresh(count).load(&mut connection).await?;
    Ok(drawn.into_iter().map(fresh).collect())
}

async fn draw_import_ids(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
) -> Result<VecDeque<ImportId>, Error> {
    if needs.new_imports == 0 {
        return Ok(VecDeque::new());
    }
    let count = i64::try_from(needs.new_imports).unwrap_or(i64::MAX);
    let drawn: Vec<i64> = DrawImportIds(count).load(&mut connection).await?;
    Ok(drawn.into_iter().map(ImportId).collect())
}
