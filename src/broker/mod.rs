//! RabbitMQ, and the only code that names lapin.
//!
//! A process has a publishing connection, one for answers, and one for each consumer, so that a broker that
//! blocks publishers never blocks acknowledgements, and a message that breaks the connection which reads it stops
//! no other queue. Neither recovers by itself: whoever meets an error drops its channels
//! and begins a new session, which makes a new connection where the old one is dead. Delivery tags and
//! pending confirms never outlive a channel.
//!
//! | file          | what                                              |
//! |---------------|---------------------------------------------------|
//! | [`topology`]  | every exchange, queue and binding                 |
//! | [`definitions`] | the same, and who may what, for the console to import |
//! | `doctor`      | whether the broker is well                        |
//! | [`console`]   | the management API: accounts, permissions, policies |
//! | [`setup`]     | what there differs from the definitions, and mending it |
//! | [`accounts`]  | workers' accounts, one by one                     |
//! | [`name`]      | what the console calls us                         |
//! | [`consume`]   | deliveries → batches → verdicts                   |
//! | `care`        | after a message that cannot even be taken         |
//! | [`publish`]   | batches → confirms                                |
//! | `reject`      | what cannot be applied → the rejected queue       |
//! | [`rejected`]  | the rejected queue, as people deal with it        |
//! | `subscribe`   | the events, for whoever listens                   |
//! | [`ask`]       | questions → answers, by direct reply-to           |
//! | [`take`]      | work, for as long as a worker has room for it     |

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod accounts;
pub mod ask;
mod care;
mod connection;
pub mod console;
pub mod consume;
pub mod definitions;
mod doctor;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod name;
pub mod publish;
mod reject;
pub mod rejected;
pub mod setup;
mod subscribe;
pub mod take;
pub mod topology;

use std::fmt;
use std::time::Duration;

use lapin::Channel;
use tokio::runtime::Handle;

use care::Care;
use connection::Link;
pub use connection::{AmqpUrls, BadAmqpUrl};
pub use subscribe::Subscriber;
pub use topology::{Drift, Exchange, Gauge, Queue, Topology};

/// How often somebody who waits for a blocked connection looks at it.
const BLOCKED_LOOK: Duration = Duration::from_secs(1);

/// How often somebody who waits for an answer looks whether the channel lives.
const CHANNEL_LOOK: Duration = Duration::from_secs(1);

/// How long the broker may take to answer anything that is asked of it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long saying goodbye may take, to a channel or to a connection.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);

/// What happened to us at the broker. Every one ends the session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No host of the list could be reached.
    #[error("cannot connect to RabbitMQ at {hosts}: {reason}")]
    Connect {
        /// The hosts, without passwords.
        hosts: String,
        /// Why each of them could not.
        reason: String,
    },
    /// A host is there and does not take us.
    #[error("the broker at {host} refused the account {account}: {reason}")]
    Refused {
        /// Which host, and which virtual host of it.
        host: String,
        /// Who we said that we are.
        account: String,
        /// What it says.
        reason: String,
    },
    /// The broker or the connection to it failed.
    #[error("RabbitMQ: {0}")]
    Lapin(lapin::Error),
    /// The queue is gone, or the broker cancelled our consumer.
    #[error("the broker cancelled the consumer of {0}")]
    Cancelled(String),
    /// The queue or exchange exists otherwise than declared.
    #[error("topology: {what} differs from what is declared: {reason}; delete it, or use another prefix")]
    Topology {
        /// Its name.
        what: String,
        /// What the broker says.
        reason: String,
    },
    /// The console does not do what it is asked.
    #[error("the RabbitMQ console: {0}")]
    Console(String),
    /// An account is not one that this may be done with.
    #[error("{0}")]
    Account(String),
    /// A message of a queue broke the connection that read it, as one does with a property that is not UTF-8.
    #[error("a message of {0} breaks every connection that reads it")]
    BreaksConnections(String),
    /// A message of our own kind that cannot be read.
    #[error("an event cannot be read: {0}")]
    Unreadable(String),
    /// The connection died, and nobody told whoever waited for an answer on it.
    #[error("the connection died while {0}")]
    Died(&'static str),
    /// Something took longer than its limit.
    #[error("{0} took longer than {1:?}")]
    Stalled(&'static str, Duration),
    /// A message was not confirmed, so it may be lost.
    #[error("the broker did not take {0}: {1}")]
    NotConfirmed(String, &'static str),
}

/// Not `#[from]`, which makes it the source too: whoever shows the chain of causes would say it twice.
impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        Self::Lapin(error)
    }
}

/// The broker as this process knows it: where it is, what we call things there, and our connections.
pub struct Broker {
    /// What exchanges and queues are called.
    pub topology: Topology,
    urls: AmqpUrls,
    name: String,
    consuming: Link,
    publishing: Link,
    answering: Link,
    care: Care,
    runtime: Handle,
}

