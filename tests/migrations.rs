//! The schema goes up, down and up again, and every CHECK refuses what it must.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use code_imports::store::Store;
use common::Database;
use tokio_postgres::Client;

/// Columns, constraints and indexes, as the catalogue has them.
async fn schema(client: &Client) -> Vec<String> {
    let query =
        "SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn migrations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

async fn run(client: &Client, migration: &Path, file: &str) {
    let statements = std::fs::read_to_string(migration.join(file)).unwrap();
    client.batch_execute(&statements).await.unwrap_or_else(|error| {
        panic!("{} {file}: {:?}", migration.display(), error.as_db_error());
    });
}

/// Seed 401 of the chaos: a coordinator that was starting while PostgreSQL was killed left for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_whose_connection_is_lost_did_not_fail_by_itself() {
    let database = Database::new().await;
    let holder = database.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE __diesel_schema_migrations").await.unwrap();
    let url = database.database_url();
    let migrating = tokio::spawn(async move { Store::migrate(&url).await });
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let admin = database.client().await;
    while admin.query_one(end, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
    let error = migrating.await.unwrap().unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_up_down_and_up_again() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
    let all = migrations();
    for migration in &all {
        run(&client, migration, "up.sql").await;
    }
    let up = schema(&client).await;
    for migration in all.iter().rev() {
        run(&client, migration, "down.sql").await;
    }
    assert_eq!(schema(&client).await, Vec::<String>::new());
    for migration in &all {
        run(&client, migration, "up.sql").await;
    }
    assert_eq!(schema(&client).await, up);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_is_done_once_and_says_what_it_did() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
    let url = database.database_url();
    assert_eq!(Store::missing_migrations(&url).await.unwrap().len(), migrations().len());
    // Whoever comes second waits, and finds it done.
    let migrate = |url| tokio::spawn(async move { Store::migrate(&url).await.unwrap().len() });
    let (one, two) = (migrate(url.clone()), migrate(url.clone()));
    assert_eq!(one.await.unwrap() + two.await.unwrap(), migrations().len());
    assert_eq!(Store::missing_migrations(&url).await.unwrap(), Vec::<String>::new());
}

/// A row of each table that is right, and for each constraint what makes it wrong.
const GOOD: &[&str] = &[
    "INSERT INTO people (name, display_name) VALUES ('ann', 'Ann')",
    "INSERT INTO machines (hostname, state, date_state) VALUES ('m', 'ONLINE', now())",
    "INSERT INTO imports (id, unique_name, registrant, owner, rcs_type, url, review_status, date_created)
     VALUES (1, '~ann/a/b', 'ann', 'ann', 'GIT', 'https://a.org/b', 'REVIEWED', now()),
         (2, '~ann/a/c', 'ann', 'ann', 'GIT', 'https://a.org/c', 'REVIEWED', now())",
    "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due) VALUES
         (1, 1, 'GIT', 'PENDING', now(), now())",
    "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due, machine, run, date_started,
         heartbeat, log_tail)
     VALUES (2, 2, 'GIT', 'RUNNING', now(), now(), 'm', gen_random_uuid(), now(), now(), '')",
    "INSERT INTO results (id, import_id, job_id, run, machine, status, date_job_started, date_created, log_excerpt)
     VALUES (1, 1, 9, gen_random_uuid(), 'm', 'SUCCESS', now(), now(), '')",
    "INSERT INTO events (id, epoch, date_created, event_type, data)
     SELECT 1, epoch, now(), 'ONLINE', '{}' FROM event_epochs",
    "INSERT INTO applied_commands (message_id) VALUES ('m')",
    "INSERT INTO hearing (heard, since) VALUES (now(), now())",
];

