//! Every exchange, queue and binding, and nothing else.
//!
//! ```text
//! worker   (direct) --start, heartbeat, finish--> a queue each ----dead----> rejected
//! commands (direct) --command-------------------> commands     ----dead----> rejected
//! work     (direct) --git, svn, hg, cvs, bzr----> a queue each
//! events   (fanout) ----------------------------> whoever listens
//! rejected (fanout) ----------------------------> rejected
//! ```
//!
//! Queues are quorum queues, so that the same set-up runs on a cluster. Arguments hold what never
//! changes; what may be changed while running (lengths) belongs into policies.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use strum::VariantArray;

use super::connection::Link;
use super::{Broker, Error, close, in_time};
use crate::domain::RcsType;

/// After so many deliveries a message is the broker's to dead-letter: only a crash loop gets there.
const DELIVERY_LIMIT: i32 = 200;

/// Giving work back is no failure, nor is a look at what was rejected; RabbitMQ 4 would drop a message after 20
/// times.
const LENIENT_DELIVERY_LIMIT: i32 = 1_000_000;

/// The exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// What workers say.
    Worker,
    /// What workers are to do.
    Work,
    /// What happened.
    Events,
    /// What operators ask for.
    Commands,
    /// What could not be applied.
    Rejected,
    /// The broker's own, which routes to the queue of the routing key's name: for answers.
    Default,
}

/// The queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Workers ask to start a job.
    Start,
    /// Workers, and the coordinator itself, say that they are alive.
    Heartbeat,
    /// Workers report.
    Finish,
    /// Operators ask for something.
    Commands,
    /// Jobs for the workers of one RCS.
    Work(RcsType),
    /// What could not be applied, with its reason.
    Rejected,
}

impl Queue {
    /// Every queue, in the order of the flow.
    pub fn all() -> impl Iterator<Item = Self> {
        let work = RcsType::VARIANTS.iter().copied().map(Self::Work);
        work.chain([Self::Start, Self::Heartbeat, Self::Finish, Self::Commands, Self::Rejected])
    }

    /// The exchange it is bound to, and the key of the binding.
    #[must_use]
    pub fn binding(self) -> (Exchange, &'static str) {
        match self {
            Self::Start => (Exchange::Worker, "start"),
            Self::Heartbeat => (Exchange::Worker, "heartbeat"),
            Self::Finish => (Exchange::Worker, "finish"),
            Self::Commands => (Exchange::Commands, "command"),
            Self::Work(rcs_type) => (Exchange::Work, rcs_type.key()),
            Self::Rejected => (Exchange::Rejected, ""),
        }
    }
}

/// What exchanges and queues are called: every name begins with the prefix.
#[derive(Clone, Debug)]
pub struct Topology {
    prefix: String,
}

impl Topology {
    /// The names under this prefix, `code-imports` unless configured.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// What every name begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of an exchange.
    #[must_use]
    pub fn exchange(&self, exchange: Exchange) -> String {
        let name = match exchange {
            Exchange::Worker => "worker",
            Exchange::Work => "work",
            Exchange::Events => "events",
            Exchange::Commands => "commands",
            Exchange::Rejected => "rejected",
            Exchange::Default => return String::new(),
        };
        format!("{}.{name}", self.prefix)
    }

    /// The name of a queue.
    #[must_use]
    pub fn queue(&self, queue: Queue) -> String {
        let name = match queue {
            Queue::Start => "start",
            Queue::Heartbeat => "heartbeat",
            Queue::Finish => "finish",
            Queue::Commands => "commands",
            Queue::Work(rcs_type) => return format!("{}.work.{}", self.prefix, rcs_type.key()),
            Queue::Rejected => "rejected",
        };
        format!("{}.{name}", self.prefix)
    }

    pub(super) fn arguments(&self, queue: Queue) -> FieldTable {
        let mut arguments = FieldTable::default();
        let mut set = |key: &str, value: AMQPValue| {
            arguments.insert(key.into(), value);
        };
        let text = |value: &str| AMQPValue::LongString(value.into());
        set("x-queue-type", text("quorum"));
        match queue {
            Queue::Start | Queue::Finish | Queue::Commands => {
                set("x-dead-letter-exchange", text(&self.exchange(Exchange::Rejected)));
                set("x-dead-letter-strategy", text("at-least-once"));
                set("x-overflow", text("reject-publish"));
                set("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT));
            }
            // One that breaks every connection that reads it would stop all heartbeats for ever.
            Queue::Heartbeat => set("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT)),
            Queue::Work(_) | Queue::Rejected => {
                set("x-delivery-limit", AMQPValue::LongInt(LENIENT_DELIVERY_LIMIT));
            }
        }
        arguments
    }
}

/// The exchanges that we declare, with their kinds.
pub(super) const EXCHANGES: [(Exchange, ExchangeKind); 5] = [
    (Exchange::Worker, ExchangeKind::Direct),
    (Exchange::Work, ExchangeKind::Direct),
    (Exchange::Events, ExchangeKind::Fanout),
    (Exchange::Commands, ExchangeKind::Direct),
    (Exchange::Rejected, ExchangeKind::Fanout),
];

/// Declares the whole topology. Safe to repeat; fails if it differs.
pub(super) async fn declare(channel: &Channel, topology: &Topology) -> Result<(), Error> {
    for (exchange, kind) in EXCHANGES {
        declare_exchange(channel, topology, exchange, kind).await?;
    }
    for queue in Queue::all() {
        declare_queue(channel, topology, queue).await?;
    }
    Ok(())
}

async fn declare_exchange(
    channel: &Channel,
    topology: &Topology,
    exchange: Exchange,
    kind: ExchangeKind,
) -> Result<(), Error> {
    let name = topology.exchange(exchange);
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await;
    declared.map_err(|error| differs(name, error))
}

async fn declare_queue(channel: &Channel, topology: &Topology, queue: Queue) -> Result<(), Error> {
    let name = topology.queue(queue);
    let (exchange, key) = queue.binding();
    let arguments = topology.arguments(queue);
    let declared =
        channel.queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), arguments).await;
    declared.map_err(|error| differs(name.clone(), error))?;
    let exchange = topology.exchange(exchange).as_str().into();
    let options = QueueBindOptions::default();
    Ok(channel.queue_bind(name.as_str().into(), exchange, key.into(), options, FieldTable::default()).await?)
}

