//! A database with people in it, the program on it, and a worker that the test plays.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command as Process, Output, Stdio};

use code_imports::domain::{Beat, Hostname, ImportId, JobId, Report, RunId, RunRef, Status};
use code_imports::store::Store;
use code_imports::workflow::{Command, Outcome, Policy};
use serde_json::Value;
use uuid::Uuid;

use crate::common::Database;

/// An admin, an operator, two members of the team that owns things, and somebody with no rights.
const PEOPLE: &str = "
    INSERT INTO people (name, display_name, is_team) VALUES
        ('ann', 'Ann Admin', false), ('david', 'David Allouche', false), ('olga', 'Olga Owner', false),
        ('no-priv', 'No Privileges Person', false), ('gnome', 'The GNOME team', true);
    INSERT INTO team_members VALUES ('admins', 'ann'), ('vcs-imports', 'david'), ('gnome', 'olga')";

pub(crate) const NAME: &str = "~gnome/gnome-terminal/import";
pub(crate) const MACHINE: &str = "bazaar-importer";

pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) store: Store,
    /// The attempt that the test makes, as a worker.
    run: RunId,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = Database::new().await;
        database.client().await.batch_execute(PEOPLE).await.unwrap();
        let store = database.store().await;
        Self { database, store, run: RunId(Uuid::now_v7()) }
    }

    /// Runs the program as somebody, with these words, and waits for its end.
    pub(crate) fn run(&self, user: &str, words: &str) -> Ended {
        self.program(user, words).output().unwrap().into()
    }

    /// Starts the program as somebody; its lines are read as they come.
    pub(crate) fn start(&self, user: &str, words: &str) -> Started {
        Started::of(self.program(user, words))
    }

    fn program(&self, user: &str, words: &str) -> Process {
        let mut program = program(words);
        program.env("DATABASE_URL", &self.database.url).env("CODE_IMPORTS_USER", user);
        program
    }

    /// Registers the import of most tests, owned by a team; the id of its job is told.
    pub(crate) fn register(&self) -> JobId {
        let words =
            format!("import register {NAME} --rcs git --url https://me:secret@a.org/b --owner gnome --json");
        let made = self.run("david", &words).json();
        JobId(made["job"].as_i64().unwrap())
    }

    /// Makes so many imports behind the workflow's back, called `~OWNER/m/i1` and so on; they have no jobs.
    pub(crate) async fn many(&self, owner: &str, host: &str, status: &str, count: i64) {
        let many = "INSERT INTO imports
                (unique_name, registrant, owner, rcs_type, url, review_status, date_created)
            SELECT format('~%s/m/i%s', $1::text, n), 'david', $1, 'GIT', format('https://%s/%s', $2::text, n), $3, now()
            FROM generate_series(1, $4::bigint) AS n";
        self.database.client().await.execute(many, &[&owner, &host, &status, &count]).await.unwrap();
    }

    /// A worker starts the job.
    pub(crate) async fn start_job(&mut self, job: JobId) {
        let run = self.reference(job).await;
        self.apply(Command::Start { run, machine: machine() }).await;
    }

    /// A worker says what the run printed.
    pub(crate) async fn beat(&mut self, job: JobId, log_tail: &str) {
        let run = self.reference(job).await;
        let beats = vec![Beat { run, log_tail: log_tail.to_owned() }];
        self.apply(Command::Heartbeat { machine: machine(), is_idle: false, beats }).await;
    }

    /// A worker says how the run ended.
    pub(crate) async fn finish(&mut self, job: JobId, status: Status, reason: &str) {
        let run = self.reference(job).await;
        let report = Report { reason: Some(reason.to_owned()), ..Report::of(status) };
        self.apply(Command::Finish { run, machine: machine(), report }).await;
    }

    /// A machine says that it is there, and does nothing.
    pub(crate) async fn speak(&mut self) {
        self.speak_as(MACHINE).await;
    }

    /// The same of another machine.
    pub(crate) async fn speak_as(&mut self, machine: &str) {
        let machine = machine.parse().unwrap();
        self.apply(Command::Heartbeat { machine, is_idle: true, beats: Vec::new() }).await;
    }

    async fn reference(&self, job: JobId) -> RunRef {
        let query = "SELECT import_id FROM jobs WHERE id = $1";
        let row = self.database.client().await.query_one(query, &[&job.0]).await.unwrap();
        RunRef { job, import: ImportId(row.get(0)), run: self.run }
    }

    async fn apply(&mut self, command: Command) {
        let outcome = self.store.apply(&[command], &Policy::default()).await.unwrap().pop();
        assert!(matches!(outcome, Some(Outcome::Applied(_))), "{outcome:?}");
    }
}

/// The program with these words, and nothing in its environment.
pub(crate) fn program(words: &str) -> Process {
    let mut program = Process::new(env!("CARGO_BIN_EXE_code-imports"));
    program.env_clear().stdin(Stdio::null()).args(words.split_whitespace());
    program
}

fn machine() -> Hostname {
    MACHINE.parse().unwrap()
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    /// What it printed; it must have gone well.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// The one document that it printed; it must have gone well.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// What it said went wrong, with this exit code and nothing on standard output.
    #[track_caller]
    pub(crate) fn wrong(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        self.stderr
    }
}

/// A program that runs.
pub(crate) struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Started {
    /// Starts it.
    pub(crate) fn of(mut program: Process) -> Self {
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that it prints.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").unwrap()
    }

    /// Waits for its end; what it had not yet printed is told.
    pub(crate) fn end(self) -> Ended {
        let rest: Vec<String> = self.lines.map(Result::unwrap).collect();
        let output = self.child.wait_with_output().unwrap();
        Ended { stdout: rest.join("\n"), ..Ended::from(output) }
    }

    /// Interrupts it as a terminal does, and waits for its end.
    pub(crate) fn interrupt(self) -> Ended {
        let id = self.child.id().to_string();
        let killed = Process::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(killed.success());
        self.end()
    }
}
