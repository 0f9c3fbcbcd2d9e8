//! `doctor`: each illness is made for real, and it says what is wrong and what to type.

use serde_json::{Value, json};

use crate::common::{Vhost, authorization, console, put};
use crate::world::{Ended, NAME, World, program};

/// A system that is well, as far as one can be without a coordinator.
struct Patient {
    world: World,
    vhost: Vhost,
}

impl Patient {
    async fn new() -> Self {
        let patient = Self { world: World::new().await, vhost: Vhost::new() };
        let declared = program("topology apply").env("AMQP_URL", &patient.vhost.url).output().unwrap();
        assert!(declared.status.success(), "{declared:?}");
        patient
    }

    /// The same, with an import that is REVIEWED and has its job, and three events.
    async fn with_an_import() -> Self {
        let patient = Self::new().await;
        patient.world.register();
        patient.world.run("david", &format!("import request {NAME}")).text();
        patient.world.run("david", &format!("import update {NAME} --interval 2h")).text();
        patient
    }

    async fn sql(&self, statements: &str) {
        self.world.database.client().await.batch_execute(statements).await.unwrap();
    }

    fn ask(&self, words: &str) -> Ended {
        ask_at(&self.world.database.url, &self.vhost.url, words)
    }

    /// It says that something is wrong with these words, and what to type.
    #[track_caller]
    fn complains(&self, what: &str, remedy: &str) {
        complains(&self.ask(""), "wrong", what, remedy);
    }
}

fn ask_at(database: &str, broker: &str, words: &str) -> Ended {
    let mut program = program(&format!("doctor {words}"));
    program.env("DATABASE_URL", database).env("AMQP_URL", broker).output().unwrap().into()
}

