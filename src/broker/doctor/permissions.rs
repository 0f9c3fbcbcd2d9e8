//! Whether our account may do what the coordinator does, and whether the broker takes anything.
//!
//! Each question is one that cannot succeed: a consumer with a priority that is no number, a message with a time-to-live
//! that is none. The broker looks at permissions first, so the refusal says which of the two it was, and no message is
//! taken or sent.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::broker::definitions::{Role, permissions_of};
use crate::broker::publish::short;
use crate::broker::topology::{EXCHANGES, refusal};
use crate::broker::{Broker, Drift, Error, Exchange, Queue, close, in_time};
use crate::domain::finding::Examination;

/// ACCESS_REFUSED.
const REFUSED: u16 = 403;

/// How often an alarm is looked for, while an answer is awaited.
const ALARM_LOOK: Duration = Duration::from_millis(50);

pub(super) async fn examine(broker: &Broker, drifts: &[Drift]) -> Result<Examination, Error> {
    let account = broker.account();
    let mut look =
        Examination::of("account", format!("what {account} may do in RabbitMQ, and whether it blocks"));
    let hidden = |drift: &Drift| match drift {
        Drift::Hidden { name } => Some(format!("configure {name}")),
        Drift::Missing { .. } | Drift::Differs { .. } => None,
    };
    let mut refused: Vec<String> = drifts.iter().filter_map(hidden).collect();
    for queue in Queue::all() {
        if may_not_read(broker, &broker.topology.queue(queue)).await? {
            refused.push(format!("read {}", broker.topology.queue(queue)));
        }
    }
    for exchange in EXCHANGES.iter().map(|(exchange, _)| *exchange).chain([Exchange::Default]) {
        let name = broker.topology.exchange(exchange);
        match may_not_write(broker, &name).await? {
            Asked::Refused if name.is_empty() => {
                refused.push("write the default exchange, for answers".to_owned());
            }
            Asked::Refused => refused.push(format!("write {name}")),
            Asked::Allowed => {}
            Asked::Blocked(reason) => {
                let remedy =
                    "rabbitmq-diagnostics alarms, on its host; make room, or raise the limit that it names";
                look.wrong(format!("the broker blocks publishers: {reason}"), remedy);
                break;
            }
        }
    }
    let (vhost, patterns) =
        (broker.urls.vhost().unwrap_or("/"), permissions_of(&broker.topology, Role::Coordinator));
    let remedy = format!("rabbitmqctl set_permissions -p '{vhost}' '{account}' {patterns}");
    for what in refused {
        look.wrong(format!("the account {account} may not {what}"), remedy.clone());
    }
    Ok(look)
}

/// Whether the account may not read a queue.
async fn may_not_read(broker: &Broker, queue: &str) -> Result<bool, Error> {
    let channel = broker.consuming_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongString("none".into()));
    let (tag, options) = (short("doctor"), BasicConsumeOptions::default());
    let asking = async { Ok(channel.basic_consume(short(queue), tag, options, arguments).await) };
    let answer = in_time("asking whether a queue may be read", asking).await?;
    let is_refused = answer.as_ref().err().is_some_and(is_refused);
    close(&channel).await;
    Ok(is_refused)
}

/// What the broker said.
enum Asked {
    Allowed,
    Refused,
    /// Nothing but that it blocks, and why.
    Blocked(String),
}

/// Whether the account may not write to an exchange. A connection that is blocked answers nothing, not even a channel
/// that is opened or closed.
async fn may_not_write(broker: &Broker, exchange: &str) -> Result<Asked, Error> {
    tokio::select! {
        asked = in_time("asking whether an exchange may be written to", try_to_write(broker, exchange)) => asked,
        reason = blocked(broker) => Ok(Asked::Blocked(reason)),
    }
}

async fn try_to_write(broker: &Broker, exchange: &str) -> Result<Asked, Error> {
    let channel = broker.publishing_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_expiration("none".into());
    let options = BasicPublishOptions::default();
    let answer = match channel.basic_publish(short(exchange), "doctor".into(), options, &[], properties).await
    {
        Ok(confirm) => confirm.await.map(drop),
        Err(error) => Err(error),
    };
    close(&channel).await;
    Ok(if answer.as_ref().err().is_some_and(is_refused) { Asked::Refused } else { Asked::Allowed })
}

/// Why the broker blocks, once it says so.
async fn blocked(broker: &Broker) -> String {
    let mut looks = tokio::time::interval(ALARM_LOOK);
    loop {
        looks.tick().await;
        if let Some(reason) = broker.blocked() {
            return reason;
        }
    }
}

fn is_refused(error: &lapin::Error) -> bool {
    refusal(error) == Some(REFUSED)
}
