//! RabbitMQ that comes and goes, and what people do in its console.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::json;
use uuid::Uuid;

use super::Done;
use crate::history::{Sent, now};
use crate::process::{pass, until};
use crate::settings::DECLARED;
use crate::subscriber::missed;
use crate::world::World;

/// What somebody may purge or delete; the rejected queue is read all the time.
const QUEUES: [&str; 6] = ["start", "heartbeat", "finish", "commands", "work.hg", "work.git"];

/// Everything else that the program declares.
const EXCHANGES: [&str; 5] = ["worker", "work", "events", "commands", "rejected"];

/// So many deliveries the queue of finishes allows.
const ALLOWED: usize = 200;

/// More than that.
const TOO_OFTEN: usize = ALLOWED + 10;

pub(super) async fn restart(world: &World) -> Done {
    world.broker.stop().await;
    world.broker.start_again().await;
    Done::back_now("stopped and started")
}

pub(super) async fn kill(world: &World) -> Done {
    // RabbitMQ 3.10 may forget a quorum queue that was declared within the second before.
    pass(Duration::from_secs(2)).await;
    world.broker.kill().await;
    world.broker.start_again().await;
    Done::back_now("killed and started")
}

pub(super) async fn stop(world: &World, lasts: Duration) -> Done {
    world.broker.stop().await;
    pass(lasts).await;
    world.broker.start_again().await;
    Done::back_now("stopped for a while")
}

/// It does nothing for a while, and nobody is told.
pub(super) async fn hang(world: &World, lasts: Duration) -> Done {
    world.broker.send(Signal::STOP);
    pass(lasts).await;
    world.broker.send(Signal::CONT);
    Done::back_now(format!("for {lasts:?}"))
}

fn queue_path(queue: &str) -> String {
    format!("queues/%2F/code-imports.{queue}")
}

pub(super) async fn purge(world: &World, chance: &mut StdRng) -> Done {
    let queue = QUEUES[chance.random_range(0..QUEUES.len())];
    let is_done = world.broker.delete(&format!("{}/contents", queue_path(queue))).await;
    world.history.destroyed(queue);
    Done::nothing_to_recover(queue).if_it_was(is_done)
}

pub(super) async fn delete(world: &World, chance: &mut StdRng) -> Done {
    let queue = QUEUES[chance.random_range(0..QUEUES.len())];
    let is_done = world.broker.delete(&queue_path(queue)).await;
    world.history.destroyed(queue);
    Done::nothing_to_recover(queue).if_it_was(is_done)
}

pub(super) async fn delete_topology(world: &World) -> Done {
    let from = now();
    let mut count = 0;
    for exchange in EXCHANGES {
        let is_done = world.broker.delete(&format!("exchanges/%2F/code-imports.{exchange}")).await;
        count += usize::from(is_done);
    }
    for queue in DECLARED {
        count += usize::from(world.broker.delete(&queue_path(queue)).await);
        world.history.destroyed(queue);
    }
    // Until somebody declares the exchange again, and the subscriber binds its queue.
    let bound = async || {
        let bindings = world.broker.get("exchanges/%2F/code-imports.events/bindings/source").await;
        bindings.is_some_and(|bindings| bindings.as_array().is_some_and(|bindings| !bindings.is_empty()))
    };
    until(Duration::from_mins(1), bound).await;
    missed(&world.history, from);
    // What was rejected while its queue was not there, or not bound, went with it.
    world.history.destroyed("rejected");
    Done::nothing_to_recover(format!("{count} exchanges and queues")).if_it_was(count > 0)
}

pub(super) async fn close_connections(world: &World) -> Done {
    let connections = world.broker.get("connections").await.unwrap_or_default();
    let names = connections.as_array().into_iter().flatten().filter_map(|it| it["name"].as_str());
    let mut count = 0;
    for name in names {
        let path = format!("connections/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        count += usize::from(world.broker.delete(&path).await);
    }
    Done::back_now(format!("{count} of them")).if_it_was(count > 0)
}

pub(super) async fn memory_alarm(world: &World, lasts: Duration) -> Done {
    let set = async |limit| world.broker.ctl(&["set_vm_memory_high_watermark", "absolute", limit]).await;
    let is_done = set("1MB").await;
    pass(lasts).await;
    assert!(until(Duration::from_mins(1), async || set("2GB").await).await, "the alarm stays");
    Done::back_now(format!("for {lasts:?}")).if_it_was(is_done)
}

/// A message is given back more often than its queue allows, while no coordinator reads it.
pub(super) async fn exceed_delivery_limit(world: &World) -> Done {
    for coordinator in &world.coordinators {
        coordinator.hold_down().await;
    }
    let exceeding = tokio::time::timeout(Duration::from_secs(30), exceed(world)).await;
    for coordinator in &world.coordinators {
        coordinator.release().await;
    }
    let count = exceeding.ok().and_then(Result::ok).unwrap_or(0);
    Done::back_now(format!("a finish, {count} times")).if_it_was(count >= ALLOWED)
}

/// How often the message was given back.
async fn exceed(world: &World) -> lapin::Result<usize> {
    let connection = Connection::connect(&world.broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let id = Uuid::new_v4().to_string();
    let body =
        json!({"job": 1, "import": 1, "run": Uuid::new_v4(), "machine": "nobody", "status": "SUCCESS"});
    let properties = BasicProperties::default().with_message_id(id.as_str().into()).with_delivery_mode(2);
    let (exchange, options) = ("code-imports.worker".into(), BasicPublishOptions::default());
    channel
        .basic_publish(exchange, "finish".into(), options, body.to_string().as_bytes(), properties)
        .await?
        .await?;
    let what = "a finish that is delivered too often".to_owned();
    let sent = Sent { what, queue: "finish", confirmed: now(), is_asking: false, run: None };
    world.history.facts().poison.insert(id.clone(), sent);
    let give_back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    let (mut others, mut count) = (Vec::new(), 0);
    while count < TOO_OFTEN {
        let Some(message) =
            channel.basic_get("code-imports.finish".into(), BasicGetOptions::default()).await?
        else {
            break;
        };
        if message.properties.message_id().as_ref().is_some_and(|found| found.as_str() == id) {
            count += 1;
            message.delivery.acker.nack(give_back).await?;
        } else {
            others.push(message);
        }
    }
    for message in others {
        message.delivery.acker.nack(give_back).await?;
    }
    connection.close(200, "exceeded".into()).await?;
    Ok(count)
}
