//! Whatever is said, PostgreSQL holds what the rules say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
mod model;

use std::cell::RefCell;

use chrono::TimeDelta;
use code_imports::domain::source::SourceInput;
use code_imports::domain::{Import, Job, Source, Timestamp};
use code_imports::store::Store;
use code_imports::workflow::{Act, Ask, Command, Hearing, Outcome, Reply};
use common::Database;
use model::memory::Memory;
use model::words::{Step, commands, steps};
use proptest::test_runner::{Config, TestRunner};
use tokio_postgres::Client;

#[test]
fn the_store_answers_and_holds_what_the_rules_say() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pair = RefCell::new(runtime.block_on(Pair::new()));
    let config = Config {
        cases: Config::default().cases / 32,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let story = |steps: Vec<Step>| {
        let pair = &mut *pair.borrow_mut();
        runtime.block_on(async {
            pair.begin().await;
            for step in &steps {
                if !pair.take(step).await {
                    break;
                }
            }
        });
        Ok(())
    };
    TestRunner::new(config).run(&steps(60), story).unwrap();
}

/// The same rows twice: in memory, and in PostgreSQL.
struct Pair {
    memory: Memory,
    store: Store,
    client: Client,
    /// So much time passed by moving all dates back.
    passed: TimeDelta,
    events: usize,
    _database: Database,
}

impl Pair {
    async fn new() -> Self {
        let database = Database::new().await;
        let client = database.client().await;
        // Nobody pulls the plug of this database.
        let name: String = client.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
        let hasty =
            format!("ALTER DATABASE {name} SET synchronous_commit = off; SET synchronous_commit = off");
        client.batch_execute(&hasty).await.unwrap();
        let memory = Memory::new();
        for person in memory.people.values() {
            let (name, is_team) = (person.name.as_str(), person.is_team);
            let query = "INSERT INTO people (name, display_name, is_team) VALUES ($1, $1, $2)";
            client.execute(query, &[&name, &is_team]).await.unwrap();
        }
        for person in memory.people.values() {
            for team in &person.teams {
                let query = "INSERT INTO team_members (team, member) VALUES ($1, $2)";
                client.execute(query, &[&team.as_str(), &person.name.as_str()]).await.unwrap();
            }
        }
        let store = database.store().await;
        Self { memory, store, client, passed: TimeDelta::zero(), events: 0, _database: database }
    }

    /// Begins a story with nothing but people.
    async fn begin(&mut self) {
        let clean = "DELETE FROM jobs; DELETE FROM results; DELETE FROM imports; DELETE FROM machines;
            DELETE FROM events; DELETE FROM applied_commands; DELETE FROM hearing;
            UPDATE event_counter SET next_id = 1; ALTER SEQUENCE imports_id_seq RESTART;
            ALTER SEQUENCE jobs_id_seq RESTART; ALTER SEQUENCE results_id_seq RESTART;";
        self.client.batch_execute(clean).await.unwrap();
        (self.memory, self.passed, self.events) = (Memory::new(), TimeDelta::zero(), 0);
    }

    /// Judges a step twice and compares. False if ids went apart, as they may when two imports exchange a
    /// source: in which order the database looks at them, nobody knows.
    async fn take(&mut self, step: &Step) -> bool {
        self.pass(step).await;
        let commands = commands(&step.words, &self.memory);
        let real: Vec<Command> = self.translated(&commands).await;
        let expected = self.memory.apply(&commands);
        let outcomes = self.store.apply(&real, &self.memory.policy).await.unwrap();
        if self.ids().await != self.memory.imports.keys().map(|id| id.0).collect::<Vec<_>>() {
            let is_new_source = |command: &&Command| match command {
                Command::Ask(Ask { act: Act::Update { update, .. }, .. }) => {
                    update.source != SourceInput::default()
                }
                _ => false,
            };
            assert!(commands.iter().filter(is_new_source).count() > 1, "ids went apart: {commands:#?}");
            return false;
        }
        for ((command, expected), outcome) in commands.iter().zip(&expected).zip(&outcomes) {
            assert_eq!(shown(expected), shown(outcome), "{command:?} of {commands:#?}");
        }
        self.compare_imports(&commands).await;
        self.compare_machines().await;
        self.compare_events().await;
        assert_eq!(self.store.broken_invariants().await.unwrap(), Vec::<String>::new());
        true
    }

