//! Applies what workers and operators say.
//!
//! A batch of deliveries becomes commands, goes through [`Store::apply`], and comes back as verdicts: what is
//! answered, and what goes to the rejected queue with its reason.

mod commands;
mod workers;

use std::sync::Arc;
use std::time::Instant;

use super::{Context, begin, metrics};
use crate::broker::Queue;
use crate::broker::consume::{Consumption, Verdict};
use crate::protocol::answer::Answer;
use crate::protocol::{Received, Refusal};
use crate::store::Store;
use crate::workflow::{Command, Outcome, Rejection};

/// Deliveries that the broker sends ahead, and so the most of a batch. A heartbeat may name 100 jobs, so there
/// are fewer of them.
fn prefetch(queue: Queue) -> u16 {
    if queue == Queue::Heartbeat { 64 } else { 500 }
}

/// One session: database, broker, topology, a row of its own, and then messages until something breaks.
pub(super) async fn session(context: Arc<Context>, role: &'static str, queue: Queue) -> anyhow::Result<()> {
    let context = context.as_ref();
    let mut store = begin(context, role).await?;
    context.health.working(role);
    let consumption = Consumption { queue, prefetch: prefetch(queue) };
    let judge = async |messages: &[Received]| judge(context, &mut store, queue, messages).await;
    context.broker.consume(consumption, &context.shutdown, judge).await
}

/// A message as it was understood.
enum Read {
    /// A wish, and the part of the message that could not be read.
    Command(Box<Command>, Option<Refusal>),
    /// A question that changes nothing, and its answer.
    Answered(Vec<u8>),
    /// Nothing that could ever be applied.
    Refused(Refusal),
}

async fn judge(
    context: &Context,
    store: &mut Store,
    queue: Queue,
    messages: &[Received],
) -> anyhow::Result<Vec<Verdict>> {
    let begun = Instant::now();
    let mut read = Vec::with_capacity(messages.len());
    for message in messages {
        read.push(match queue {
            Queue::Start => workers::start(message),
            Queue::Heartbeat => workers::heartbeat(message, context.broker.account()),
            Queue::Finish => workers::finish(message),
            _ => commands::read(store, message).await?,
        });
    }
    let commands: Vec<Command> = read.iter().filter_map(command).collect();
    let outcomes = store.apply(&commands, &context.settings.policy).await?;
    metrics::batch(queue, messages.len(), begun.elapsed());
    context.events_written.notify_one();
    if matches!(queue, Queue::Finish | Queue::Commands) {
        context.jobs_changed.notify_one();
    }
    let mut outcomes = outcomes.into_iter();
    let verdict = |(message, read): (&Received, Read)| match read {
        Read::Answered(answer) => Verdict { answer: Some(answer), reject: None },
        Read::Refused(refusal) => refused(queue, message, refusal),
        Read::Command(_, malformed) => {
            let outcome = outcomes.next().unwrap_or_else(|| unreachable!("every command has its outcome"));
            let verdict = decided(context, queue, message, outcome);
            Verdict { reject: verdict.reject.or(malformed), ..verdict }
        }
    };
    Ok(messages.iter().zip(read).map(verdict).collect())
}

impl Read {
    /// A wish that was understood wholly.
    fn wish(command: Command) -> Self {
        Self::Command(Box::new(command), None)
    }
}

fn command(read: &Read) -> Option<Command> {
    match read {
        Read::Command(command, _) => Some(command.as_ref().clone()),
        Read::Answered(_) | Read::Refused(_) => None,
    }
}

fn decided(context: &Context, queue: Queue, message: &Received, outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Applied(reply) | Outcome::Repeated(reply) => {
            metrics::message(queue, "accepted");
            let answer = message.reply_to.is_some().then(|| workers::answer(context, reply));
            Verdict { answer, reject: None }
        }
        Outcome::Rejected(rejection) => {
            let refusal = Refusal::new(rejection.code(), &rejection);
            // A refused finish is kept for people, whoever asked; another refusal only if nobody waits for it.
            let is_kept = queue == Queue::Finish || matches!(rejection, Rejection::Failed(_));
            if is_kept || message.reply_to.is_none() {
                refused(queue, message, refusal)
            } else {
                metrics::message(queue, "refused");
                tracing::debug!(code = refusal.code, reason = refusal.reason, "refused: {}", refusal.reason);
                Verdict { answer: Some(json(&Answer::Refused(refusal))), reject: None }
            }
        }
    }
}

/// Answers that it is refused, if somebody asked, and sends a copy to the rejected queue.
fn refused(queue: Queue, message: &Received, refusal: Refusal) -> Verdict {
    metrics::message(queue, "rejected");
    let Refusal { code, reason } = &refusal;
    tracing::info!(?queue, message_id = message.message_id, code, reason, "rejected: {reason}");
    let answer = message.reply_to.is_some().then(|| json(&Answer::Refused(refusal.clone())));
    Verdict { answer, reject: Some(refusal) }
}

fn json<T: serde::Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_else(|error| unreachable!("our own words are JSON: {error}"))
}
