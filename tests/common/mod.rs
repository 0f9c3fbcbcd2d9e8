//! What every test of the real parts needs: a database and a virtual host of its own.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; one that cannot go on panics")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use code_imports::store::{DatabaseUrl, Retention, Store};
use tokio_postgres::{Client, NoTls};

/// A database of one test, made from a migrated template and dropped at the end.
#[derive(Debug)]
pub(crate) struct Database {
    /// Where it is.
    pub(crate) url: String,
    name: String,
}

impl Database {
    /// Makes a database at the server of the environment.
    pub(crate) async fn new() -> Self {
        let template = template().await;
        let name = format!("code_imports_test_{}", uuid::Uuid::new_v4().simple());
        admin().await.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        Self { url: url_of(&name), name }
    }

    /// Where it is, for the program.
    pub(crate) fn database_url(&self) -> DatabaseUrl {
        self.url.parse().unwrap()
    }

    /// A store on a connection of its own.
    pub(crate) async fn store(&self) -> Store {
        Store::connect(&self.database_url(), "test").await.unwrap()
    }

    /// A plain connection, for what goes behind the workflow's back.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A runtime of its own, since this one may be the one that is ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { admin().await.batch_execute(&statement).await })
        });
        // One that is left over harms nobody, and a panic here would hide the test's own.
        drop(dropping.join());
    }
}

/// The template that holds the migrations as they are now; whoever comes first makes it.
async fn template() -> String {
    let name = format!("code_imports_template_{:016x}", hash_of_migrations());
    let admin = admin().await;
    let is_there = async || {
        let query = "SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate";
        admin.query_opt(query, &[&name]).await.unwrap().is_some()
    };
    if is_there().await {
        return name;
    }
    admin.batch_execute("SELECT pg_advisory_lock(7001)").await.unwrap();
    if !is_there().await {
        let make = format!("DROP DATABASE IF EXISTS {name}");
        admin.batch_execute(&make).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let url: DatabaseUrl = url_of(&name).parse().unwrap();
        Store::migrate(&url).await.unwrap();
        let mut store = Store::connect(&url, "template").await.unwrap();
        store.make_partitions(Retention::default()).await.unwrap();
        drop(store);
        admin.batch_execute(&format!("ALTER DATABASE {name} IS_TEMPLATE true")).await.unwrap();
    }
    admin.batch_execute("SELECT pg_advisory_unlock(7001)").await.unwrap();
    name
}

fn hash_of_migrations() -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("up.sql")).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    // Partitions are made for the days to come, so a template does not last for ever.
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .div_euclid(864_000)
        .hash(&mut hasher);
    hasher.finish()
}

async fn admin() -> Client {
    connect(&url_of("postgres")).await
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The server of the environment, with this database.
fn url_of(database: &str) -> String {
    let url = setting("DATABASE_URL");
    let (server, _) = url.rsplit_once('/').expect("DATABASE_URL names a database");
    format!("{server}/{database}")
}

/// A virtual host of one test, deleted at its end.
#[derive(Debug)]
pub(crate) struct Vhost {
    /// Where it is, for `AmqpUrls`.
    pub(crate) url: String,
    /// What it is called.
    pub(crate) name: String,
}

impl Vhost {
    /// Makes a virtual host at the broker of the environment.
    pub(crate) fn new() -> Self {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        let amqp = setting("AMQP_URL");
        let server = amqp.match_indices('/').nth(2).map_or(amqp.as_str(), |(end, _)| &amqp[..end]);
        let vhost = Self { url: format!("{server}/{name}"), name };
        put(&format!("vhosts/{}", vhost.name), "{}");
        let all = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
        put(&format!("permissions/{}/{}", vhost.name, account().0), all);
        vhost
    }

    /// Binds a queue named `full` that has no room: the broker refuses whatever is published with this key.
    pub(crate) fn add_full_queue(&self, exchange: &str, key: &str) {
        let full = r#"{"arguments": {"x-max-length": 0, "x-overflow": "reject-publish"}}"#;
        put(&format!("queues/{}/full", self.name), full);
        let path = format!("bindings/{}/e/{exchange}/q/full", self.name);
        let request = ureq::post(console(&path)).header("Authorization", &authorization());
        let body = format!(r#"{{"routing_key": "{key}"}}"#);
        request.content_type("application/json").send(body).expect("the console takes it");
    }

    /// Deletes something of it by the management API: `queues`, `/name`.
    pub(crate) fn delete(&self, things: &str, which: &str) {
        let path = format!("{things}/{}{which}", self.name);
        let request = ureq::delete(console(&path)).header("Authorization", &authorization());
        // One that is left over harms nobody, and a panic here would hide the test's own.
        drop(request.call());
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.delete("vhosts", "");
    }
}

pub(crate) fn put(path: &str, body: &str) {
    let request = ureq::put(console(path)).header("Authorization", &authorization());
    request.content_type("application/json").send(body).expect("the console takes it");
}

pub(crate) fn console(path: &str) -> String {
    format!("{}/api/{path}", setting("AMQP_CONSOLE_URL").trim_end_matches('/'))
}

/// The account of AMQP_URL, which also administers the broker.
fn account() -> (String, String) {
    let url = setting("AMQP_URL");
    let account =
        url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).expect("AMQP_URL has an account").0;
    let (name, password) = account.split_once(':').expect("AMQP_URL has a password");
    (name.to_owned(), password.to_owned())
}

pub(crate) fn authorization() -> String {
    let (name, password) = account();
    format!("Basic {}", data_encoding::BASE64.encode(format!("{name}:{password}").as_bytes()))
}

pub(crate) fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; type `make services`, and export what it prints"))
}
