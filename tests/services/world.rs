//! A coordinator of one test, and what talks to it: a worker, an operator, a subscriber.

use std::collections::HashMap;
use std::time::Duration;

use code_imports::broker::ask::{Answers, DIRECT_REPLY_TO};
use code_imports::broker::publish::{Outgoing, Publisher};
use code_imports::broker::{Broker, Error, Exchange, Subscriber};
use code_imports::protocol::event::EventBody;
use code_imports::service::{Ended, Settings, serve};
use code_imports::store::Retention;
use code_imports::workflow::Policy;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::types::AMQPValue;
use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::common::{Database, Vhost};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The import that most tests are about.
pub(crate) const NAME: &str = "~vcs-imports/gnome-terminal/import";

pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) vhost: Vhost,
    pub(crate) settings: Settings,
    pub(crate) broker: Broker,
    pub(crate) sql: tokio_postgres::Client,
}

/// A running coordinator.
pub(crate) struct Coordinator {
    // Cancelled when it is dropped, too: a test that fails must not wait for its threads.
    shutdown: DropGuard,
    ended: JoinHandle<anyhow::Result<Ended>>,
}

impl World {
    /// A database with an operator and a bystander, and a virtual host; nothing runs yet.
    pub(crate) async fn new() -> Self {
        // Shown when the test fails.
        let log = tracing_subscriber::fmt().with_test_writer().with_env_filter("code_imports=debug");
        drop(log.try_init());
        let (database, vhost) = (Database::new().await, Vhost::new());
        let sql = database.client().await;
        let people = "INSERT INTO people (name, display_name) VALUES
                ('david.allouche', 'David Allouche'), ('no-priv', 'No Privileges Person'), ('coordinator', 'An account');
            INSERT INTO team_members VALUES ('vcs-imports', 'david.allouche')";
        sql.batch_execute(people).await.unwrap();
        let settings = Settings {
            database: database.database_url(),
            amqp: vhost.url.parse().unwrap(),
            prefix: "code-imports".to_owned(),
            policy: Policy::default(),
            heartbeat_interval: Duration::from_secs(30),
            retention: Retention::default(),
            window_min: 10,
            window_max: 5000,
            echo_interval: Duration::from_millis(300),
            verify_machines: false,
            http: None,
        };
        let broker = Broker::new(settings.amqp.clone(), &settings.prefix, "test");
        broker.declare().await.unwrap();
        Self { database, vhost, settings, broker, sql }
    }

    /// Starts a coordinator.
    pub(crate) fn serve(&self) -> Coordinator {
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(self.settings.clone(), shutdown.clone()));
        Coordinator { shutdown: shutdown.drop_guard(), ended }
    }

    pub(crate) async fn talker(&self) -> Talker {
        Talker::by(&self.broker).await
    }

    pub(crate) async fn events(&self) -> Events {
        Events { subscriber: self.broker.subscribe().await.unwrap() }
    }

    /// Takes the next message of a queue, with its headers as text.
    pub(crate) async fn take(&self, queue: &str) -> (Value, HashMap<String, String>) {
        let queue = format!("code-imports.{queue}");
        let connect =
            async || Connection::connect(&self.vhost.url, ConnectionProperties::default()).await.unwrap();
        let taking = async {
            let mut looks = tokio::time::interval(Duration::from_millis(50));
            let mut connection = connect().await;
            let mut channel = connection.create_channel().await.unwrap();
            loop {
                looks.tick().await;
                let Ok(got) = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await
                else {
                    // There is no such queue at the moment, and asking for it has closed the channel; lapin may lose
                    // the connection, too, when a channel is opened in that moment.
                    connection = connect().await;
                    channel = connection.create_channel().await.unwrap();
                    continue;
                };
                if let Some(got) = got {
                    got.delivery.ack(BasicAckOptions::default()).await.unwrap();
                    return got.delivery;
                }
            }
        };
        let delivery = within(&format!("a message in {queue}"), taking).await;
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let text = |value: &AMQPValue| match value {
            AMQPValue::LongString(text) => text.to_string(),
            other => format!("{other:?}"),
        };
        let headers = headers.inner().iter().map(|(key, value)| (key.to_string(), text(value))).collect();
        let body = serde_json::from_slice(&delivery.data)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&delivery.data).into_owned()));
        (body, headers)
    }

    /// One number, by SQL.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Waits until a query gives this number.
    pub(crate) async fn until(&self, query: &str, expected: i64) {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let waiting = async {
            while self.count(query).await != expected {
                looks.tick().await;
            }
        };
        within(query, waiting).await;
    }

    /// Section 3, after everything.
    pub(crate) async fn check_invariants(&self) {
        assert_eq!(self.database.store().await.broken_invariants().await.unwrap(), Vec::<String>::new());
    }
}

