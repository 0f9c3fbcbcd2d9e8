//! The broker as it should be, in the form that its console imports: no connection is needed for it.
//!
//! | role          | configure  | write                                     | read                        |
//! |---------------|------------|-------------------------------------------|-----------------------------|
//! | `Coordinator` | everything | everything; the default exchange: answers | everything                  |
//! | `Worker`      | nothing    | the exchange for workers                  | the work queues             |
//! | `Subscriber`  | its own    | its own                                   | its own; the events         |
//! | `Operator`    | nothing    | commands, workers; the default exchange   | the rejected queue          |
//!
//! "Everything" is what is declared here, name by name; a subscriber's own is what begins with
//! `<prefix>.events.<account>`, and queues that the broker names. An operator writes as workers do in order to
//! send rejected messages again to where they came from, and to the default exchange because the form on a queue's page
//! of the console publishes there.

use std::time::Duration;

use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::topology::EXCHANGES;
use super::{Exchange, Queue, Topology};

/// The coordinator applies whatever lies in these, if it is there; they may grow while it is not.
const INBOX_MAX_LENGTH: u32 = 1_000_000;

/// Of heartbeats the newest count; older ones make room.
const HEARTBEAT_MAX_LENGTH: u32 = 100_000;

/// The dispatcher keeps these short by itself; this is for the day on which it does not.
const WORK_MAX_LENGTH: u32 = 100_000;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `serve`.
    Coordinator,
    /// The workers of one machine.
    Worker,
    /// Somebody who listens to the events.
    Subscriber,
    /// A person at the console, or at the command line.
    Operator,
}

/// An account of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name; that of a worker is its machine's, that of an operator the person's.
    pub name: String,
    /// What it is for.
    pub role: Role,
}

/// What is wanted beside the topology.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where everything is.
    pub vhost: String,
    /// Who may do what there.
    pub accounts: Vec<Account>,
    /// Whether the accounts themselves are made, too. Importing one that is there sets its password anew.
    pub has_users: bool,
    /// After how long a consumer that does not acknowledge is cancelled; RabbitMQ knows that since 3.12.
    pub consumer_timeout: Option<Duration>,
}

/// What an account may do: patterns of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// What it may declare and delete.
    pub configure: String,
    /// What it may publish to.
    pub write: String,
    /// What it may consume, or bind from.
    pub read: String,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let role = match self.role {
            Role::Coordinator => "coordinator",
            Role::Worker => "worker",
            Role::Subscriber => "subscriber",
            Role::Operator => "operator",
        };
        write!(f, "{} ({role})", self.name)
    }
}

/// The whole document.
#[must_use]
pub fn definitions(topology: &Topology, plan: &Plan) -> Value {
    let vhost = &plan.vhost;
    let mut document = json!({
        "vhosts": [{"name": vhost}],
        "permissions": plan.accounts.iter().map(|it| permission(topology, vhost, it)).collect::<Vec<_>>(),
        "policies": policies(topology, plan),
        "exchanges": EXCHANGES.map(|(exchange, kind)| json!({
            "name": topology.exchange(exchange), "vhost": vhost, "type": kind_of(&kind), "durable": true,
            "auto_delete": false, "internal": false, "arguments": {},
        })),
        "queues": Queue::all().map(|queue| json!({
            "name": topology.queue(queue), "vhost": vhost, "durable": true, "auto_delete": false,
            "arguments": arguments(&topology.arguments(queue)),
        })).collect::<Vec<_>>(),
        "bindings": Queue::all().map(|queue| {
            let (exchange, key) = queue.binding();
            json!({
                "source": topology.exchange(exchange), "vhost": vhost, "destination": topology.queue(queue),
                "destination_type": "queue", "routing_key": key, "arguments": {},
            })
        }).collect::<Vec<_>>(),
    });
    if plan.has_users {
        let user = |account: &Account| json!({"name": account.name, "tags": tags(account.role)});
        document["users"] = plan.accounts.iter().map(user).collect();
    }
    document
}

/// What the console lets an account see: operators everything, the others nothing.
pub(super) fn tags(role: Role) -> &'static [&'static str] {
    if role == Role::Operator { &["monitoring"] } else { &[] }
}

fn permission(topology: &Topology, vhost: &str, account: &Account) -> Value {
    let Permissions { configure, write, read } = permissions(topology, account);
    json!({"user": account.name, "vhost": vhost, "configure": configure, "write": write, "read": read})
}

