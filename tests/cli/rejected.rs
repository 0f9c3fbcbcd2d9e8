//! `rejected`.

use std::time::Duration;

use code_imports::broker::publish::Outgoing;
use code_imports::broker::{Broker, Queue};
use serde_json::{Value, json};

use crate::common::Vhost;
use crate::world::{Ended, World, program};

/// A world with a broker, on which no coordinator runs.
struct Desk {
    world: World,
    vhost: Vhost,
    broker: Broker,
}

impl Desk {
    async fn new() -> Self {
        let (world, vhost) = (World::new().await, Vhost::new());
        let broker = Broker::new(vhost.url.parse().unwrap(), "code-imports", "test");
        broker.declare().await.unwrap();
        Self { world, vhost, broker }
    }

    fn run(&self, user: &str, words: &str) -> Ended {
        let mut program = program(&format!("rejected {words}"));
        program.env("DATABASE_URL", &self.world.database.url).env("CODE_IMPORTS_USER", user);
        program.env("AMQP_URL", &self.vhost.url).output().unwrap().into()
    }

    /// What the coordinator leaves in the queue.
    async fn reject(&self, messages: &[Outgoing]) {
        let publisher = self.broker.publisher().await.unwrap();
        publisher.publish_all("code-imports.rejected", messages).await.unwrap();
    }

    /// Waits until so many messages lie ready: those that were looked at come back when their channel is closed, a
    /// moment after the command has ended.
    async fn wait_for_ready(&self, queue: Queue, expected: u32) {
        let gauge = self.broker.gauge().await.unwrap();
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let waiting = async {
            while gauge.ready(queue).await.unwrap() != expected {
                looks.tick().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "{expected} messages are not ready in {queue:?}");
    }

    fn events(&self) -> Vec<(String, String)> {
        let events = self.world.run("david", "event list --json").json();
        let event = |event: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&event["type"]), text(&event["data"]["MESSAGE_ID"]))
        };
        events["events"].as_array().unwrap().iter().map(event).collect()
    }
}

/// A message that was rejected so long ago.
fn message(id: &str, code: &str, from: &str, age: chrono::TimeDelta) -> Outgoing {
    let at = (std::time::SystemTime::now() - age.to_std().unwrap()).into();
    let at: chrono::DateTime<chrono::Utc> = at;
    let headers = vec![
        ("x-reason-code", code.to_owned()),
        ("x-reason", "https://me:secret@example.org is wrong".to_owned()),
        ("x-rejected-from", format!("code-imports.{from}")),
        ("x-rejected-at", at.to_rfc3339()),
        ("x-user-id", "bazaar-importer".to_owned()),
    ];
    let body = json!({"url": "https://me:secret@example.org"}).to_string().into_bytes();
    Outgoing { message_id: id.to_owned(), kind: "", body, headers, ..Outgoing::default() }
}

