//! A database, a virtual host and a directory of one test, and the program in it.

use std::path::PathBuf;
use std::process::Command;

use code_imports::store::Store;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::audit::connect;
use crate::common::{Database, Vhost};
use crate::process::{Ended, Running, until};
use crate::server::Server;

/// The import that most tests are about.
pub(crate) const NAME: &str = "~vcs-imports/gnome-terminal/import";

/// Who acts: an operator.
pub(crate) const USER: &str = "david.allouche";

/// Everything of a test; what it starts is started with this environment.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) database_url: String,
    pub(crate) amqp_url: String,
    /// What is logged; nothing means what it is unless somebody says so.
    pub(crate) log: &'static str,
    /// What is started: the program, or the one of another release.
    pub(crate) executable: PathBuf,
    /// The database itself, whatever door the program is told of.
    database: String,
    _own: (Option<Database>, Option<Vhost>),
}

/// A coordinator that runs, and where it answers.
pub(crate) struct Coordinator {
    pub(crate) process: Running,
    http: String,
}

impl World {
    /// A world with an operator in it; exchanges and queues are there, and nothing runs.
    pub(crate) async fn new() -> Self {
        Self::on(None, None).await
    }

    /// The same, on servers of its own.
    pub(crate) async fn on(postgresql: Option<&Server>, rabbitmq: Option<&Server>) -> Self {
        let url = |server: Option<&Server>| server.map(|server| server.url.clone());
        Self::at(url(postgresql), url(rabbitmq)).await
    }

    /// The same, at these URLs.
    pub(crate) async fn at(database_url: Option<String>, amqp_url: Option<String>) -> Self {
        Self::made_by(env!("CARGO_BIN_EXE_code-imports").into(), database_url, amqp_url).await
    }

    /// The same, set up by this executable.
    pub(crate) async fn made_by(
        executable: PathBuf,
        database_url: Option<String>,
        amqp_url: Option<String>,
    ) -> Self {
        let own_database = if database_url.is_none() { Some(Database::new().await) } else { None };
        let own_vhost = amqp_url.is_none().then(Vhost::new);
        let database = database_url.or(own_database.as_ref().map(|own| own.url.clone())).unwrap();
        let amqp_url = amqp_url.or(own_vhost.as_ref().map(|own| own.url.clone())).unwrap();
        let (directory, database_url) = (tempfile::tempdir().unwrap(), database.clone());
        let world = Self {
            directory,
            database_url,
            amqp_url,
            log: "",
            executable,
            database,
            _own: (own_database, own_vhost),
        };
        world.run("migrate").await;
        world.run("topology apply").await;
        let people = "INSERT INTO people (name, display_name) VALUES ('david.allouche', 'David Allouche');
            INSERT INTO team_members VALUES ('vcs-imports', 'david.allouche')";
        world.sql().await.batch_execute(people).await.unwrap();
        world
    }

    /// The program with these words, and nothing in its environment but what it needs.
    pub(crate) fn program(&self, words: &str) -> Command {
        let mut program = Command::new(&self.executable);
        program.args(words.split_whitespace()).current_dir(self.directory.path()).env_clear();
        program.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.directory.path());
        program.env("DATABASE_URL", &self.database_url).env("AMQP_URL", &self.amqp_url);
        program.env("CODE_IMPORTS_LOG", self.log);
        program.env("CODE_IMPORTS_USER", USER).env("CODE_IMPORTS_ALLOWED_NETWORKS", "127.0.0.0/8");
        program
    }

    /// Starts the program with these words.
    pub(crate) fn start(&self, name: &str, words: &str) -> Running {
        Running::start(name, &self.program(words))
    }

    /// Runs the program with these words; it must go well.
    pub(crate) async fn run(&self, words: &str) -> Ended {
        let ended = self.start("cli", words).end().await;
        assert_eq!(ended.code, Some(0), "{words}: {}", ended.text());
        ended
    }

    /// The document that the program prints.
    pub(crate) async fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{words} --json")).await.text()).unwrap()
    }

    /// Starts a coordinator.
    pub(crate) fn serve(&self, name: &str, more: &str) -> Coordinator {
        let http = format!("127.0.0.1:{}", free_port());
        let process = self.start(name, &format!("serve --http {http} {more}"));
        Coordinator { process, http }
    }

    /// Starts a worker on a machine of this name.
    pub(crate) fn work(&self, machine: &str) -> Running {
        self.start(machine, &format!("worker --machine {machine} --targets targets"))
    }

    /// Registers an import, by the command line, and tells its id and its job's.
    pub(crate) async fn register(&self, name: &str, url: &str) -> (i64, i64) {
        let made = self.json(&format!("import register {name} --rcs git --url {url}")).await;
        (made["import_id"].as_i64().unwrap(), made["job"].as_i64().unwrap())
    }

    /// Asks for a run, and waits until it has gone well.
    pub(crate) async fn request_and_wait(&self, name: &str) {
        let ended = self.run(&format!("import request {name} --wait")).await;
        assert!(ended.text().contains("Status:  SUCCESS"), "{}", ended.text());
    }

    /// A connection to the database, past every door. It is not kept: the database may be restarted.
    pub(crate) async fn sql(&self) -> Client {
        self.try_sql().await.unwrap()
    }

    /// The same, where the database may be away.
    pub(crate) async fn try_sql(&self) -> Option<Client> {
        let (client, connection) = tokio_postgres::connect(&self.database, NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// One number, by SQL.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        self.sql().await.query_one(query, &[]).await.unwrap().get(0)
    }

    /// One text, by SQL.
    pub(crate) async fn text(&self, query: &str) -> String {
        self.sql().await.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Waits until a query gives this number, or more.
    pub(crate) async fn at_least(&self, expected: i64, query: &str) {
        until(query, async || (self.count(query).await >= expected).then_some(())).await;
    }

    /// How many messages lie in a queue.
    pub(crate) async fn ready_messages(&self, queue: &str) -> u32 {
        let channel = connect(&self.amqp_url).await.create_channel().await.unwrap();
        let queue = format!("code-imports.{queue}");
        let options = QueueDeclareOptions::durable().passive();
        let asked = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        asked.unwrap().message_count()
    }

    /// Section 3, after everything.
    pub(crate) async fn check_invariants(&self) {
        let mut store = Store::connect(&self.database.parse().unwrap(), "test").await.unwrap();
        assert_eq!(store.broken_invariants().await.unwrap(), Vec::<String>::new());
    }
}

impl Coordinator {
    /// What it answers at a path: the code, and the body if that is JSON.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let url = format!("http://{}/{path}", self.http);
        let asking = tokio::task::spawn_blocking(move || {
            let mut answer = ureq::get(url).config().http_status_as_error(false).build().call().ok()?;
            let body = answer.body_mut().read_to_string().ok()?;
            Some((answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::Null)))
        });
        asking.await.unwrap()
    }

    /// Waits until what it says of its readiness is as wanted, and gives that.
    pub(crate) async fn until_ready_says(&self, what: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let ask = async || self.get("readyz").await.filter(|(code, body)| wanted(*code, body));
        until(what, ask).await.1
    }

    /// Waits until every role works or stands by.
    pub(crate) async fn ready(&self) {
        self.until_ready_says("readiness", |code, _| code == 200).await;
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