impl Broker {
    /// Knows a broker; nothing is connected yet. `name` is what the console shows of us: see
    /// [`name`]. Its connections live in the runtime in which this is called.
    #[must_use]
    pub fn new(urls: AmqpUrls, prefix: &str, name: &str) -> Self {
        let runtime = Handle::current();
        let link =
            |purpose| Link::new(urls.clone(), format!("code-imports {name} ({purpose})"), runtime.clone());
        let (consuming, publishing, answering) = (link("consuming"), link("publishing"), link("answering"));
        let name = name.to_owned();
        let (topology, care) = (Topology::new(prefix), Care::default());
        Self { topology, urls, name, consuming, publishing, answering, care, runtime }
    }

    /// The account by which the broker knows us, for `user_id`.
    #[must_use]
    pub fn account(&self) -> &str {
        self.urls.account()
    }

    /// What the console calls a consumer of ours: who we are, and what it reads.
    fn tag(&self, what: &str) -> String {
        format!("{} {what}", self.name)
    }

    /// Declares the whole topology, on a channel of its own. Safe to repeat.
    ///
    /// # Errors
    /// [`Error::Topology`] if something is there that differs: nothing of ours can mend that.
    pub async fn declare(&self) -> Result<(), Error> {
        let declaring = async {
            let channel = self.publishing.channel().await?;
            topology::declare(&channel, &self.topology).await?;
            Ok(channel.close(200, "declared".into()).await?)
        };
        in_time("declaring the topology", declaring).await
    }

    /// What of the topology is missing or differs.
    pub async fn check(&self) -> Result<Vec<Drift>, Error> {
        topology::check(&self.publishing, &self.topology).await
    }

    /// Whether the broker takes nothing from publishers now, and what it says of it.
    #[must_use]
    pub fn blocked(&self) -> Option<String> {
        self.publishing.blocked()
    }

    /// Waits until the broker takes something from publishers, or the connection is dead.
    pub async fn unblocked(&self) {
        let mut looks = tokio::time::interval(BLOCKED_LOOK);
        while self.blocked().is_some() {
            looks.tick().await;
        }
    }

    /// Says goodbye to the broker; what was written before arrives.
    pub async fn close(&self) {
        self.consuming.close().await;
        self.publishing.close().await;
        self.answering.close().await;
    }

    /// A new channel on the consuming connection.
    pub(crate) async fn consuming_channel(&self) -> Result<Channel, Error> {
        self.consuming.channel().await
    }

    /// A connection for one consumer alone: a message that breaks the connection which reads it (an ill-formed
    /// property does) then stops the consumer of its own queue, and no other.
    fn consumer_link(&self, queue: &str) -> Link {
        let name = format!("code-imports {} (consuming {queue})", self.name);
        Link::new(self.urls.clone(), name, self.runtime.clone())
    }

    /// Whether answers would only wait.
    fn is_answering_blocked(&self) -> bool {
        self.answering.blocked().is_some()
    }

    /// A new channel on the answering connection, which nobody depends on: RabbitMQ closes it when an answer goes to
    /// an address that somebody made up.
    async fn answering_channel(&self) -> Result<Channel, Error> {
        self.answering.channel().await
    }

    /// A new channel on the publishing connection.
    pub(crate) async fn publishing_channel(&self) -> Result<Channel, Error> {
        self.publishing.channel().await
    }
}

/// Closes a channel that a failure has not closed, and waits until the broker has.
///
/// One that is only dropped says goodbye when lapin comes to it. If its connection says goodbye meanwhile, lapin
/// takes that for an error, and throws away what it has not written yet.
async fn close(channel: &Channel) {
    if channel.status().connected() {
        // It may die while we wait; then there is nobody to say goodbye to.
        drop(tokio::time::timeout(GOODBYE_LIMIT, channel.close(200, "goodbye".into())).await);
    }
}

/// Gives up what waits for the broker for too long: a peer that vanished, or blocks, answers nothing at all.
async fn in_time<T>(what: &'static str, waiting: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER_LIMIT, waiting).await.map_err(|_| Error::Stalled(what, ANSWER_LIMIT))?
}

/// Waits for the answer to what was asked on a channel, but neither for too long nor on a channel that is dead.
async fn asked<T>(
    channel: &Channel,
    what: &'static str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    in_time(what, while_alive(channel, what, answer)).await
}

/// Waits for something on a channel, for as long as that lives. lapin forgets whoever waits in the moment in which the
/// connection dies.
async fn while_alive<T>(
    channel: &Channel,
    what: &'static str,
    waiting: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    let death = async {
        let mut looks = tokio::time::interval(CHANNEL_LOOK);
        while channel.status().connected() {
            looks.tick().await;
        }
    };
    tokio::select! {
        biased;
        done = waiting => Ok(done?),
        () = death => Err(Error::Died(what)),
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("hosts", &self.urls.hosts()).finish_non_exhaustive()
    }
}