#[track_caller]
fn complains(ended: &Ended, gravity: &str, what: &str, remedy: &str) {
    let lines: Vec<&str> = ended.stdout.lines().map(str::trim).collect();
    let is_told = lines.windows(2).any(|pair| {
        pair[0].starts_with(&format!("{gravity}: "))
            && pair[0].contains(what)
            && pair[1] == format!("type: {remedy}")
    });
    assert!(is_told, "{what:?} with {remedy:?} is not in\n{}", ended.stdout);
    assert_eq!(ended.code, i32::from(gravity == "wrong"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_well_exits_0_with_notes() {
    let patient = Patient::with_an_import().await;
    for words in ["", "--thorough"] {
        let told = patient.ask(words).text();
        assert!(told.contains("ok     invariants: every import, job and result\n"), "{told}");
        assert!(told.contains("ok     event log: 3 events\n"), "{told}");
        assert!(told.contains("       note: there is no synchronous standby"), "{told}");
        assert!(told.ends_with("Nothing is wrong.\n"), "{told}");
    }
    let document = patient.ask("--json").json();
    assert_eq!(document["is_well"], true);
    let checks: Vec<&str> =
        document["examinations"].as_array().unwrap().iter().filter_map(|it| it["check"].as_str()).collect();
    let expected = ["postgresql", "clock", "schema", "activity", "permissions", "partitions", "invariants"];
    assert_eq!(checks[..7], expected);
    assert_eq!(checks[7..], ["event log", "rabbitmq", "topology", "queues", "account"]);
    assert!(patient.ask("--fast").wrong(2).contains("--fast"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_and_the_other_is_looked_at() {
    let patient = Patient::new().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let ended = ask_at(nowhere, &patient.vhost.url, "--json");
    assert_eq!(ended.code, 1);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["is_well"], false);
    let first = &document["examinations"][0]["findings"][0];
    assert!(first["what"].as_str().unwrap().starts_with("cannot connect to PostgreSQL"), "{first}");
    assert!(first["remedy"].as_str().unwrap().contains("DATABASE_URL"), "{first}");
    assert_eq!(document["examinations"][1]["check"], "rabbitmq");

    let ended = ask_at(&patient.world.database.url, "amqp://a:b@127.0.0.1:1/c", "");
    let remedy = "rabbitmqctl status, on its host; see AMQP_URL for host, account and virtual host";
    complains(&ended, "wrong", "cannot connect to RabbitMQ", remedy);
    assert!(ended.stdout.contains("ok     invariants"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_missing_or_otherwise_is_told() {
    let patient = Patient::new().await;
    patient.vhost.delete("queues", "/code-imports.finish");
    patient.vhost.delete("exchanges", "/code-imports.events");
    let missing = "there is no exchange code-imports.events, no queue code-imports.finish";
    patient.complains(missing, "code-imports topology apply");
    // Classic, not quorum.
    put(&format!("queues/{}/code-imports.finish", patient.vhost.name), r#"{"durable": true}"#);
    let remedy = "empty and delete it, and code-imports topology apply; or use another --prefix";
    patient.complains("code-imports.finish is not as it is declared: PRECONDITION_FAILED", remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_takes_are_told() {
    let patient = Patient::new().await;
    let publish = |exchange: &str, key: &str| {
        let path = console(&format!("exchanges/{}/code-imports.{exchange}/publish", patient.vhost.name));
        let body =
            json!({"routing_key": key, "payload": "{}", "payload_encoding": "string", "properties": {}});
        ureq::post(path)
            .header("Authorization", &authorization())
            .send_json(body)
            .expect("the console takes it");
    };
    publish("rejected", "");
    publish("work", "git");
    let until_told = async |what: &str| {
        // What is published is not counted at once.
        while !patient.ask("").stdout.contains(what) {
            tokio::task::yield_now().await;
        }
        patient.ask("")
    };
    let ended = until_told("1 messages were rejected").await;
    complains(&ended, "note", "1 messages were rejected", "code-imports rejected list");
    let ended = until_told("no worker takes GIT").await;
    let remedy = "code-imports worker, on a machine that imports it";
    complains(&ended, "note", "1 jobs wait in code-imports.work.git", remedy);
    complains(&ended, "note", "nobody consumes code-imports.start", "code-imports serve");
    publish("worker", "finish");
    let ended = until_told("1 messages lie").await;
    let what = "1 messages lie in code-imports.finish, and nobody takes them";
    complains(&ended, "wrong", what, "code-imports serve");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_too_little_is_told() {
    let patient = Patient::new().await;
    let vhost = &patient.vhost.name;
    put(&format!("users/{vhost}"), r#"{"password": "secret", "tags": ""}"#);
    let little = r#"{"configure": "start$", "write": "(start|events)$", "read": "(start|worker)$"}"#;
    put(&format!("permissions/{vhost}/{vhost}"), little);
    let (_, server) = patient.vhost.url.split_once('@').unwrap();
    let ended = ask_at(&patient.world.database.url, &format!("amqp://{vhost}:secret@{server}"), "");
    let account = console(&format!("users/{vhost}"));
    ureq::delete(account).header("Authorization", &authorization()).call().expect("the console deletes it");
    let told = &ended.stdout;
    for what in [
        "configure code-imports.finish",
        "configure code-imports.events",
        "read code-imports.finish",
        "write code-imports.rejected",
        "write the default exchange, for answers",
    ] {
        assert!(
            told.contains(&format!("wrong: the account {vhost} may not {what}\n")),
            "{what} is not in\n{told}"
        );
    }
    for what in ["configure code-imports.start", "read code-imports.start", "write code-imports.events"] {
        assert!(!told.contains(&format!("may not {what}\n")), "{what} is in\n{told}");
    }
    assert!(
        told.contains(&format!("type: rabbitmqctl set_permissions -p '{vhost}' '{vhost}' '^(")),
        "{told}"
    );
    // It asked in ways that cannot succeed.
    assert!(!told.contains("messages"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_too_little_is_told() {
    let patient = Patient::new().await;
    let role = format!("limited_{}", uuid::Uuid::new_v4().simple());
    let make = format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}; GRANT INSERT, UPDATE ON jobs TO {role};"
    );
    patient.sql(&make).await;
    let (_, server) = patient.world.database.url.split_once('@').unwrap();
    let ended = ask_at(&format!("postgres://{role}@{server}"), &patient.vhost.url, "");
    patient.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role};")).await;
    complains(
        &ended,
        "wrong",
        &format!("{role} has no DELETE on jobs"),
        &format!("GRANT DELETE ON jobs TO {role};"),
    );
    let insert = format!("GRANT INSERT ON events TO {role};");
    complains(&ended, "wrong", &format!("{role} has no INSERT on events"), &insert);
    // To draw ids is not enough: `after-restore` moves the sequences.
    let update = format!("GRANT UPDATE ON SEQUENCE jobs_id_seq TO {role};");
    complains(&ended, "wrong", &format!("{role} has no UPDATE on SEQUENCE jobs_id_seq"), &update);
    let own = format!("ALTER TABLE results OWNER TO {role};");
    complains(&ended, "wrong", &format!("{role} does not own results"), &own);
    let create = format!("GRANT CREATE ON SCHEMA public TO {role};");
    complains(&ended, "wrong", &format!("{role} may not create partitions"), &create);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_version_is_told() {
    let patient = Patient::new().await;
    patient.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001')").await;
    let ended = patient.ask("");
    complains(
        &ended,
        "note",
        "the migration 20991231000001 was run by a later",
        "install that version here too",
    );
    patient.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    patient.complains("migrations were not run: 2026-11-24-000001_create_people", "code-imports migrate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_loses_what_was_answered_is_told() {
    let patient = Patient::new().await;
    let name = patient.world.database.url.rsplit('/').next().unwrap().to_owned();
    patient.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let remedy = format!("ALTER DATABASE {name} SET synchronous_commit = on;");
    patient.complains("synchronous_commit is off", &remedy);
}

/// What every program of this database takes for the clock from its next connection on.
const AN_HOUR_AHEAD: &str = "
    CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql
        AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$;
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
    END $$";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told() {
    let patient = Patient::new().await;
    patient.sql(AN_HOUR_AHEAD).await;
    let remedy = "timedatectl set-ntp true, on whichever host is wrong";
    patient.complains(" s ahead of this host's", remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_lasted_too_long_is_told() {
    let patient = Patient::with_an_import().await;
    let client = patient.world.database.client().await;
    client.batch_execute("SET application_name = 'code-imports reaper 0.0.1'; BEGIN").await.unwrap();
    let id: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    patient.sql("INSERT INTO hearing (heard, since) VALUES (now(), now())").await;
    let ended = patient.ask("");
    let what = format!("a program of version 0.0.1 is connected, and this is {}", env!("CARGO_PKG_VERSION"));
    complains(&ended, "note", &what, "end the upgrade: start it again with this version");

    patient.sql(AN_HOUR_AHEAD).await;
    let what = format!("a transaction has been open for 60 minutes: code-imports reaper 0.0.1 (pid {id},");
    patient.complains(&what, &format!("SELECT pg_terminate_backend({id});"));
    let remedy = "code-imports topology apply; then curl http://127.0.0.1:8080/readyz";
    patient.complains("the coordinator has not heard itself for 36", remedy);
    let remedy = "code-imports serve; if one runs: curl http://127.0.0.1:8080/readyz";
    patient.complains("event 1 has not been published for 36", remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_missing_or_stray_are_told() {
    let patient = Patient::new().await;
    let make = "code-imports migrate (and see that `code-imports serve` runs: its housekeeping makes them)";
    let statement = "DO $$ BEGIN
        EXECUTE format('DROP TABLE results_%s', to_char(now() AT TIME ZONE 'UTC' + interval '3 days', 'YYYYMMDD'));
        END $$; CREATE TABLE results_stray PARTITION OF results DEFAULT;";
    patient.sql(statement).await;
    patient.complains("1 partitions of results are missing; results_2", make);
    let detach = "ALTER TABLE results DETACH PARTITION results_stray;";
    patient.complains("results_stray is a default partition", detach);

    patient.sql("CREATE TABLE events_far PARTITION OF events FOR VALUES FROM (90000000) TO (91000000)").await;
    let holder = "CREATE TABLE events_20000001 PARTITION OF events FOR VALUES FROM (20000001) TO (90000000);";
    patient.complains("no partition of events holds the ids from 20000001 to 89999999", holder);
    patient.sql("DROP TABLE events_far; UPDATE event_counter SET next_id = 20000001").await;
    patient.complains("the partitions of events end at 20000001", make);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_half_detached_is_told() {
    let patient = Patient::new().await;
    // Whoever reads the table holds up the second half, and the limit ends the wait for them.
    let mut reader = patient.world.database.client().await;
    let reading = reader.transaction().await.unwrap();
    reading.execute("SELECT count(*) FROM events", &[]).await.unwrap();
    let client = patient.world.database.client().await;
    client.batch_execute("SET lock_timeout = '200ms'").await.unwrap();
    let detached = client.batch_execute("ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY").await;
    assert!(detached.is_err(), "it waits for the reader");
    drop(reading);
    let remedy = "ALTER TABLE events DETACH PARTITION events_1 FINALIZE;";
    patient.complains("events_1 is half detached", remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_break_section_3_are_told() {
    let patient = Patient::with_an_import().await;
    let review =
        format!("code-imports import update {NAME} --status SUSPENDED; the same with --status REVIEWED");
    patient.sql("UPDATE jobs SET rcs_type = 'SVN'").await;
    patient.complains(&format!("the job of {NAME} is for SVN and its import is GIT"), &review);
    patient.sql("UPDATE jobs SET rcs_type = 'GIT'; UPDATE imports SET review_status = 'INVALID'").await;
    let remedy =
        format!("code-imports import update {NAME} --status REVIEWED; the same with --status INVALID");
    patient.complains(&format!("{NAME} is INVALID and has a PENDING job"), &remedy);
    patient.sql("DELETE FROM jobs; UPDATE imports SET review_status = 'REVIEWED'").await;
    patient.complains(&format!("{NAME} is REVIEWED and has no job"), &review);
    // And what it says mends it.
    patient.world.run("david", &format!("import update {NAME} --status SUSPENDED")).text();
    patient.world.run("david", &format!("import update {NAME} --status REVIEWED")).text();
    patient.ask("").text();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_two_results_is_told() {
    let mut patient = Patient::new().await;
    let job = patient.world.register();
    patient.world.start_job(job).await;
    let result = "INSERT INTO results
        (id, import_id, job_id, run, machine, status, date_job_started, date_created, log_excerpt)
        SELECT nextval('results_id_seq'), import_id, id, run, machine, 'SUCCESS', date_started, now(), '' FROM jobs";
    patient.sql(result).await;
    patient.complains(
        &format!("of {NAME} is RUNNING and has a result"),
        &format!("code-imports job kill {job}"),
    );
    patient.sql(result).await;
    let remedy = format!("SELECT * FROM results WHERE job_id = {job}; and DELETE the later one");
    patient.complains(" has 2 results", &remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_in_the_event_log_is_told() {
    let patient = Patient::with_an_import().await;
    let remedy = "stop every `code-imports serve`, and code-imports after-restore";
    patient.sql("UPDATE event_cursor SET last_id = 9").await;
    patient.complains("the log ends at 3, and is published up to 9", remedy);
    patient.sql("UPDATE event_cursor SET last_id = 0; DELETE FROM events WHERE id = 2").await;
    patient.complains("there is no event 2, and there are later ones", remedy);
    patient.sql("DELETE FROM events WHERE id = 1").await;
    patient.complains("the log begins with event 3, and is published up to 0 only", remedy);
    patient.sql("UPDATE event_counter SET next_id = 9").await;
    patient.complains("the counter stands at 9, and the last event is 3", remedy);
    let epoch = "INSERT INTO event_epochs (epoch, first_id) VALUES (gen_random_uuid(), 4)";
    patient.sql(epoch).await;
    patient.complains("the counter is not in the newest epoch", remedy);
    patient.sql("UPDATE events SET epoch = (SELECT epoch FROM event_epochs WHERE first_id = 4)").await;
    patient.complains("event 3 is of another epoch than the counter's", remedy);
}
