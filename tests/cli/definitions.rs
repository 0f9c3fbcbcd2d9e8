//! `topology export`: what it prints sets a broker up, and each role may do what it must and no more.

use std::time::Duration;

use code_imports::broker::Broker;
use code_imports::broker::ask::DIRECT_REPLY_TO;
use code_imports::broker::publish::Outgoing;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use serde_json::{Value, json};

use crate::common::{Vhost, authorization, console, put};
use crate::world::{Ended, Started, World, program};

/// A virtual host and four accounts, made of nothing but the export.
pub(crate) struct Imported {
    pub(crate) vhost: Vhost,
}

const ROLES: [&str; 4] = ["coordinator", "worker", "subscriber", "operator"];

impl Imported {
    pub(crate) fn new() -> Self {
        let it = Self { vhost: Vhost::new() };
        it.vhost.delete("vhosts", "");
        let accounts = ROLES.map(|role| format!("--{role} {}", it.account(role))).join(" ");
        let exported: Ended = program(&format!("topology export --vhost {} {accounts}", it.vhost.name))
            .output()
            .unwrap()
            .into();
        assert_eq!(exported.code, 0, "{exported:?}");
        assert!(exported.stderr.contains("change_password"), "{exported:?}");
        let request = ureq::post(console("definitions")).header("Authorization", &authorization());
        request.content_type("application/json").send(exported.stdout.as_bytes()).expect("it is imported");
        for role in ROLES {
            let tags = if role == "operator" { "monitoring" } else { "" };
            let body = json!({"password": "secret", "tags": tags}).to_string();
            put(&format!("users/{}", it.account(role)), &body);
        }
        // The vhost is deleted at the end by whoever made it.
        let all = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
        put(&format!("permissions/{}/coordinator", it.vhost.name), all);
        it
    }

    pub(crate) fn account(&self, role: &str) -> String {
        format!("{role}-{}", self.vhost.name)
    }

    pub(crate) fn url(&self, role: &str) -> String {
        let (_, server) = self.vhost.url.split_once('@').unwrap();
        format!("amqp://{}:secret@{server}", self.account(role))
    }

    async fn connect(&self, role: &str) -> Connection {
        Connection::connect(&self.url(role), ConnectionProperties::default()).await.unwrap()
    }

    /// Lists things of the virtual host, by the management API.
    fn list(&self, things: &str) -> Vec<Value> {
        let path = match things {
            "connections" => format!("vhosts/{}/connections", self.vhost.name),
            things => format!("{things}/{}", self.vhost.name),
        };
        let request = ureq::get(console(&path)).header("Authorization", &authorization());
        request.call().unwrap().body_mut().read_json().unwrap()
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        for role in ROLES {
            let path = console(&format!("users/{}", self.account(role)));
            drop(ureq::delete(path).header("Authorization", &authorization()).call());
        }
    }
}

