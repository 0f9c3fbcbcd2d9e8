//! Due jobs → work queues, a short window.
//!
//! The database is the queue: only a window of messages lies ready in each work queue, so that a request made
//! now overtakes work that has not been handed out. A round marks jobs, commits, and publishes; what was not
//! plainly confirmed is unmarked, and what was lost all the same comes back after the dispatch timeout.

mod order;
mod position;
mod window;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use strum::VariantArray;

use self::order::merge;
use self::position::Position;
use self::window::Window;
use super::leader::lead;
use super::{Context, begin, metrics};
use crate::broker::publish::{Confirm, Outgoing, Publisher};
use crate::broker::{Exchange, Gauge, Queue};
use crate::domain::{Import, Job, RcsType, Timestamp};
use crate::failpoint;
use crate::protocol::work::{ImportBody, Previous, Work};
use crate::store::{DueJob, LostJob, Store};
use crate::workflow::{Command, Outcome, Reply};

const ROLE: &str = "dispatcher";

/// The most jobs of one round and RCS.
const ROUND_MAX: u32 = 500;

/// How long a round waits when there is nothing to hand out, and nobody in this process changed a job.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);

/// How often jobs that were handed out and never started are looked for.
const LOST_SCAN: TimeDelta = TimeDelta::seconds(1);

/// How long it waits when more is due than the windows hold.
const BUSY_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn session(context: Arc<Context>) -> anyhow::Result<()> {
    let context = context.as_ref();
    let store = begin(context, ROLE).await?;
    let publisher = context.broker.publisher().await?;
    let gauge = context.broker.gauge().await?;
    let lanes = RcsType::VARIANTS.iter().map(|rcs_type| Lane::new(*rcs_type, context)).collect();
    let mut dispatcher = Dispatcher { context, store, publisher, gauge, lanes };
    lead(context, ROLE, dispatcher.work()).await?;
    dispatcher.publisher.close().await;
    dispatcher.gauge.close().await;
    Ok(())
}

/// What is remembered of one work queue.
struct Lane {
    rcs_type: RcsType,
    window: Window,
    position: Position,
    /// How many places were given, so that every fifth goes to the job that has been due longest.
    place: usize,
    /// When jobs that were never started were last looked for.
    lost_scan: Option<Timestamp>,
}

/// What may go out.
struct Candidates {
    requested: Vec<DueJob>,
    scanned: Vec<DueJob>,
    lost: Vec<LostJob>,
}

impl Lane {
    fn new(rcs_type: RcsType, context: &Context) -> Self {
        let settings = &context.settings;
        let window = Window::new(settings.window_min, settings.window_max);
        Self { rcs_type, window, position: Position::default(), place: 0, lost_scan: None }
    }
}

struct Dispatcher<'a> {
    context: &'a Context,
    store: Store,
    publisher: Publisher,
    gauge: Gauge,
    lanes: Vec<Lane>,
}

