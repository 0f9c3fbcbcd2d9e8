//! Applies what workers and operators say.
//!
//! A batch of deliveries becomes commands, goes through [`Store::apply`], and comes back as verdicts: what is
//! answered, and what goes to the rejected queue with its reason.

mod commands;
mod requeue;
mod workers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Context, begin, metrics};
use crate::broker::Queue;
use crate::broker::consume::{Consumption, Verdict};
use crate::broker::rejected::Look;
use crate::protocol::answer::Answer;
use crate::protocol::{Received, Refusal};
use crate::store::Store;
use crate::workflow::{Command, Outcome, Rejection};

/// The most messages of a batch.
const BATCH: u16 = 500;

/// Nothing came for so long: the queue is consumed anew.
const IDLE: Duration = Duration::from_secs(30);

/// One session: database, broker, topology, a row of its own, and then messages until something breaks.
pub(super) async fn session(context: Arc<Context>, role: &'static str, queue: Queue) -> anyhow::Result<()> {
    let context = context.as_ref();
    let mut store = begin(context, role).await?;
    context.health.working(role);
    let consumption = Consumption { queue, batch: BATCH, idle: IDLE };
    let judge = async |messages: &[Received]| judge(context, &mut store, queue, messages).await;
    context.broker.consume(consumption, &context.shutdown, judge).await
}

/// A message as it was understood.
enum Read {
    /// A wish, and the part of the message that could not be read.
    Command(Box<Command>, Option<Refusal>),
    /// A question that changes nothing, and its answer.
    Answered(Vec<u8>),
    /// What was done at once, and what became of it.
    Decided(Box<Outcome>),
    /// Nothing that could ever be applied.
    Refused(Refusal),
    /// What whoever sent it may not say.
    NotAllowed(Refusal),
}

/// Who sent a message.
struct Sender<'a> {
    /// The account that counts, as the broker verified it.
    account: Option<&'a str>,
    /// Whether somebody with the right to it sent it again, whoever sent it first.
    is_replay: bool,
}

async fn judge(
    context: &Context,
    store: &mut Store,
    queue: Queue,
    messages: &[Received],
) -> anyhow::Result<Vec<Verdict>> {
    let begun = Instant::now();
    let mut read = Vec::with_capacity(messages.len());
    let mut replays = Vec::with_capacity(messages.len());
    let mut look: Option<Look> = None;
    for message in messages {
        let sender = sender(context, store, message).await?;
        replays.push(sender.is_replay);
        read.push(match queue {
            Queue::Start => workers::start(context, message, &sender),
            Queue::Heartbeat => workers::heartbeat(context, message, &sender),
            Queue::Finish => workers::finish(context, message, &sender),
            _ => commands::read(context, store, &mut look, message, sender.account).await?,
        });
    }
    if let Some(look) = look {
        look.close().await?;
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
        Read::Answered(answer) => Verdict { answer: Some(answer), ..Verdict::default() },
        Read::Decided(outcome) => decided(context, queue, message, *outcome),
        Read::Refused(refusal) => refused(queue, message, refusal),
        Read::NotAllowed(refusal) => declined(queue, message, refusal, queue == Queue::Finish),
        Read::Command(_, malformed) => {
            let outcome = outcomes.next().unwrap_or_else(|| unreachable!("every command has its outcome"));
            let verdict = decided(context, queue, message, outcome);
            Verdict { reject: verdict.reject.or(malformed), ..verdict }
        }
    };
    let verdicts = messages.iter().zip(read).map(verdict);
    Ok(verdicts.zip(replays).map(|(verdict, is_replay)| Verdict { is_replay, ..verdict }).collect())
}

/// Who sent a message. The mark of one that was sent again counts only if the broker verified that an operator
/// or the coordinator did that: then it is judged as what it was when it was sent first.
async fn sender<'a>(
    context: &Context,
    store: &mut Store,
    message: &'a Received,
) -> anyhow::Result<Sender<'a>> {
    let account = message.user_id.as_deref();
    let itself = Sender { account, is_replay: false };
    let (Some(replay), Some(by)) = (&message.replay, account) else { return Ok(itself) };
    let vouches = by == context.broker.account() || is_operator(store, by).await?;
    Ok(if vouches { Sender { account: replay.user_id.as_deref(), is_replay: true } } else { itself })
}

/// Whether a broker account speaks for an operator.
async fn is_operator(store: &mut Store, account: &str) -> anyhow::Result<bool> {
    let Ok(name) = account.parse() else { return Ok(false) };
    Ok(store.person(&name).await?.is_some_and(|person| person.is_operator()))
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
        Read::Answered(_) | Read::Decided(_) | Read::Refused(_) | Read::NotAllowed(_) => None,
    }
}

fn decided(context: &Context, queue: Queue, message: &Received, outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Applied(reply) | Outcome::Repeated(reply) => {
            metrics::message(queue, "accepted");
            let answer = message.reply_to.is_some().then(|| workers::answer(context, reply));
            Verdict { answer, ..Verdict::default() }
        }
        Outcome::Rejected(rejection) => {
            let refusal = Refusal::new(rejection.code(), &rejection);
            let is_kept = queue == Queue::Finish || matches!(rejection, Rejection::Failed(_));
            declined(queue, message, refusal, is_kept)
        }
    }
}

/// Answers that it is refused, if somebody asked; else, or if it is kept all the same, a copy goes to the rejected
/// queue. A refused finish is kept for people, whoever asked.
fn declined(queue: Queue, message: &Received, refusal: Refusal, is_kept: bool) -> Verdict {
    if is_kept || message.reply_to.is_none() {
        return refused(queue, message, refusal);
    }
    metrics::message(queue, "refused");
    tracing::debug!(code = refusal.code, reason = refusal.reason, "refused: {}", refusal.reason);
    Verdict { answer: Some(json(&Answer::Refused(refusal))), ..Verdict::default() }
}

/// Answers that it is refused, if somebody asked, and sends a copy to the rejected queue.
fn refused(queue: Queue, message: &Received, refusal: Refusal) -> Verdict {
    metrics::message(queue, "rejected");
    let Refusal { code, reason } = &refusal;
    tracing::info!(?queue, message_id = message.message_id, code, reason, "rejected: {reason}");
    let answer = message.reply_to.is_some().then(|| json(&Answer::Refused(refusal.clone())));
    Verdict { answer, reject: Some(refusal), ..Verdict::default() }
}

fn json<T: serde::Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_else(|error| unreachable!("our own words are JSON: {error}"))
}