fn messages() -> [Outgoing; 4] {
    [
        message("1", "malformed", "heartbeat", chrono::TimeDelta::days(3)),
        message("2", "superseded-run", "finish", chrono::TimeDelta::hours(5)),
        message("3", "superseded-run", "finish", chrono::TimeDelta::minutes(1)),
        message("4", "malformed", "elsewhere", chrono::TimeDelta::minutes(1)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_messages_are_listed_by_code_queue_and_age() {
    let desk = Desk::new().await;
    assert_eq!(desk.run("david", "list").text(), "No matching rejected messages found.\n");
    desk.reject(&messages()).await;
    let ids = |words: &str| -> String {
        let listed = desk.run("david", &format!("list --json {words}")).json();
        assert_eq!(listed["unseen"], 0);
        let messages = listed["messages"].as_array().unwrap().iter();
        messages.map(|message| message["message_id"].as_str().unwrap()).collect()
    };
    assert_eq!(ids(""), "1234");
    assert_eq!(ids("--code superseded-run"), "23");
    assert_eq!(ids("--from heartbeat"), "1");
    assert_eq!(ids("--from code-imports.finish --older-than 1h"), "2");
    assert_eq!(ids("--newer-than 1h"), "34");
    assert_eq!(ids("--code nonsense"), "");
    let table = desk.run("david", "list").text();
    assert!(table.starts_with("MESSAGE ID") && table.contains("5 h ago"), "{table}");
    assert!(table.contains("bazaar-importer") && !table.contains("secret"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_message_is_shown_with_its_headers_and_without_user_info() {
    let desk = Desk::new().await;
    desk.reject(&messages()).await;
    let shown = desk.run("david", "show 2").text();
    for expected in [
        "Code:      superseded-run",
        "Sender:    bazaar-importer",
        "  x-rejected-from: code-imports.finish",
        "https://***@example.org",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    let shown = desk.run("david", "show 2 --json").json();
    assert_eq!(shown["messages"][0]["headers"]["x-user-id"], "bazaar-importer");
    assert_eq!(shown["messages"][0]["body"], r#"{"url":"https://***@example.org"}"#);
    let unknown = desk.run("david", "show 5").wrong(1);
    assert_eq!(unknown, "refused: There is no rejected message with id 5. (unknown-message)\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_sent_again_to_where_they_came_from() {
    let desk = Desk::new().await;
    desk.reject(&messages()).await;
    let dry = desk.run("david", "replay --code superseded-run --dry-run --json").json();
    assert_eq!(dry["messages"].as_array().unwrap().len(), 2);
    desk.wait_for_ready(Queue::Rejected, 4).await;
    desk.wait_for_ready(Queue::Finish, 0).await;

    assert_eq!(desk.run("david", "replay --code superseded-run").text(), "2 messages were sent again.\n");
    desk.wait_for_ready(Queue::Rejected, 2).await;
    desk.wait_for_ready(Queue::Finish, 2).await;
    let told = desk.run("david", "replay 1 4");
    assert_eq!((told.code, told.stdout.as_str()), (1, "1 message was sent again.\n"));
    let expected = "4 cannot be sent again: It came from \"code-imports.elsewhere\", which is none of the queues that we read.\n";
    assert_eq!(told.stderr, expected);
    desk.wait_for_ready(Queue::Rejected, 1).await;
    desk.wait_for_ready(Queue::Heartbeat, 1).await;
    let replay = |id: &str| ("REPLAY".to_owned(), id.to_owned());
    assert_eq!(desk.events(), [replay("2"), replay("3"), replay("1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_dropped_when_it_is_meant() {
    let desk = Desk::new().await;
    desk.reject(&messages()).await;
    let unsure = desk.run("david", "drop 1").wrong(2);
    let (shown, question) = unsure.split_once('\n').unwrap();
    assert!(shown.starts_with("  1  "), "what is to be dropped is shown: {shown}");
    assert_eq!(question, "error: Drop 1 message? Nobody is there to confirm it: say --yes\n");
    assert!(desk.run("david", "drop --yes").wrong(2).contains("say which: "));
    assert!(desk.run("david", "drop --all 1").wrong(2).contains("cannot be used with"));
    assert!(desk.run("david", "drop --all --dry-run").text().contains("elsewhere"));
    desk.wait_for_ready(Queue::Rejected, 4).await;

    let dropped = desk.run("david", "drop 1 --yes --json").json();
    assert_eq!(dropped, json!({"outcome": "accepted", "messages": 1}));
    assert_eq!(desk.run("david", "drop --all --yes").text(), "3 messages were dropped.\n");
    desk.wait_for_ready(Queue::Rejected, 0).await;
    assert_eq!(desk.events().len(), 4);
    assert_eq!(desk.events()[0], ("DROP".to_owned(), "1".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_deal_with_rejected_messages() {
    let desk = Desk::new().await;
    desk.reject(&messages()).await;
    for words in ["list", "show 1", "replay 1", "drop 1 --yes"] {
        let refused = desk.run("olga", words).wrong(1);
        assert!(refused.starts_with("refused: olga may not deal with rejected messages: "), "{refused}");
    }
    desk.wait_for_ready(Queue::Rejected, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_ends_after_a_thousand_messages_and_says_so() {
    let desk = Desk::new().await;
    let many: Vec<Outgoing> = (0..1_010)
        .map(|n| message(&n.to_string(), "malformed", "start", chrono::TimeDelta::seconds(1)))
        .collect();
    desk.reject(&many).await;
    let told = desk.run("david", "drop --all --yes");
    assert_eq!((told.code, told.stdout.as_str()), (0, "1000 messages were dropped.\n"));
    let expected =
        "Only the oldest 1000 messages of code-imports.rejected were looked at; 10 more lie behind them.\n";
    assert_eq!(told.stderr, expected);
    desk.wait_for_ready(Queue::Rejected, 10).await;
}