impl Dispatcher<'_> {
    async fn work(&mut self) -> anyhow::Result<()> {
        while !self.context.shutdown.is_cancelled() {
            let is_busy = self.round().await?;
            let wait = if is_busy { BUSY_INTERVAL } else { IDLE_INTERVAL };
            tokio::select! {
                () = self.context.jobs_changed.notified(), if !is_busy => {}
                _ = tokio::time::timeout(wait, self.context.shutdown.cancelled()) => {}
            }
        }
        Ok(())
    }

    /// Hands out what the windows hold. True if that was something, and more is due.
    async fn round(&mut self) -> anyhow::Result<bool> {
        let now = self.store.now().await?;
        let mut is_busy = false;
        for mut lane in std::mem::take(&mut self.lanes) {
            let round = self.round_of(&mut lane, now).await;
            self.lanes.push(lane);
            is_busy |= round?;
        }
        Ok(is_busy)
    }

    async fn round_of(&mut self, lane: &mut Lane, now: Timestamp) -> anyhow::Result<bool> {
        let Candidates { requested, scanned, lost } = self.candidates(lane, now).await?;
        let is_emptied = scanned.len() < ROUND_MAX as usize;
        let lost_requested = lost.iter().filter(|lost| lost.is_requested).map(|lost| lost.job);
        let requested = sorted(requested.into_iter().chain(lost_requested));
        let all = sorted(scanned.iter().copied().chain(lost.iter().map(|lost| lost.job)));
        if all.is_empty() && requested.is_empty() {
            lane.position.emptied(now, now);
            return Ok(false);
        }
        let free = self.free(lane, now).await?;
        let chosen = merge(&requested, &all, free, lane.place);
        lane.place = lane.place.wrapping_add(chosen.len());
        let has_more = chosen.len() < all.len().max(requested.len()) || !is_emptied;
        let left = scanned.iter().find(|job| !chosen.contains(job)).map(|job| job.date_due);
        let reached = left.or(if is_emptied { Some(now) } else { scanned.last().map(|job| job.date_due) });
        lane.position.emptied(reached.unwrap_or(now), now);
        let published = self.dispatch(lane, &chosen).await?;
        metrics::dispatched(lane.rcs_type, published);
        Ok(has_more && published > 0)
    }

    /// What may go out: requested jobs and all jobs, both from the position on (a request leaves an overdue job's date
    /// as it is, and moves every other's to now); and, now and then, jobs that were handed out and never started.
    async fn candidates(&mut self, lane: &mut Lane, now: Timestamp) -> anyhow::Result<Candidates> {
        let limit = i64::from(ROUND_MAX);
        let from = lane.position.scan_from(now);
        let requested = self.store.requested_jobs(lane.rcs_type, from, now, limit).await?;
        let scanned = self.store.due_jobs(lane.rcs_type, from, now, limit).await?;
        // A clock that stepped back must not end the looking.
        let is_time = lane.lost_scan.is_none_or(|last| (now - last).abs() >= LOST_SCAN);
        let lost = if is_time {
            lane.lost_scan = Some(now);
            let cutoff = now - self.context.settings.policy.dispatch_timeout;
            self.store.lost_jobs(lane.rcs_type, cutoff, limit).await?
        } else {
            Vec::new()
        };
        Ok(Candidates { requested, scanned, lost })
    }

    /// How many more may be published.
    async fn free(&mut self, lane: &mut Lane, now: Timestamp) -> anyhow::Result<usize> {
        let waiting = lane.window.look_at(now);
        if !waiting.is_empty() {
            let pending = self.store.pending_of(&waiting).await?;
            lane.window.pending(&pending, now);
        }
        let ready = self.gauge.ready(Queue::Work(lane.rcs_type)).await?;
        Ok(lane.window.free(ready, now).min(ROUND_MAX) as usize)
    }

    /// Marks jobs, commits, and publishes them; unmarks those that did not plainly arrive.
    async fn dispatch(&mut self, lane: &mut Lane, jobs: &[DueJob]) -> anyhow::Result<u32> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let policy = &self.context.settings.policy;
        let commands: Vec<Command> = jobs.iter().map(|due| Command::Dispatch { job: due.id }).collect();
        let outcomes = self.store.apply(&commands, policy).await?;
        let marked: Vec<(Box<Job>, Box<Import>)> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                Outcome::Applied(Reply::Dispatched { job, import }) => Some((job, import)),
                _ => None,
            })
            .collect();
        failpoint::pass("marked-not-published");
        let messages: Vec<Outgoing> =
            marked.iter().map(|(job, import)| self.message(job, import)).collect::<Result<_, _>>()?;
        let exchange = self.context.broker.topology.exchange(Exchange::Work);
        let published = self.publisher.publish(&exchange, &messages, true).await;
        failpoint::pass("published-not-remembered");
        let confirms = match &published {
            Ok(confirms) => confirms.clone(),
            Err(_) => vec![Confirm::Refused; marked.len()],
        };
        let failed = marked.iter().zip(&confirms).filter(|(_, confirm)| **confirm != Confirm::Taken);
        let failed: Vec<&Job> = failed.map(|((job, _), _)| job.as_ref()).collect();
        self.unmark(lane, &failed).await?;
        anyhow::ensure!(
            published?.iter().all(|confirm| *confirm == Confirm::Taken),
            "work was not taken by the broker"
        );
        lane.window.published(marked.iter().map(|(job, _)| job.id));
        Ok(u32::try_from(marked.len())?)
    }

    async fn unmark(&mut self, lane: &mut Lane, jobs: &[&Job]) -> anyhow::Result<()> {
        let unmark = |job: &&Job| {
            let date_dispatched = job.date_dispatched?;
            Some(Command::Undispatch { job: job.id, date_dispatched })
        };
        let commands: Vec<Command> = jobs.iter().filter_map(unmark).collect();
        if !commands.is_empty() {
            self.store.apply(&commands, &self.context.settings.policy).await?;
            for job in jobs {
                lane.position.back_to(job.date_due);
            }
        }
        Ok(())
    }

    fn message(&self, job: &Job, import: &Import) -> anyhow::Result<Outgoing> {
        let settings = &self.context.settings;
        let previous = import.last_result.as_ref();
        let work = Work {
            job: job.id,
            import: ImportBody::redacted(import),
            requested_by: job.requesting_user.clone(),
            date_due: job.date_due,
            heartbeat_interval_s: settings.heartbeat_interval.as_secs(),
            heartbeat_timeout_s: settings.heartbeat_timeout_seconds(),
            previous: previous.map(|last| Previous { status: last.status, date: last.date_created }),
        };
        Ok(Outgoing {
            routing_key: job.rcs_type.key().to_owned(),
            message_id: uuid::Uuid::new_v4().to_string(),
            kind: "work",
            body: serde_json::to_vec(&work)?,
            expiration: Some(settings.policy.dispatch_timeout.to_std()?),
            user_id: Some(self.context.broker.account().to_owned()),
            ..Outgoing::default()
        })
    }
}

fn sorted(jobs: impl Iterator<Item = DueJob>) -> Vec<DueJob> {
    let mut jobs: Vec<DueJob> = jobs.collect();
    jobs.sort_unstable();
    jobs
}
