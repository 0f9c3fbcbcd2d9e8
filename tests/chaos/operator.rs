//! Operators, who ask for things by AMQP all the time, and know what the broker confirmed.

use std::time::Duration;

use code_imports::broker::ask::DIRECT_REPLY_TO;
use code_imports::broker::publish::Outgoing;
use code_imports::broker::{Broker, Error, Exchange};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::history::{History, Sent, now};
use crate::process::pass;
use crate::settings::IMPORTS;

/// Who acts.
pub(crate) const USER: &str = "david.allouche";

/// The name of a simulated import.
pub(crate) fn name(number: usize) -> String {
    format!("~vcs-imports/project-{number}/import")
}

/// Asks for things until it is told to stop.
pub(crate) async fn operate(url: String, history: History, seed: u64, stop: CancellationToken) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut count = 0;
    while !stop.is_cancelled() {
        let broker = Broker::new(url.parse().unwrap(), "code-imports", "operator");
        let acting = act(&broker, &history, &mut chance, &mut count);
        tokio::select! {
            _ = acting => {}
            () = stop.cancelled() => {}
        }
        drop(tokio::time::timeout(Duration::from_secs(5), broker.close()).await);
        pass(Duration::from_millis(chance.random_range(200..1000))).await;
    }
}

async fn act(
    broker: &Broker,
    history: &History,
    chance: &mut StdRng,
    count: &mut usize,
) -> Result<(), Error> {
    let opening = tokio::time::timeout(Duration::from_secs(8), broker.asking_publisher());
    let (publisher, mut answers) = opening.await.map_err(|_| Error::Cancelled("nobody".to_owned()))??;
    loop {
        let body = command(chance, count);
        let id = Uuid::new_v4().to_string();
        // A question without an asker leaves no trace.
        let is_asking = chance.random_bool(0.5) || body["type"] == "status";
        let message = Outgoing {
            routing_key: "command".to_owned(),
            message_id: id.clone(),
            body: body.to_string().into_bytes(),
            reply_to: is_asking.then(|| DIRECT_REPLY_TO.to_owned()),
            correlation_id: is_asking.then(|| id.clone()),
            ..Outgoing::default()
        };
        let exchange = broker.topology.exchange(Exchange::Commands);
        publisher.publish_all(&exchange, std::slice::from_ref(&message)).await?;
        let sent = Sent { what: body.to_string(), queue: "commands", confirmed: now(), is_asking, run: None };
        history.published();
        history.facts().commands.insert(id, sent);
        let pause = Duration::from_millis(chance.random_range(200..1200));
        let listening = async {
            loop {
                let answer = answers.next().await?;
                history.facts().answered.extend(answer.correlation_id);
            }
        };
        if let Ok(ended) = tokio::time::timeout(pause, listening).await {
            let ended: Result<(), Error> = ended;
            ended?;
        }
    }
}

/// Something that an operator asks for.
fn command(chance: &mut StdRng, count: &mut usize) -> Value {
    let import = name(chance.random_range(0..IMPORTS));
    let machine = format!("simulated-{}", chance.random_range(0..3));
    match chance.random_range(0..100) {
        0..45 => json!({"type": "request", "import": import, "user": USER}),
        45..55 => json!({"type": "update", "import": import, "review_status": "REVIEWED", "user": USER}),
        55..60 => json!({"type": "update", "import": import, "review_status": "SUSPENDED", "user": USER}),
        60..68 => json!({"type": "kill", "import": import, "user": USER}),
        68..74 => json!({"type": "try-again", "import": import, "user": USER}),
        74..80 => {
            json!({"type": "update", "import": import, "update_interval_s": chance.random_range(6..12), "user": USER})
        }
        80..86 => {
            *count += 1;
            json!({"type": "register", "import": format!("~vcs-imports/passing-{count}/import"), "rcs_type": "HG",
                "url": format!("https://example.org/passing/{count}"), "user": USER})
        }
        86..92 => {
            let passing = chance.random_range(0..=*count);
            json!({"type": "delete", "import": format!("~vcs-imports/passing-{passing}/import"), "user": USER})
        }
        92..94 => json!({"type": "machine", "machine": machine, "state": "QUIESCING", "user": USER}),
        94..98 => json!({"type": "machine", "machine": machine, "state": "ONLINE", "user": USER}),
        _ => json!({"type": "status"}),
    }
}