impl Coordinator {
    /// Tells it to stop, and says how it ended.
    pub(crate) async fn stop(self) -> Ended {
        self.shutdown.disarm().cancel();
        within("the coordinator's end", self.ended).await.unwrap().unwrap()
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(self) -> anyhow::Result<Ended> {
        within("the coordinator's end", self.ended).await.unwrap()
    }
}

/// Somebody who publishes, and hears the answers.
pub(crate) struct Talker {
    publisher: Publisher,
    answers: Answers,
    worker: String,
    commands: String,
    early: HashMap<String, Value>,
    /// The connection, if nobody else holds it.
    _broker: Option<Broker>,
}

impl Talker {
    async fn by(broker: &Broker) -> Self {
        let (publisher, answers) = broker.asking_publisher().await.unwrap();
        let exchange = |exchange| broker.topology.exchange(exchange);
        let (worker, commands) = (exchange(Exchange::Worker), exchange(Exchange::Commands));
        Self { publisher, answers, worker, commands, early: HashMap::new(), _broker: None }
    }

    /// Somebody with a connection of their own.
    pub(crate) async fn of(broker: Broker) -> Self {
        let talker = Self::by(&broker).await;
        Self { _broker: Some(broker), ..talker }
    }

    /// Says something as a worker, and waits for the answer.
    pub(crate) async fn ask(&mut self, word: &'static str, body: &Value) -> Value {
        let id = Uuid::new_v4().to_string();
        self.ask_as(&id, word, body).await
    }

    /// The same, with a message id that may have been used before.
    pub(crate) async fn ask_as(&mut self, id: &str, word: &'static str, body: &Value) -> Value {
        self.ask_with(Outgoing { message_id: id.to_owned(), ..outgoing(word, body) }).await
    }

    /// Says exactly this, and waits for the answer.
    pub(crate) async fn ask_with(&mut self, message: Outgoing) -> Value {
        let correlation = Uuid::new_v4().to_string();
        let (reply_to, correlation_id) = (Some(DIRECT_REPLY_TO.to_owned()), Some(correlation.clone()));
        self.publish(&Outgoing { reply_to, correlation_id, ..message }).await;
        self.answer(&correlation).await
    }

    /// Gives a command, and waits for the answer.
    pub(crate) async fn command(&mut self, body: Value) -> Value {
        self.ask("command", &body).await
    }

    /// Publishes without asking for an answer.
    pub(crate) async fn say(&self, word: &'static str, body: &Value) {
        self.publish(&outgoing(word, body)).await;
    }

    pub(crate) async fn publish(&self, message: &Outgoing) {
        self.try_publish(message).await.unwrap();
    }

    /// The same, where the broker may refuse.
    pub(crate) async fn try_publish(&self, message: &Outgoing) -> Result<(), Error> {
        let exchange = if message.routing_key == "command" { &self.commands } else { &self.worker };
        self.publisher.publish_all(exchange, std::slice::from_ref(message)).await
    }

    async fn answer(&mut self, correlation: &str) -> Value {
        loop {
            if let Some(answer) = self.early.remove(correlation) {
                return answer;
            }
            let answer = within("an answer", self.answers.next()).await.unwrap();
            let body = serde_json::from_slice(&answer.body).unwrap();
            self.early.insert(answer.correlation_id.unwrap(), body);
        }
    }

    /// Registers the import that most tests are about, and says its id and its job's.
    pub(crate) async fn register(&mut self, name: &str) -> (i64, i64) {
        let url = format!("https://me:s3cret@example.org/{name}.git");
        let body = json!({"type": "register", "import": name, "rcs_type": "GIT", "url": url, "user": "david.allouche"});
        let answer = self.command(body).await;
        assert_eq!(answer["outcome"], "accepted", "{answer}");
        (answer["import_id"].as_i64().unwrap(), answer["job"].as_i64().unwrap())
    }
}

pub(crate) fn outgoing(word: &'static str, body: &Value) -> Outgoing {
    Outgoing {
        routing_key: word.to_owned(),
        message_id: Uuid::new_v4().to_string(),
        kind: if word == "command" { "" } else { word },
        body: body.to_string().into_bytes(),
        ..Outgoing::default()
    }
}

/// An audit subscriber.
pub(crate) struct Events {
    subscriber: Subscriber,
}

impl Events {
    pub(crate) async fn next(&mut self) -> EventBody {
        within("an event", self.subscriber.next()).await.unwrap()
    }

    /// The summaries of the next events.
    pub(crate) async fn summaries(&mut self, count: usize) -> Vec<String> {
        let mut summaries = Vec::new();
        for _ in 0..count {
            summaries.push(self.next().await.summary);
        }
        summaries
    }

    /// Waits for an event of this summary.
    pub(crate) async fn wait_for(&mut self, summary: &str) -> EventBody {
        let waiting = async {
            loop {
                let event = self.subscriber.next().await.unwrap();
                if event.summary == summary {
                    return event;
                }
            }
        };
        within(summary, waiting).await
    }
}

/// What a worker names: job, import, run and machine.
pub(crate) fn said(import: i64, job: i64, run: Uuid) -> Value {
    json!({"job": job, "import": import, "run": run, "machine": "bazaar-importer"})
}

/// The same, with more.
pub(crate) fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

pub(crate) async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come"))
}