    /// Lets time pass: in memory the clock goes on, in the database all dates go back.
    async fn pass(&mut self, step: &Step) {
        let by = step.seconds;
        self.passed += TimeDelta::seconds(by);
        let move_back = |table: &str, columns: &[&str]| {
            let sets: Vec<_> =
                columns.iter().map(|column| format!("{column} = {column} - interval '{by} s'")).collect();
            format!("UPDATE {table} SET {};", sets.join(", "))
        };
        if by > 0 {
            let imports = [
                "date_created",
                "date_last_successful",
                "date_source_changed",
                "last_date_job_started",
                "last_date_created",
            ];
            let jobs = ["date_created", "date_due", "date_dispatched", "date_started", "heartbeat"];
            let statements = [
                move_back("imports", &imports),
                move_back("jobs", &jobs),
                move_back("machines", &["date_state", "heartbeat"]),
                move_back("hearing", &["heard", "since"]),
            ];
            self.client.batch_execute(&statements.concat()).await.unwrap();
        }
        self.memory.now = self.store.now().await.unwrap() + self.passed;
        if step.listens {
            let since = self.memory.now - TimeDelta::days(1);
            self.memory.hearing = Some(Hearing { heard: self.memory.now, since });
            let (heard, since) = (self.real(self.memory.now), self.real(since));
            let set = format!(
                "INSERT INTO hearing (heard, since) VALUES ('{heard}', '{since}')
                 ON CONFLICT (is_only) DO UPDATE SET heard = EXCLUDED.heard, since = EXCLUDED.since"
            );
            self.client.batch_execute(&set).await.unwrap();
        }
    }

    /// What the database's clock says at this moment of the memory's.
    fn real(&self, moment: Timestamp) -> Timestamp {
        moment - self.passed
    }

    /// The same commands, with the database's dates.
    async fn translated(&self, commands: &[Command]) -> Vec<Command> {
        let mut real = commands.to_vec();
        for command in &mut real {
            match command {
                Command::Echo { sent } => *sent = self.real(*sent),
                Command::Undispatch { job, date_dispatched } => {
                    let query = "SELECT to_char(date_dispatched AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
                         FROM jobs WHERE id = $1";
                    let row = self.client.query_opt(query, &[&job.0]).await.unwrap();
                    let mark: Option<String> = row.and_then(|row| row.get(0));
                    if let Some(mark) = mark {
                        *date_dispatched = mark.parse().unwrap();
                    }
                }
                _ => {}
            }
        }
        real
    }

