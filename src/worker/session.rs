//! One session with the broker after the other.
//!
//! A session is a connection of its own with its channels. Whatever goes wrong ends it, everything that
//! belongs to it is dropped, and after a jittered backoff the next one begins.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::duties::{Command, Event};
use super::settings::WorkerSettings;
use crate::broker::ask::Answers;
use crate::broker::publish::{Confirm, Outgoing, Publisher};
use crate::broker::take::Taker;
use crate::broker::{Broker, Error, Exchange, Queue, name};

/// Commands that wait to be carried out. A session that falls so far behind has stalled, and is dropped.
const MAX_COMMANDS: usize = 4096;

/// Connecting to a broker that takes nothing may hang; then it is tried anew.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Saying goodbye to a broker that does not listen may hang too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session tells the client.
#[derive(Debug)]
pub(super) enum Word {
    /// It began, and takes commands here. When the client drops this, the session is over.
    Began(mpsc::Sender<Command>),
    /// Something happened.
    Happened(Event),
}

/// Holds one session after the other, until `goodbye`.
pub(super) async fn hold_sessions(
    settings: WorkerSettings,
    words: mpsc::Sender<Word>,
    goodbye: CancellationToken,
) {
    let mut failures: u32 = 0;
    // One line for an incident, not for every try.
    let mut is_news = true;
    while !goodbye.is_cancelled() {
        let mut held_since: Option<Instant> = None;
        let broker =
            Broker::new(settings.urls.clone(), &settings.prefix, &name::of("worker", &settings.machine));
        let ended = tokio::select! {
            opened = open(&broker, &settings) => match opened {
                Ok(session) => {
                    is_news = true;
                    held_since = Some(Instant::now());
                    session.hold(&words).await
                }
                Err(error) => Err(error),
            },
            () = goodbye.cancelled() => Ok(()),
        };
        drop(tokio::time::timeout(CLOSE_TIMEOUT, broker.close()).await);
        if let Err(error) = ended {
            if is_news {
                tracing::warn!("the session with the broker is over: {error}");
            } else {
                tracing::debug!("no session with the broker: {error}");
            }
            is_news = false;
        }
        if words.send(Word::Happened(Event::Disconnected)).await.is_err() {
            return;
        }
        let (_, longest) = settings.timing.reconnect;
        // A session that broke at once is a failure, and so is one that took long to fail to open.
        failures = if held_since.is_some_and(|since| since.elapsed() > longest) {
            0
        } else {
            failures.saturating_add(1)
        };
        tokio::select! {
            () = wait(backoff(settings.timing.reconnect, failures)) => {}
            () = goodbye.cancelled() => {}
        }
    }
}

/// How long to wait after so many failures in a row: twice as long each time, and not all machines at once.
fn backoff((first, longest): (Duration, Duration), failures: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(longest).mul_f64(rand::random_range(0.5..=1.0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only backoff of a worker, which runs without a supervisor"
)]
async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// What belongs to one session.
struct Session<'a> {
    broker: &'a Broker,
    publisher: Publisher,
    answers: Answers,
    taker: Taker,
    exchange: String,
    /// How we are connected, for the broker to verify: with an account of its own a machine is believed.
    account: String,
}

async fn open<'a>(broker: &'a Broker, settings: &WorkerSettings) -> Result<Session<'a>, Error> {
    let opening = async {
        let (publisher, answers) = broker.asking_publisher().await?;
        let taker = broker.taker(settings.rcs_types.iter().copied().map(Queue::Work)).await?;
        let exchange = broker.topology.exchange(Exchange::Worker);
        let account = broker.account().to_owned();
        Ok(Session { broker, publisher, answers, taker, exchange, account })
    };
    let stalled = |_| Error::Stalled("opening a session", OPEN_TIMEOUT);
    tokio::time::timeout(OPEN_TIMEOUT, opening).await.map_err(stalled)?
}

impl Session<'_> {
    /// Tells what happens and does what it is told, in order, until nobody commands it any more.
    async fn hold(mut self, words: &mpsc::Sender<Word>) -> Result<(), Error> {
        let (commander, mut commands) = mpsc::channel(MAX_COMMANDS);
        // When nobody listens, nobody commands either, and the next command is the end.
        drop(words.send(Word::Began(commander)).await);
        loop {
            let event = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => {
                        self.carry_out(command).await?;
                        continue;
                    }
                    None => break,
                },
                answer = self.answers.next() => Event::Answered(answer?),
                delivery = self.taker.next() => {
                    let (tag, work) = delivery?;
                    Event::Delivered(tag, work)
                }
            };
            drop(words.send(Word::Happened(event)).await);
        }
        self.publisher.close().await;
        self.taker.close().await;
        Ok(())
    }

    async fn carry_out(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Publish(message) => self.publish(*message).await,
            Command::Consume => self.taker.consume().await,
            Command::Cancel => self.taker.cancel().await,
            Command::Acknowledge(tag) => self.taker.acknowledge(tag).await,
            Command::GiveBack(tag) => self.taker.give_back(tag).await,
        }
    }

    /// Publishes, and waits for the confirm. What the broker does not take is not answered, and so repeated.
    async fn publish(&mut self, message: Outgoing) -> Result<(), Error> {
        let message = Outgoing { user_id: Some(self.account.clone()), ..message };
        let published = self.publisher.publish(&self.exchange, std::slice::from_ref(&message), true).await;
        if let Err(Error::Stalled(..)) = published {
            // A blocked connection can not even be closed, and a new one would be blocked too. When this one
            // is free, a new session begins, in which all is published at once that was held up.
            self.broker.unblocked().await;
        }
        let confirms = published?;
        let why = match confirms.first() {
            None | Some(Confirm::Taken) => return Ok(()),
            Some(Confirm::Returned) => "no queue is bound for it",
            // A channel that met a queue between two leaders may be refused for good: a new session asks anew.
            Some(Confirm::Refused) => {
                let what = format!("{} {}", message.kind, message.message_id);
                return Err(Error::NotConfirmed(what, "it refused"));
            }
        };
        let (kind, id) = (message.kind, message.message_id);
        tracing::warn!(message.id = id, "{kind} {id} was not taken: {why}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_the_longest_wait_and_is_jittered() {
        let waits = (Duration::from_secs(1), Duration::from_secs(30));
        for (failures, longest) in [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (1000, 30)] {
            let wait = backoff(waits, failures);
            let longest = Duration::from_secs(longest);
            assert!(longest / 2 <= wait && wait <= longest, "{wait:?}");
        }
    }

    /// With waits of up to 30 s, a worker that its broker had left for 24 s was away for half a minute more.
    #[test]
    fn however_often_it_failed_a_worker_tries_again_within_ten_seconds() {
        let waits = crate::worker::Timing::default().reconnect;
        assert!((0..1000).all(|failures| backoff(waits, failures) < Duration::from_secs(10)));
    }
}