const BAD: &[(&str, &str)] = &[
    ("name_is_plain", "UPDATE people SET name = 'Ann' WHERE name = 'ann'"),
    ("name_is_plain", "UPDATE people SET name = '-a' WHERE name = 'ann'"),
    ("name_is_plain", "UPDATE people SET name = E'a\\nb' WHERE name = 'ann'"),
    ("name_is_plain", "UPDATE people SET name = repeat('a', 101) WHERE name = 'ann'"),
    ("nobody_is_their_own_member", "INSERT INTO team_members VALUES ('admins', 'admins')"),
    ("hostname_is_plain", "UPDATE machines SET hostname = 'a b'"),
    ("machines_state_check", "UPDATE machines SET state = 'AWAY'"),
    ("machines_offline_reason_check", "UPDATE machines SET state = 'OFFLINE', offline_reason = 'TIRED'"),
    ("reason_iff_offline", "UPDATE machines SET state = 'OFFLINE'"),
    ("reason_iff_offline", "UPDATE machines SET offline_reason = 'STOPPED'"),
    ("unique_name_has_three_parts", "UPDATE imports SET unique_name = '~ann/a' WHERE id = 1"),
    ("unique_name_has_three_parts", "UPDATE imports SET unique_name = '~ann/../c' WHERE id = 1"),
    (
        "unique_name_has_three_parts",
        "UPDATE imports SET unique_name = '~ann/a/' || repeat('b', 200) WHERE id = 1",
    ),
    ("source_fits_rcs", "UPDATE imports SET rcs_type = 'CVS' WHERE id = 1"),
    ("source_fits_rcs", "UPDATE imports SET url = NULL WHERE id = 1"),
    ("source_fits_rcs", "UPDATE imports SET cvs_module = 'm' WHERE id = 1"),
    ("source_fits_rcs", "UPDATE imports SET rcs_type = 'CVS', url = NULL, cvs_root = 'r' WHERE id = 1"),
    ("source_is_short", "UPDATE imports SET url = repeat('a', 2001) WHERE id = 1"),
    ("imports_rcs_type_check", "UPDATE imports SET rcs_type = 'RCS' WHERE id = 1"),
    ("imports_review_status_check", "UPDATE imports SET review_status = 'reviewed' WHERE id = 1"),
    ("imports_update_interval_seconds_check", "UPDATE imports SET update_interval_seconds = 0 WHERE id = 1"),
    ("imports_consecutive_failure_count_check", "UPDATE imports SET consecutive_failure_count = -1"),
    (
        "imports_consecutive_infrastructure_failure_count_check",
        "UPDATE imports SET consecutive_infrastructure_failure_count = -1",
    ),
    ("last_result_is_whole", "UPDATE imports SET last_job_id = 1"),
    ("imports_last_status_check", "UPDATE imports SET last_status = 'LOST'"),
    (
        "last_run_ends_after_its_start",
        "UPDATE imports SET last_job_id = 1, last_run = gen_random_uuid(), last_status = 'SUCCESS',
         last_date_job_started = now(), last_date_created = now() - interval '1 s'",
    ),
    ("jobs_rcs_type_check", "UPDATE jobs SET rcs_type = 'git'"),
    ("jobs_state_check", "UPDATE jobs SET state = 'DONE' WHERE id = 1"),
    ("run_iff_running", "UPDATE jobs SET machine = 'm' WHERE id = 1"),
    ("run_iff_running", "UPDATE jobs SET state = 'RUNNING' WHERE id = 1"),
    ("run_iff_running", "UPDATE jobs SET state = 'PENDING' WHERE id = 2"),
    ("run_iff_running", "UPDATE jobs SET log_tail = NULL WHERE id = 2"),
    ("heartbeat_follows_start", "UPDATE jobs SET heartbeat = date_started - interval '1 us' WHERE id = 2"),
    ("log_tail_is_short", "UPDATE jobs SET log_tail = repeat('é', 2049) WHERE id = 2"),
    ("results_status_check", "UPDATE results SET status = 'LOST'"),
    ("ends_after_its_start", "UPDATE results SET date_job_started = date_created + interval '1 us'"),
    ("stats_are_an_object", "UPDATE results SET stats = '[]'"),
    ("events_event_type_check", "UPDATE events SET event_type = 'BIRTHDAY'"),
    ("import_has_its_name", "UPDATE events SET import_id = 1"),
    ("import_has_its_name", "UPDATE events SET unique_name = '~ann/a/b'"),
    ("data_is_an_object", "UPDATE events SET data = '\"x\"'"),
    ("event_counter_next_id_check", "UPDATE event_counter SET next_id = 0"),
    ("event_counter_is_only_check", "UPDATE event_counter SET is_only = false"),
    ("event_cursor_last_id_check", "UPDATE event_cursor SET last_id = -1"),
    ("event_cursor_is_only_check", "UPDATE event_cursor SET is_only = false"),
    ("applied_commands_message_id_check", "UPDATE applied_commands SET message_id = repeat('m', 256)"),
    ("hearing_is_only_check", "UPDATE hearing SET is_only = false"),
    ("since_is_before_heard", "UPDATE hearing SET since = heard + interval '1 us'"),
];

/// What is unique, or refers to something: the rest of what the database keeps by itself.
const UNIQUE: &[(&str, &str)] = &[
    (
        "jobs_import_id_key",
        "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due)
         VALUES (99, 1, 'GIT', 'PENDING', now(), now())",
    ),
    ("jobs_import_id_fkey", "DELETE FROM imports WHERE id = 1"),
    ("imports_unique_name_key", "UPDATE imports SET unique_name = '~ann/a/b' WHERE id = 2"),
    ("imports_url", "UPDATE imports SET url = 'https://me:secret@a.org/b' WHERE id = 2"),
    ("imports_owner_fkey", "UPDATE imports SET owner = 'nobody' WHERE id = 1"),
    (
        "event_counter_has_one_row",
        "INSERT INTO event_counter (epoch, next_id) SELECT epoch, 5 FROM event_epochs",
    ),
    ("event_cursor_has_one_row", "INSERT INTO event_cursor (last_id) VALUES (5)"),
    ("applied_commands_pkey", "INSERT INTO applied_commands (message_id) VALUES ('m')"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_constraint_refuses_what_it_must() {
    let database = Database::new().await;
    let client = database.client().await;
    for statement in GOOD {
        client.batch_execute(statement).await.unwrap();
    }
    for (constraint, statement) in BAD.iter().chain(UNIQUE) {
        let Err(error) = client.batch_execute(statement).await else {
            panic!("{constraint} let this pass: {statement}");
        };
        let error = error.as_db_error().unwrap();
        assert_eq!(error.constraint(), Some(*constraint), "{statement}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_is_tried() {
    let database = Database::new().await;
    let client = database.client().await;
    let query = "SELECT conname::text FROM pg_constraint WHERE contype = 'c' AND coninhcount = 0
        AND connamespace = 'public'::regnamespace";
    let there: BTreeSet<String> =
        client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let tried: BTreeSet<String> = BAD.iter().map(|(constraint, _)| (*constraint).to_owned()).collect();
    assert_eq!(there, tried);
}
