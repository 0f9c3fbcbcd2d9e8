//! What is found at the end: in the database, in the queues, in the repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use code_imports::store::Store;
use serde_json::Value;
use tokio::process::Command;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::history::At;
use crate::process::until;
use crate::world::World;

/// A result.
#[derive(Clone, Debug)]
pub(crate) struct ResultRow {
    pub(crate) import: i64,
    pub(crate) job: i64,
    pub(crate) run: Uuid,
    pub(crate) machine: String,
    pub(crate) status: String,
    pub(crate) started: At,
    pub(crate) ended: At,
}

/// A run that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) import: i64,
    pub(crate) run: Uuid,
    pub(crate) started: At,
}

/// An entry of the event log.
#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    pub(crate) epoch: Uuid,
    pub(crate) kind: String,
    pub(crate) import: Option<i64>,
    pub(crate) date: At,
}

/// A transaction of refs, as the witness saw it.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) repository: String,
    pub(crate) job: i64,
    /// Whether it claims the repository for the job, instead of moving refs for it.
    pub(crate) is_claim: bool,
    /// Microseconds.
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) results: Vec<ResultRow>,
    pub(crate) running: Vec<Running>,
    pub(crate) events: Vec<EventRow>,
    /// The next id of the event log.
    pub(crate) next_event: i64,
    pub(crate) applied_commands: BTreeSet<String>,
    pub(crate) moved: Vec<Moved>,
    /// Messages in each queue at the end.
    pub(crate) queues: BTreeMap<String, u64>,
    /// MiB of each process.
    pub(crate) memory: BTreeMap<String, u64>,
    /// Connections at each server.
    pub(crate) connections: BTreeMap<String, u64>,
    /// Section 3, in words.
    pub(crate) broken: Vec<String>,
}

impl Evidence {
    /// Reads everything.
    pub(crate) async fn read(world: &World) -> Self {
        let client = world.database.connect().await.expect("the database answers at the end");
        // Coordinators go on meanwhile: all of it must be of one moment.
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
        let mut evidence = Self {
            results: results(&client).await,
            running: running(&client).await,
            events: events(&client).await,
            moved: moved(&world.directory).await,
            ..Self::default()
        };
        evidence.next_event =
            client.query_one("SELECT next_id FROM event_counter", &[]).await.unwrap().get(0);
        let commands = client.query("SELECT message_id FROM applied_commands", &[]).await.unwrap();
        evidence.applied_commands = commands.iter().map(|row| row.get(0)).collect();
        client.batch_execute("COMMIT").await.unwrap();
        evidence.read_usage(world, &client).await;
        let mut store = Store::connect(&world.database.url().parse().unwrap(), "referee").await.unwrap();
        evidence.broken = store.broken_invariants().await.unwrap();
        evidence
    }

    async fn read_usage(&mut self, world: &World, client: &Client) {
        for coordinator in &world.coordinators {
            let memory = coordinator.memory().await.expect("a coordinator runs at the end");
            self.memory.insert(coordinator.name.clone(), memory);
        }
        let query =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name <> '' AND datname = 'code_imports'";
        let connections: i64 = client.query_one(query, &[]).await.unwrap().get(0);
        self.connections.insert("PostgreSQL".to_owned(), connections.unsigned_abs());
        // A queue of which nothing is known yet is found missing.
        self.queues = answered(async || world.broker.messages().await).await;
        let connections = list(world, "connections").await.len() as u64;
        self.connections.insert("RabbitMQ".to_owned(), connections);
        let memory = list(world, "nodes").await[0]["mem_used"].as_u64().expect("the node is measured");
        self.memory.insert("RabbitMQ".to_owned(), memory / (1024 * 1024));
    }
}

/// What the console lists at a path.
async fn list(world: &World, path: &str) -> Vec<Value> {
    let list = answered(async || world.broker.get(path).await).await;
    list.as_array().expect("it is a list").clone()
}

/// Asks the console until it answers; at the end it does.
async fn answered<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut answer = None;
    let asking = until(Duration::from_secs(30), async || {
        answer = ask().await;
        answer.is_some()
    });
    asking.await;
    answer.expect("the console answers at the end")
}

/// A moment, as the queries here write it: microseconds.
fn at(microseconds: i64) -> At {
    DateTime::from_timestamp_micros(microseconds).unwrap()
}

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

async fn results(client: &Client) -> Vec<ResultRow> {
    let query = "SELECT import_id, job_id, run::text, machine, status,
        (extract(epoch FROM date_job_started) * 1000000)::bigint,
        (extract(epoch FROM date_created) * 1000000)::bigint FROM results";
    let rows = client.query(query, &[]).await.unwrap();
    let row = |row: &Row| ResultRow {
        import: row.get(0),
        job: row.get(1),
        run: uuid(row.get(2)),
        machine: row.get(3),
        status: row.get(4),
        started: at(row.get(5)),
        ended: at(row.get(6)),
    };
    rows.iter().map(row).collect()
}

async fn running(client: &Client) -> Vec<Running> {
    let query = "SELECT import_id, run::text, (extract(epoch FROM date_started) * 1000000)::bigint
        FROM jobs WHERE state = 'RUNNING'";
    let rows = client.query(query, &[]).await.unwrap();
    let row = |row: &Row| Running { import: row.get(0), run: uuid(row.get(1)), started: at(row.get(2)) };
    rows.iter().map(row).collect()
}

async fn events(client: &Client) -> Vec<EventRow> {
    let query = "SELECT id, epoch::text, event_type, import_id,
        (extract(epoch FROM date_created) * 1000000)::bigint FROM events ORDER BY id";
    let rows = client.query(query, &[]).await.unwrap();
    let row = |row: &Row| EventRow {
        id: row.get(0),
        epoch: uuid(row.get(1)),
        kind: row.get(2),
        import: row.get(3),
        date: at(row.get(4)),
    };
    rows.iter().map(row).collect()
}

/// Reads what the witness wrote down of every transaction that went well.
async fn moved(directory: &Path) -> Vec<Moved> {
    let mut moved = Vec::new();
    for entry in std::fs::read_dir(directory.join("transactions")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "times") {
            continue;
        }
        let times = std::fs::read_to_string(&path).unwrap();
        let words: Vec<&str> = times.split_whitespace().collect();
        let input = std::fs::read_to_string(path.with_extension("input")).unwrap_or_default();
        let [begun, ended, "0", repository] = words[..] else { continue };
        let Some((is_claim, blob)) = job_blob(&input) else { continue };
        let blob =
            Command::new("git").args(["--git-dir", repository, "cat-file", "blob", blob]).output().await;
        let blob = String::from_utf8(blob.unwrap().stdout).unwrap();
        let Ok(job) = blob.trim().parse() else { continue };
        let (begun, ended) = (begun.parse().unwrap(), ended.parse().unwrap());
        moved.push(Moved { repository: repository.to_owned(), job, is_claim, begun, ended });
    }
    moved
}

/// Which job a transaction is of, and whether it is that job's claim.
fn job_blob(input: &str) -> Option<(bool, &str)> {
    let line = |verb: &str| {
        input.lines().find_map(|line| line.strip_prefix(&format!("{verb} refs/code-imports/job ")))
    };
    let first = |words: &'_ str| words.split(' ').next().map(str::len);
    let claim = line("update").or(line("create"));
    let (is_claim, words) = match claim {
        Some(words) => (true, words),
        None => (false, line("verify")?),
    };
    Some((is_claim, &words[..first(words)?]))
}
