//! Messages that nobody could apply, to every queue that we read.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;
use uuid::Uuid;

use super::Done;
use crate::history::{Sent, now};
use crate::world::World;

/// A poison: what it is, the exchange and the key, the body, and the version that it claims.
struct Poison {
    what: &'static str,
    exchange: &'static str,
    key: &'static str,
    body: Vec<u8>,
    version: i64,
}

const LARGE: usize = 10 * 1024 * 1024;

/// Some of each kind.
fn poisons(chance: &mut StdRng) -> Vec<Poison> {
    let queues =
        [("worker", "start"), ("worker", "finish"), ("worker", "heartbeat"), ("commands", "command")];
    let run = Uuid::new_v4().to_string();
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let finish = |what: &str| {
        format!(r#"{{"job": 1, "import": 1, "run": "{run}", "machine": "m", {what}}}"#).into_bytes()
    };
    let unknown = json!({"job": 1_000_000_000_000_000_i64, "import": 1, "run": run, "machine": "simulated-0",
        "status": "SUCCESS"});
    let any: [(&str, Vec<u8>, i64); 8] = [
        ("no body", Vec::new(), 1),
        ("no JSON", b"{\"job\": ".to_vec(), 1),
        ("10 MiB", [b"[\"".to_vec(), vec![b'x'; LARGE], b"\"]".to_vec()].concat(), 1),
        ("deep nesting", nested.into_bytes(), 1),
        ("broken UTF-8", b"{\"machine\": \"\xff\xfe\", \"type\": \"\xc0\x80\"}".to_vec(), 1),
        ("an unknown version", json!({"machine": "m", "jobs": []}).to_string().into_bytes(), 99),
        (
            "numbers out of range",
            br#"{"job": 1e400, "import": -99999999999999999999, "machine": 7, "jobs": 3, "type": 4}"#
                .to_vec(),
            1,
        ),
        ("NUL", b"{\"machine\": \"a\\u0000b\", \"type\": \"a\\u0000b\", \"jobs\": []}".to_vec(), 1),
    ];
    let mut poisons: Vec<Poison> = Vec::new();
    for (what, body, version) in any {
        let (exchange, key) = queues[chance.random_range(0..queues.len())];
        poisons.push(Poison { what, exchange, key, body, version });
    }
    let single = |what, exchange, key, body| Poison { what, exchange, key, body, version: 1 };
    poisons.extend([
        single(
            "an unknown type",
            "commands",
            "command",
            br#"{"type": "explode", "user": "david.allouche"}"#.to_vec(),
        ),
        single("an unknown status", "worker", "finish", finish(r#""status": "SPLENDID""#)),
        single("our own status", "worker", "finish", finish(r#""status": "RECLAIMED""#)),
        single(
            "deep statistics",
            "worker",
            "finish",
            finish(&format!(r#""status": "SUCCESS", "stats": {{"a": {}}}"#, "[".repeat(5_000))),
        ),
        single("a finish of a job that never was", "worker", "finish", unknown.to_string().into_bytes()),
        single("a start of a job that never was", "worker", "start", unknown.to_string().into_bytes()),
        single(
            "an import that never was",
            "commands",
            "command",
            json!({"type": "request", "import": "~nobody/nothing/import", "user": "david.allouche"})
                .to_string()
                .into_bytes(),
        ),
    ]);
    poisons
}

pub(super) async fn publish(world: &World, chance: &mut StdRng) -> Done {
    let poisons = poisons(chance);
    let publishing = tokio::time::timeout(Duration::from_secs(20), publish_all(world, poisons)).await;
    match publishing {
        Ok(Ok(count)) => Done::nothing_to_recover(format!("{count} messages")),
        Ok(Err(_)) | Err(_) => Done::nothing_to_recover("not all were taken").if_it_was(false),
    }
}

async fn publish_all(world: &World, poisons: Vec<Poison>) -> lapin::Result<usize> {
    let connection = Connection::connect(&world.broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut count = 0;
    for Poison { what, exchange, key, body, version } in poisons {
        let id = Uuid::new_v4().to_string();
        let mut headers = FieldTable::default();
        headers.insert("x-version".into(), AMQPValue::LongLongInt(version));
        let properties = BasicProperties::default()
            .with_message_id(id.as_str().into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let exchange = format!("code-imports.{exchange}");
        let confirm =
            channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await?.await?;
        world.history.published();
        if confirm.is_ack() && confirm.take_message().is_none() {
            let queue = if key == "command" { "commands" } else { key };
            let sent = Sent {
                what: format!("{what} to {queue}"),
                queue,
                confirmed: now(),
                is_asking: false,
                run: None,
            };
            world.history.facts().poison.insert(id, sent);
            world.history.behaved(what);
            count += 1;
        }
    }
    connection.close(200, "poisoned".into()).await?;
    Ok(count)
}
