//! A fresh database and a fresh virtual host for each run, so that no run inherits another's dead rows or queues.

use anyhow::Context as _;
use lapin::uri::AMQPUri;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::console::request;
use super::process::Serve;
use crate::broker::Broker;
use crate::store::{Retention, Store};

/// Where PostgreSQL and RabbitMQ are.
#[derive(Clone, Debug)]
pub struct Servers {
    database: String,
    amqp: AMQPUri,
    console: (String, u16),
}

/// A database and a virtual host of one run.
#[derive(Debug)]
pub struct Place {
    servers: Servers,
    name: String,
    /// The database, for the program.
    pub database_url: String,
    /// The virtual host, for the program.
    pub amqp_url: String,
}

impl Servers {
    /// Reads where they are. All that a bench makes there has names of its own; nothing else is touched.
    pub fn new(database: &str, amqp: &str, console: &str) -> anyhow::Result<Self> {
        let amqp: AMQPUri = amqp.parse().map_err(|error| anyhow::anyhow!("AMQP_URL: {error}"))?;
        let expected = "AMQP_CONSOLE_URL: expected http://host:port, the broker's console";
        let address = console.trim_end_matches('/').strip_prefix("http://").context(expected)?;
        let (host, port) = address.rsplit_once(':').context(expected)?;
        let console = (host.to_owned(), port.parse().context(expected)?);
        Ok(Self { database: database.to_owned(), amqp, console })
    }

    /// Makes a database with the schema of today, and a virtual host with our topology.
    pub async fn place(&self) -> anyhow::Result<Place> {
        let name = format!("code_imports_bench_{}", Uuid::new_v4().simple());
        let sql = self.sql("postgres").await?;
        sql.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let database_url = self.database_url(&name)?;
        let url = database_url.parse()?;
        Store::migrate(&url).await?;
        Store::connect(&url, "bench").await?.make_partitions(Retention::default()).await?;
        self.console("PUT", &format!("/api/vhosts/{name}"), "{}").await?;
        let login = &self.amqp.authority.userinfo.username;
        let all = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
        self.console("PUT", &format!("/api/permissions/{name}/{login}"), all).await?;
        let mut amqp = self.amqp.clone();
        amqp.vhost.clone_from(&name);
        let place = Place { servers: self.clone(), name, database_url, amqp_url: amqp.to_string() };
        let broker = place.broker()?;
        broker.declare().await?;
        broker.close().await;
        Ok(place)
    }

    async fn sql(&self, database: &str) -> anyhow::Result<Client> {
        connect(&self.database_url(database)?).await
    }

    fn database_url(&self, database: &str) -> anyhow::Result<String> {
        let (server, _) = self.database.rsplit_once('/').context("DATABASE_URL names no database")?;
        Ok(format!("{server}/{database}"))
    }

    async fn console(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let (host, port) = &self.console;
        let login = &self.amqp.authority.userinfo;
        request((host, *port), method, path, Some((&login.username, &login.password)), body).await
    }
}

impl Place {
    /// A plain connection to the database.
    pub async fn sql(&self) -> anyhow::Result<Client> {
        connect(&self.database_url).await
    }

    /// The broker, as the program knows it.
    pub fn broker(&self) -> anyhow::Result<Broker> {
        Ok(Broker::new(self.amqp_url.parse()?, "code-imports", "bench"))
    }

    /// Starts the coordinator here, and waits until it is ready.
    pub async fn serve(&self) -> anyhow::Result<Serve> {
        Serve::start(&self.database_url, &self.amqp_url).await
    }

    /// How many messages were published to it, as its console has counted a few seconds later.
    pub async fn published(&self) -> anyhow::Result<i64> {
        let answer = self.servers.console("GET", &format!("/api/vhosts/{}", self.name), "").await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        answer["message_stats"]["publish"].as_i64().context("the console has counted no message")
    }

    /// Removes it. What a run that failed leaves behind is called `code_imports_bench_…` on both servers.
    pub async fn close(self) -> anyhow::Result<()> {
        self.servers.console("DELETE", &format!("/api/vhosts/{}", self.name), "").await?;
        let sql = self.servers.sql("postgres").await?;
        sql.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await?;
        Ok(())
    }
}

/// A plain connection.
pub(super) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("PostgreSQL")?;
    // It ends with the client.
    tokio::spawn(connection);
    Ok(client)
}