pub(super) fn permissions(topology: &Topology, account: &Account) -> Permissions {
    let nothing = || "^$".to_owned();
    let exchange = |exchange| escaped(&topology.exchange(exchange));
    match account.role {
        Role::Coordinator => {
            let exchanges = EXCHANGES.iter().map(|(it, _)| exchange(*it));
            let mut ours: Vec<String> = exchanges.chain(queues(topology, Queue::all())).collect();
            ours.sort();
            ours.dedup();
            let all = one_of(ours.clone());
            // Answers go through the default exchange.
            let write = one_of(ours.into_iter().chain(["amq\\.default".to_owned()]));
            Permissions { configure: all.clone(), write, read: all }
        }
        Role::Worker => Permissions {
            configure: nothing(),
            write: one_of([exchange(Exchange::Worker)]),
            read: one_of(queues(topology, Queue::all().filter(|queue| matches!(queue, Queue::Work(_))))),
        },
        Role::Subscriber => {
            let events = exchange(Exchange::Events);
            let own = format!("{events}\\.{}(\\..+)?", escaped(&account.name));
            let named_by_broker = "amq\\.gen-.+".to_owned();
            let own = [named_by_broker, own];
            let read = one_of([own.as_slice(), &[events]].concat());
            Permissions { configure: one_of(own.clone()), write: one_of(own), read }
        }
        Role::Operator => Permissions {
            configure: nothing(),
            write: one_of([
                "amq\\.default".to_owned(),
                exchange(Exchange::Commands),
                exchange(Exchange::Worker),
            ]),
            read: one_of(queues(topology, [Queue::Rejected])),
        },
    }
}

/// Lengths, and what else may be changed while running. A queue has one policy, so the patterns do not overlap;
/// the rejected queue has none, since nothing of it may be dropped.
pub(super) fn policies(topology: &Topology, plan: &Plan) -> Vec<Value> {
    let policy = |name: &str, queues: Vec<String>, mut definition: Map<String, Value>| {
        if let Some(timeout) = plan.consumer_timeout {
            let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            definition.insert("consumer-timeout".to_owned(), timeout.into());
        }
        json!({
            "name": format!("{}.{name}", topology.prefix()), "vhost": plan.vhost, "pattern": one_of(queues),
            "apply-to": "queues", "priority": 0, "definition": definition,
        })
    };
    let length = |length: u32| Map::from_iter([("max-length".to_owned(), length.into())]);
    let inbox = [Queue::Start, Queue::Finish, Queue::Commands];
    let work = Queue::all().filter(|queue| matches!(queue, Queue::Work(_)));
    let mut work_length = length(WORK_MAX_LENGTH);
    work_length.insert("overflow".to_owned(), "reject-publish".into());
    vec![
        policy("work", queues(topology, work), work_length),
        policy("inbox", queues(topology, inbox), length(INBOX_MAX_LENGTH)),
        policy("heartbeat", queues(topology, [Queue::Heartbeat]), length(HEARTBEAT_MAX_LENGTH)),
    ]
}

fn queues(topology: &Topology, queues: impl IntoIterator<Item = Queue>) -> Vec<String> {
    queues.into_iter().map(|queue| escaped(&topology.queue(queue))).collect()
}

/// A pattern of exactly these.
fn one_of(patterns: impl IntoIterator<Item = String>) -> String {
    let patterns: Vec<String> = patterns.into_iter().collect();
    if let [only] = patterns.as_slice() { format!("^{only}$") } else { format!("^({})$", patterns.join("|")) }
}

/// A pattern of exactly this name.
fn escaped(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    name.chars().fold(String::new(), |mut pattern, c| {
        if !is_plain(c) {
            pattern.push('\\');
        }
        pattern.push(c);
        pattern
    })
}

fn kind_of(kind: &ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
        other => unreachable!("no exchange of ours is {other:?}"),
    }
}

fn arguments(table: &FieldTable) -> Value {
    let json = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Value::from(text.to_string()),
        AMQPValue::LongInt(number) => Value::from(*number),
        other => unreachable!("no argument of ours is {other:?}"),
    };
    table.into_iter().map(|(name, value)| (name.to_string(), json(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_pattern_of_itself_only() {
        assert_eq!(one_of([escaped("code-imports.work")]), "^code-imports\\.work$");
        assert_eq!(one_of([escaped("a+b"), escaped("c_d")]), "^(a\\+b|c_d)$");
    }
}
