//! A database with people, and words to say to its store.

use code_imports::domain::source::SourceInput;
use code_imports::domain::{
    Beat, Hostname, Import, ImportId, Job, JobId, RcsType, Report, RunId, RunRef, Status, UniqueName,
};
use code_imports::store::Store;
use code_imports::workflow::{Act, Ask, Command, Outcome, Policy, Registration};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::common::Database;

pub(crate) const OPERATOR: &str = "david.allouche";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) policy: Policy,
    pub(crate) database: Database,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = Database::new().await;
        let client = database.client().await;
        let people = "INSERT INTO people (name, display_name) VALUES
                ('david.allouche', 'David Allouche'), ('no-priv', 'No Privileges Person');
            INSERT INTO team_members (team, member) VALUES ('vcs-imports', 'david.allouche')";
        client.batch_execute(people).await.unwrap();
        let store = database.store().await;
        Self { store, client, policy: Policy::default(), database }
    }

    /// A world with so many imports, each with a PENDING job that is due, and their jobs.
    pub(crate) async fn with_imports(count: usize) -> (Self, Vec<Job>) {
        let mut world = Self::new().await;
        let commands: Vec<_> =
            (0..count).map(|n| register(&name(n), &format!("https://a.org/{n}"), None)).collect();
        world.apply_all(&commands).await;
        let mut jobs = Vec::new();
        for n in 0..count {
            jobs.push(world.job_of(&name(n)).await.unwrap());
        }
        (world, jobs)
    }

    pub(crate) async fn apply(&mut self, command: Command) -> Outcome {
        self.apply_all(&[command]).await.remove(0)
    }

    pub(crate) async fn apply_all(&mut self, commands: &[Command]) -> Vec<Outcome> {
        self.store.apply(commands, &self.policy).await.unwrap()
    }

    pub(crate) async fn import(&mut self, name: &str) -> Option<Import> {
        let viewer = self.store.person(&OPERATOR.parse().unwrap()).await.unwrap().unwrap();
        self.store.import(&viewer, &name.parse().unwrap()).await.unwrap()
    }

    pub(crate) async fn job_of(&mut self, name: &str) -> Option<Job> {
        let import = self.import(name).await?;
        self.store.job_of(&import).await.unwrap()
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// The single number that a query gives.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    /// The partitions of a table, by name.
    pub(crate) async fn partitions(&self, parent: &str) -> Vec<String> {
        let query = "SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = ($1::text)::regclass ORDER BY 1";
        let rows = self.client.query(query, &[&parent]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn drop_partitions(&self, parent: &str) {
        for name in self.partitions(parent).await {
            self.sql(&format!("DROP TABLE {name}")).await;
        }
    }

    pub(crate) async fn check_invariants(&mut self) {
        assert_eq!(self.store.broken_invariants().await.unwrap(), Vec::<String>::new());
    }
}

pub(crate) fn name(n: usize) -> String {
    format!("~david.allouche/project/{n}")
}

pub(crate) fn ask(message_id: Option<&str>, act: Act) -> Command {
    let message_id = message_id.map(str::to_owned);
    Command::Ask(Ask { user: OPERATOR.parse().unwrap(), message_id, act })
}

pub(crate) fn register(name: &str, url: &str, message_id: Option<&str>) -> Command {
    let source = SourceInput { url: Some(url.to_owned()), ..SourceInput::default() };
    ask(message_id, registration(name, RcsType::Git, source))
}

pub(crate) fn registration(name: &str, rcs_type: RcsType, source: SourceInput) -> Act {
    Act::Register(Registration {
        unique_name: name.parse().unwrap(),
        rcs_type,
        source,
        owner: None,
        review_status: None,
        update_interval: None,
    })
}

pub(crate) fn request(name: &str) -> Command {
    ask(None, Act::Request { import: unique_name(name) })
}

pub(crate) fn unique_name(name: &str) -> UniqueName {
    name.parse().unwrap()
}

pub(crate) fn machine() -> Hostname {
    "bazaar-importer".parse().unwrap()
}

/// What a worker names when it speaks of this job; each job has one run.
pub(crate) fn said(job: JobId, import: ImportId) -> RunRef {
    RunRef { job, import, run: RunId(Uuid::from_u128(u128::try_from(job.0).unwrap())) }
}

pub(crate) fn start(job: &Job) -> Command {
    Command::Start { run: said(job.id, job.import_id), machine: machine() }
}

pub(crate) fn beat(job: &Job, log_tail: &str) -> Command {
    let beats = vec![Beat { run: said(job.id, job.import_id), log_tail: log_tail.to_owned() }];
    Command::Heartbeat { machine: machine(), is_idle: false, beats }
}

pub(crate) fn finish(job: &Job, status: Status) -> Command {
    let run = said(job.id, job.import_id);
    Command::Finish { run, machine: machine(), report: Report::of(status) }
}

pub(crate) fn is_applied(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied(_))
}

/// The code of a refusal; nothing when it is none.
pub(crate) fn code(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Rejected(rejection) => rejection.code(),
        Outcome::Applied(_) | Outcome::Repeated(_) => "",
    }
}