/// A name that is taken by something else (406) is a matter for people; all else is the connection's.
fn differs(what: String, error: lapin::Error) -> Error {
    match error.kind() {
        ErrorKind::ProtocolError(reason) if reason.get_id() == 406 => {
            Error::Topology { what, reason: reason.get_message().to_string() }
        }
        _ => error.into(),
    }
}

/// How the broker is otherwise than declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It is not there.
    Missing {
        /// An exchange, or a queue.
        kind: &'static str,
        /// What it is called.
        name: String,
    },
    /// It is there, and otherwise.
    Differs {
        /// What it is called.
        name: String,
        /// What the broker says.
        reason: String,
    },
    /// Our account may not look.
    Hidden {
        /// What it is called.
        name: String,
    },
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { kind, name } => {
                write!(f, "topology: there is no {kind} {name}; type `code-imports topology apply`")
            }
            Self::Differs { name, reason } => {
                Error::Topology { what: name.clone(), reason: reason.clone() }.fmt(f)
            }
            Self::Hidden { name } => write!(f, "topology: this account may not configure {name}"),
        }
    }
}

/// What is missing or differs. Nothing that is missing is made.
pub(super) async fn check(link: &Link, topology: &Topology) -> Result<Vec<Drift>, Error> {
    let mut drifts = Vec::new();
    for (exchange, kind) in EXCHANGES {
        // A failing declaration closes its channel, so each has one of its own.
        let channel = link.channel().await?;
        let name = topology.exchange(exchange);
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let there = channel
            .exchange_declare(name.as_str().into(), kind.clone(), passive, FieldTable::default())
            .await;
        let declared = match there {
            Ok(()) => declare_exchange(&channel, topology, exchange, kind).await,
            Err(error) => Err(error.into()),
        };
        drifts.extend(drift("exchange", name, declared)?);
        close(&channel).await;
    }
    for queue in Queue::all() {
        let channel = link.channel().await?;
        let name = topology.queue(queue);
        let passive = QueueDeclareOptions::durable().passive();
        let there = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await;
        let declared = match there {
            Ok(_) => declare_queue(&channel, topology, queue).await,
            Err(error) => Err(error.into()),
        };
        drifts.extend(drift("queue", name, declared)?);
        close(&channel).await;
    }
    Ok(drifts)
}

/// What the broker said to a declaration of something.
fn drift(kind: &'static str, name: String, declared: Result<(), Error>) -> Result<Option<Drift>, Error> {
    match declared {
        Ok(()) => Ok(None),
        Err(Error::Topology { reason, .. }) => Ok(Some(Drift::Differs { name, reason })),
        Err(Error::Lapin(error)) => match refusal(&error) {
            Some(404) => Ok(Some(Drift::Missing { kind, name })),
            Some(403) => Ok(Some(Drift::Hidden { name })),
            _ => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

/// The number by which the broker says why it refused.
pub(super) fn refusal(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(reason) => Some(reason.get_id()),
        _ => None,
    }
}

impl Broker {
    /// How many messages lie ready in a queue, and how many consume it; nothing if there is no such queue, or our
    /// account may not know.
    pub(super) async fn look_into(&self, queue: Queue) -> Result<Option<(u32, u32)>, Error> {
        let channel = self.consuming_channel().await?;
        let name = self.topology.queue(queue);
        let passive = QueueDeclareOptions::durable().passive();
        let asking =
            async { Ok(channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await) };
        let answer = in_time("asking for a queue's length", asking).await?;
        close(&channel).await;
        match answer {
            Ok(queue) => Ok(Some((queue.message_count(), queue.consumer_count()))),
            Err(error) if refusal(&error).is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Asks how many messages lie ready in queues, on a channel of its own.
#[derive(Debug)]
pub struct Gauge {
    channel: Channel,
    topology: Topology,
}

impl Broker {
    /// A gauge on a channel of its own; of the connection that the broker does not block, when it blocks.
    pub async fn gauge(&self) -> Result<Gauge, Error> {
        Ok(Gauge { channel: self.consuming_channel().await?, topology: self.topology.clone() })
    }
}

impl Gauge {
    /// How many messages lie ready in a queue: those that nobody was sent yet.
    pub async fn ready(&self, queue: Queue) -> Result<u32, Error> {
        let name = self.topology.queue(queue);
        let passive = QueueDeclareOptions::durable().passive();
        let asking = self.channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
        let queue = in_time("asking for a queue's length", async { Ok(asking.await?) }).await?;
        Ok(queue.message_count())
    }

    /// Closes its channel, before its connection is closed.
    pub async fn close(self) {
        close(&self.channel).await;
    }
}