/// Something that an account tries.
#[derive(Clone, Copy, Debug)]
enum Try<'a> {
    Publish(&'a str, &'a str),
    Consume(&'a str),
    Get(&'a str),
    Queue(&'a str),
    Exchange(&'a str),
    Bind(&'a str, &'a str),
    Purge(&'a str),
    Delete(&'a str),
}

/// Tries it on a channel of its own, which a refusal closes.
async fn attempt(channel: &Channel, it: Try<'_>) -> lapin::Result<()> {
    let none = FieldTable::default;
    match it {
        Try::Publish(exchange, key) => {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            channel.basic_publish(exchange.into(), key.into(), options, b"{}", properties).await?.await?;
        }
        Try::Consume(queue) => {
            let options = BasicConsumeOptions::default();
            drop(channel.basic_consume(queue.into(), "".into(), options, none()).await?);
        }
        Try::Get(queue) => drop(channel.basic_get(queue.into(), BasicGetOptions::default()).await?),
        Try::Queue(queue) => {
            drop(channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?);
        }
        Try::Exchange(exchange) => {
            let options = ExchangeDeclareOptions::default();
            channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none()).await?;
        }
        Try::Bind(queue, exchange) => {
            let options = QueueBindOptions::default();
            channel.queue_bind(queue.into(), exchange.into(), "".into(), options, none()).await?;
        }
        Try::Purge(queue) => drop(channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?),
        Try::Delete(queue) => drop(channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?),
    }
    Ok(())
}

/// A role may do the first, and is refused the others.
async fn check(imported: &Imported, role: &str, may: &[Try<'_>], must_not: &[Try<'_>]) {
    let connection = imported.connect(role).await;
    for it in may {
        let channel = connection.create_channel().await.unwrap();
        let done = attempt(&channel, *it).await;
        assert!(done.is_ok(), "{role} may {it:?}: {done:?}");
        channel.close(200, "tried".into()).await.unwrap();
    }
    for it in must_not {
        let channel = connection.create_channel().await.unwrap();
        let refused = attempt(&channel, *it).await.expect_err(&format!("{role} must not {it:?}"));
        let is_refused = matches!(refused.kind(), ErrorKind::ProtocolError(reason) if reason.get_id() == 403);
        assert!(is_refused, "{role} must not {it:?}: {refused}");
    }
}

/// What a role may configure, write to and read from, of all that is in the virtual host.
fn row(role: &str) -> [&'static [&'static str]; 3] {
    const WORK: [&str; 5] = ["work.git", "work.svn", "work.hg", "work.cvs", "work.bzr"];
    const OURS: [&str; 13] = [
        "worker",
        "work",
        "events",
        "commands",
        "rejected",
        "start",
        "heartbeat",
        "finish",
        "work.git",
        "work.svn",
        "work.hg",
        "work.cvs",
        "work.bzr",
    ];
    match role {
        "coordinator" => [&OURS, &["worker", "work", "events", "commands", "rejected", ""], &OURS],
        "worker" => [&[], &["worker"], &WORK],
        "subscriber" => [&[], &[], &[]],
        "operator" => [&[], &["commands", "worker", ""], &["rejected"]],
        other => unreachable!("{other} is no role"),
    }
}

/// Every exchange and queue of ours, and those of others, by each right of each role.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_reaches_what_its_row_says_and_nothing_else() {
    const EXCHANGES: [&str; 8] =
        ["worker", "work", "events", "commands", "rejected", "", "amq.fanout", "foreign"];
    const QUEUES: [&str; 11] = [
        "start",
        "heartbeat",
        "finish",
        "commands",
        "rejected",
        "work.git",
        "work.svn",
        "work.hg",
        "work.cvs",
        "work.bzr",
        "foreign",
    ];
    let imported = Imported::new();
    let everybody = Connection::connect(&imported.vhost.url, ConnectionProperties::default()).await.unwrap();
    let channel = everybody.create_channel().await.unwrap();
    for it in [Try::Exchange("foreign"), Try::Queue("foreign")] {
        attempt(&channel, it).await.unwrap();
    }
    let full = |name: &str| match name {
        "" | "foreign" | "amq.fanout" => name.to_owned(),
        ours => format!("code-imports.{ours}"),
    };
    for role in ROLES {
        let connection = imported.connect(role).await;
        let [configure, write, read] = row(role);
        // What is there is declared otherwise, so that nothing is changed: whoever may try is told that it differs.
        for (names, allowed, of) in [
            (EXCHANGES.as_slice(), configure, "declare exchange"),
            (&QUEUES, configure, "declare queue"),
            (&EXCHANGES, write, "publish"),
            (&QUEUES, read, "get"),
        ] {
            for name in names {
                let thing = full(name);
                let it = match of {
                    "declare exchange" if name.is_empty() || *name == "amq.fanout" => continue,
                    "declare exchange" => Try::Exchange(&thing),
                    "declare queue" => Try::Queue(&thing),
                    "publish" => Try::Publish(&thing, "nobody"),
                    _ => Try::Get(&thing),
                };
                let channel = connection.create_channel().await.unwrap();
                let tried = attempt(&channel, it).await;
                let refused = tried.as_ref().err().is_some_and(
                    |error| matches!(error.kind(), ErrorKind::ProtocolError(reason) if reason.get_id() == 403),
                );
                assert_eq!(!refused, allowed.contains(name), "{role}: {of} {thing:?}: {tried:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_says_what_workers_say_and_takes_work() {
    use Try::{Bind, Consume, Delete, Exchange, Get, Publish, Purge, Queue};
    let imported = Imported::new();
    let may = [
        Publish("code-imports.worker", "start"),
        Consume("code-imports.work.git"),
        Consume("code-imports.work.cvs"),
    ];
    let must_not = [
        Publish("code-imports.work", "git"),
        Publish("code-imports.events", ""),
        Publish("code-imports.commands", "command"),
        Publish("code-imports.rejected", ""),
        Publish("", "code-imports.rejected"),
        Consume("code-imports.finish"),
        Consume("code-imports.heartbeat"),
        Get("code-imports.commands"),
        Get("code-imports.rejected"),
        Queue("code-imports.mine"),
        Exchange("code-imports.mine"),
        Bind("code-imports.work.git", "code-imports.events"),
        Purge("code-imports.start"),
        Delete("code-imports.work.git"),
    ];
    check(&imported, "worker", &may, &must_not).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_listens_on_a_queue_of_its_own() {
    use Try::{Bind, Consume, Delete, Exchange, Get, Publish, Purge, Queue};
    let imported = Imported::new();
    let own = format!("code-imports.events.{}", imported.account("subscriber"));
    let selection = format!("{own}.selection");
    let may =
        [Queue(&own), Bind(&own, "code-imports.events"), Exchange(&selection), Consume(&own), Delete(&own)];
    let must_not = [
        Publish("code-imports.events", ""),
        Publish("code-imports.worker", "finish"),
        Publish("code-imports.commands", "command"),
        Publish("", "code-imports.commands"),
        Queue("code-imports.events.somebody-else"),
        Queue("code-imports.mine"),
        Exchange("code-imports.events"),
        Bind("code-imports.work.git", "code-imports.events"),
        Consume("code-imports.work.git"),
        Get("code-imports.rejected"),
        Purge("code-imports.finish"),
        Delete("code-imports.heartbeat"),
    ];
    check(&imported, "subscriber", &may, &must_not).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gives_commands_and_deals_with_rejected_messages() {
    use Try::{Bind, Consume, Delete, Exchange, Get, Publish, Purge, Queue};
    let imported = Imported::new();
    let answers = format!("code-imports.answers.{}", imported.account("operator"));
    let may = [
        Publish("code-imports.commands", "command"),
        Publish("code-imports.worker", "finish"),
        // The form on a queue's page.
        Publish("", "code-imports.commands"),
        Get("code-imports.rejected"),
        Consume("code-imports.rejected"),
        Queue(&answers),
        Get(&answers),
        Delete(&answers),
    ];
    let must_not = [
        Publish("code-imports.work", "git"),
        Publish("code-imports.events", ""),
        Publish("code-imports.rejected", ""),
        Get("code-imports.finish"),
        Consume("code-imports.work.git"),
        Queue("code-imports.mine"),
        Queue("code-imports.answers.somebody-else"),
        Exchange("code-imports.mine"),
        Bind(&answers, "code-imports.events"),
        Bind("code-imports.rejected", "code-imports.events"),
        Purge("code-imports.commands"),
        Delete("code-imports.rejected"),
    ];
    check(&imported, "operator", &may, &must_not).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_runs_on_what_was_imported_and_touches_nothing_else() {
    use Try::{Bind, Delete, Exchange, Publish, Queue};
    let imported = Imported::new();
    let run = |words: &str| -> Ended {
        program(words).env("AMQP_URL", imported.url("coordinator")).output().unwrap().into()
    };
    assert!(run("topology check").text().starts_with("Every exchange and queue is as it should be.\n"));
    assert!(run("topology apply").text().starts_with("Every exchange and queue of code-imports is there.\n"));
    let may = [Publish("code-imports.events", ""), Publish("", "code-imports.answers.somebody")];
    let must_not = [
        Publish("amq.fanout", ""),
        Queue("others"),
        Queue("code-importsX.start"),
        Exchange("code-imports.mine"),
        Bind("code-imports.start", "amq.fanout"),
        Delete("others"),
    ];
    check(&imported, "coordinator", &may, &must_not).await;

    // It answers an operator; and in the console everybody has a name.
    let world = World::new().await;
    let mut serve = program("serve --http none");
    serve.env("AMQP_URL", imported.url("coordinator")).env("DATABASE_URL", &world.database.url);
    let coordinator = Started::of(serve);
    let operator = Broker::new(imported.url("operator").parse().unwrap(), "code-imports", "operator");
    let (publisher, mut answers) = operator.asking_publisher().await.unwrap();
    let command = Outgoing {
        routing_key: "command".to_owned(),
        message_id: "1".to_owned(),
        body: br#"{"type": "status"}"#.to_vec(),
        reply_to: Some(DIRECT_REPLY_TO.to_owned()),
        ..Outgoing::default()
    };
    publisher.publish_all("code-imports.commands", &[command]).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), answers.next()).await.unwrap().unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&answer["outcome"], &answer["status"]["rejected"]), (&json!("accepted"), &json!(0)));
    check_names(&imported).await;
    coordinator.interrupt();
}

/// The console learns of consumers some moments later.
async fn check_names(imported: &Imported) {
    let version = env!("CARGO_PKG_VERSION");
    let is_named = |consumer: &Value| {
        let tag = consumer["consumer_tag"].as_str().unwrap();
        let queue = consumer["queue"]["name"].as_str().unwrap();
        tag.starts_with("coordinator ") && tag.contains(version) && tag.ends_with(queue)
    };
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    let looking = async {
        loop {
            looks.tick().await;
            let named = imported.list("consumers").iter().filter(|consumer| is_named(consumer)).count();
            let is_known = imported.list("connections").iter().any(|connection| {
                let name = connection["user_provided_name"].as_str().unwrap_or_default();
                name.starts_with("code-imports coordinator ") && name.ends_with("(consuming)")
            });
            // Two for each queue of workers' words, and one for commands.
            if named == 7 && is_known {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.expect("the names are seen");
}

#[test]
fn an_export_has_no_secrets_and_says_what_is_wrong() {
    let run =
        |words: &str| -> Ended { program(&format!("topology export {words}")).output().unwrap().into() };
    let export = run("--no-users --consumer-timeout 1h --prefix ci --worker m1 --worker m2").json();
    assert_eq!(export["vhosts"], json!([{"name": "/"}]));
    assert_eq!(export["users"], Value::Null);
    let users: Vec<_> =
        export["permissions"].as_array().unwrap().iter().map(|it| it["user"].as_str().unwrap()).collect();
    assert_eq!(users, ["coordinator", "m1", "m2", "subscriber", "operator"]);
    assert_eq!(export["permissions"][1]["write"], "^ci\\.worker$");
    assert_eq!(export["policies"][0]["definition"]["consumer-timeout"], 3_600_000);
    assert_eq!(export["queues"].as_array().unwrap().len(), 10);

    let exported: Ended = program("topology export --prefix x")
        .env("AMQP_URL", "amqp://me:hidden@host/ci")
        .output()
        .unwrap()
        .into();
    assert!(!exported.stdout.contains("hidden") && !exported.stdout.contains("password"), "{exported:?}");
    let export: Value = serde_json::from_str(&exported.stdout).unwrap();
    assert_eq!((&export["vhosts"][0]["name"], &export["users"][0]["name"]), (&json!("ci"), &json!("me")));
    assert!(run("--prefix a/b").wrong(2).contains("--prefix"));
}
