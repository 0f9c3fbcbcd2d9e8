//! Whoever reads the rejected queue, and keeps what was in it.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;

use crate::history::{History, Rejected};
use crate::process::pass;

/// How long the broker may take for anything, and how long nothing may come.
const PATIENCE: Duration = Duration::from_secs(8);

/// Reads until the harness ends.
pub(crate) async fn read(url: String, history: History) {
    loop {
        drop(session(&url, &history).await);
        pass(Duration::from_millis(300)).await;
    }
}

async fn session(url: &str, history: &History) -> lapin::Result<()> {
    let url = format!("{url}?heartbeat=4");
    let opening = async {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let (queue, options) = ("code-imports.rejected".into(), BasicConsumeOptions::default());
        let rejected = channel.basic_consume(queue, "referee".into(), options, FieldTable::default()).await?;
        Ok::<_, lapin::Error>((connection, rejected))
    };
    let Ok(opened) = tokio::time::timeout(PATIENCE, opening).await else { return Ok(()) };
    let (_connection, mut rejected) = opened?;
    // Whoever consumes a queue just when it is deleted may hear nothing of that, and of the next one of its name.
    while let Ok(Some(delivery)) = tokio::time::timeout(PATIENCE, rejected.next()).await {
        let delivery = delivery?;
        history.facts().rejected.push(understand(&delivery));
        let acknowledging = delivery.acker.ack(BasicAckOptions::default());
        let Ok(acknowledged) = tokio::time::timeout(PATIENCE, acknowledging).await else { return Ok(()) };
        acknowledged?;
    }
    Ok(())
}

fn understand(delivery: &Delivery) -> Rejected {
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    let reason = match headers.inner().get("x-reason-code") {
        Some(AMQPValue::LongString(code)) => Some(code.to_string()),
        _ => headers.inner().contains_key("x-death").then(|| "dead letter".to_owned()),
    };
    let body: Value = serde_json::from_slice(&delivery.data).unwrap_or_default();
    Rejected {
        message_id: delivery.properties.message_id().as_ref().map(ToString::to_string),
        reason,
        run: body["run"].as_str().and_then(|run| run.parse().ok()),
    }
}