    async fn ids(&self) -> Vec<i64> {
        let rows = self.client.query("SELECT id FROM imports ORDER BY id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Imports with their jobs.
    async fn compare_imports(&self, commands: &[Command]) {
        let query = "SELECT concat_ws('|', i.id, unique_name, registrant, owner, i.rcs_type,
                coalesce(url, cvs_root || ' ' || cvs_module), review_status,
                coalesce(update_interval_seconds, -1), consecutive_failure_count,
                consecutive_infrastructure_failure_count, last_job_id, last_run, last_status, j.id, j.state,
                requesting_user, machine, run, log_tail),
            ARRAY[i.date_created, date_last_successful, date_source_changed, last_date_job_started,
                last_date_created, date_due, date_dispatched, date_started, heartbeat]
            FROM imports i LEFT JOIN jobs j ON j.import_id = i.id ORDER BY i.id";
        let expected = self.memory.imports.values().map(|import| self.row_of(import));
        self.compare(query, expected.collect(), &format!("{commands:#?}")).await;
    }

    fn row_of(&self, import: &Import) -> (String, Vec<Option<Timestamp>>) {
        let (job, last) = (self.memory.job_of(import.id), import.last_result.as_ref());
        let run = job.and_then(Job::run);
        let words = [
            Some(import.id.to_string()),
            Some(import.unique_name.to_string()),
            Some(import.registrant.to_string()),
            Some(import.owner.to_string()),
            Some(import.rcs_type.to_string()),
            Some(match &import.source {
                Source::Url(url) => url.clone(),
                Source::Cvs { root, module } => format!("{root} {module}"),
            }),
            Some(import.review_status.to_string()),
            Some(import.update_interval.map_or(-1, |interval| interval.num_seconds()).to_string()),
            Some(import.consecutive_failure_count.to_string()),
            Some(import.consecutive_infrastructure_failure_count.to_string()),
            last.map(|last| last.job_id.to_string()),
            last.map(|last| last.run.to_string()),
            last.map(|last| last.status.to_string()),
            job.map(|job| job.id.to_string()),
            job.map(|job| job.state_name().to_string()),
            job.and_then(|job| job.requesting_user.as_ref()).map(ToString::to_string),
            run.map(|run| run.machine.to_string()),
            run.map(|run| run.id.to_string()),
            run.map(|run| run.log_tail.clone()),
        ];
        let dates = vec![
            Some(import.date_created),
            import.date_last_successful,
            import.date_source_changed,
            last.map(|last| last.date_job_started),
            last.map(|last| last.date_created),
            job.map(|job| job.date_due),
            job.and_then(|job| job.date_dispatched),
            run.map(|run| run.date_started),
            run.map(|run| run.heartbeat),
        ];
        (words.into_iter().flatten().collect::<Vec<_>>().join("|"), dates)
    }

    async fn compare_machines(&self) {
        let query = "SELECT concat_ws('|', hostname, state, offline_reason), ARRAY[date_state, heartbeat]
            FROM machines ORDER BY hostname";
        let expected = self.memory.machines.values().map(|machine| {
            let reason = machine.state.offline_reason().map(|reason| format!("|{reason}"));
            let words =
                format!("{}|{}{}", machine.hostname, machine.state.name(), reason.unwrap_or_default());
            (words, vec![Some(machine.date_state), machine.heartbeat])
        });
        self.compare(query, expected.collect(), "machines").await;
        let hearing = self.memory.hearing.iter();
        let expected = hearing.map(|it| (String::new(), vec![Some(it.heard), Some(it.since)]));
        self.compare("SELECT '', ARRAY[heard, since] FROM hearing", expected.collect(), "hearing").await;
    }

    /// Rows must be the same; dates may be some seconds apart, since the clock of the database goes on.
    async fn compare(&self, query: &str, expected: Vec<(String, Vec<Option<Timestamp>>)>, what: &str) {
        let query = format!(
            "SELECT words, ARRAY(SELECT (extract(epoch FROM date) * 1000000)::bigint FROM unnest(dates) AS date)
             FROM ({query}) AS rows (words, dates)"
        );
        let rows = self.client.query(&query, &[]).await.unwrap();
        assert_eq!(rows.len(), expected.len(), "{what}");
        for (row, (words, dates)) in rows.iter().zip(&expected) {
            assert_eq!(row.get::<_, String>(0), *words, "{what}");
            let found: Vec<Option<i64>> = row.get(1);
            for (found, date) in found.iter().zip(dates) {
                let date = date.map(|date| self.real(date).timestamp_micros());
                let is_same = match (found, date) {
                    (Some(found), Some(date)) => (found - date).abs() < 5_000_000,
                    (None, None) => true,
                    _ => false,
                };
                assert!(is_same, "{words}: {found:?} is not {date:?}; {what}");
            }
        }
    }

    /// What happened in this step, in order.
    async fn compare_events(&mut self) {
        let from = i64::try_from(self.events).unwrap();
        let found = self.store.events_after(from, 1000).await.unwrap();
        let expected = &self.memory.events[self.events..];
        let hidden = |event: &code_imports::domain::NewEvent| {
            let mut event = event.clone();
            event.data.remove("DURATION_SECONDS"); // a second may begin between the two
            event
        };
        let found: Vec<_> = found.iter().map(|event| hidden(&event.what)).collect();
        let expected: Vec<_> = expected.iter().map(|(_, event)| hidden(event)).collect();
        assert_eq!(found, expected);
        self.events = self.memory.events.len();
    }
}

/// An outcome without its dates.
fn shown(outcome: &Outcome) -> String {
    let reply = |reply: &Reply| match reply {
        Reply::Started(import) => format!("started {} {:?}", import.unique_name, import.source),
        Reply::Dispatched { job, import } => format!("dispatched {} {}", job.id, import.unique_name),
        other => format!("{other:?}"),
    };
    match outcome {
        Outcome::Applied(applied) => format!("applied {}", reply(applied)),
        Outcome::Repeated(repeated) => format!("repeated {}", reply(repeated)),
        Outcome::Rejected(rejection) => format!("{} {rejection}", rejection.code()),
    }
}
