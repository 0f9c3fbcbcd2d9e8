//! The duties of a worker (`messages.md`), pure: what happened and when goes in, what is to be done comes out.
//!
//! ```text
//! broker ───connected, delivered, answered───► react ───publish, consume, acknowledge───► broker
//! importer ─────────────ended────────────────►       ───begin; its lease and its stop───► importer
//! ```
//!
//! | file          | which duties                               |
//! |---------------|--------------------------------------------|
//! | this one      | 4: what is kept, and when it is repeated   |
//! | [`starting`]  | 2, 3, 5: from a delivery to a run          |
//! | [`beating`]   | 1, 6, 7: heartbeats and what they answer   |
//! | [`ending`]    | from a run to its result, and leaving      |

mod beating;
mod ending;
mod starting;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::Duration;

use super::kept::Kept;
use super::lease::BootTime;
use super::pulse::Pulse;
use super::run::Run;
use super::settings::WorkerSettings;
use super::slots::{Slots, Stage};
use crate::broker::publish::Outgoing;
use crate::broker::take::DeliveryTag;
use crate::domain::{Hostname, JobId, Report};
use crate::protocol::Received;
use crate::protocol::answer::Answer;

/// The refusal of a start that is not final: the same start may be accepted later (duty 3).
const MACHINE_NOT_ONLINE: &str = "machine-not-online";

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A session with the broker began.
    Connected,
    /// It is over, and with it everything that was delivered in it.
    Disconnected,
    /// Work came.
    Delivered(DeliveryTag, Received),
    /// An answer came.
    Answered(Received),
    /// The importer returned.
    Ended(JobId, Report),
    /// Nothing, for a while.
    Ticked,
    /// The worker is to leave.
    Leaving,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Action {
    /// The importer is to run this.
    Begin(Box<Run>),
    /// The broker is to be told this.
    Tell(Command),
}

/// What the broker is to be told. The order counts.
#[derive(Debug)]
pub(super) enum Command {
    /// A start, a heartbeat or a finish.
    Publish(Box<Outgoing>),
    /// Consume the work queues.
    Consume,
    /// Stop consuming them.
    Cancel,
    /// Acknowledge this delivery.
    Acknowledge(DeliveryTag),
    /// Give this delivery back.
    GiveBack(DeliveryTag),
}

/// A worker, as far as it can be thought without doing anything.
#[derive(Debug)]
pub(super) struct Duties {
    machine: Hostname,
    repeats: Vec<Duration>,
    drain: Duration,
    pulse: Pulse,
    slots: Slots,
    is_connected: bool,
    is_consuming: bool,
    is_online: bool,
    /// When it was so: an answer to a heartbeat that was sent before says nothing new.
    online_as_of: Option<BootTime>,
    /// Until when the worker leaves, if it does.
    leave_by: Option<BootTime>,
    /// What the event at hand has led to so far.
    actions: Vec<Action>,
}

impl Duties {
    pub(super) fn new(settings: &WorkerSettings) -> Self {
        Self {
            machine: settings.machine.clone(),
            repeats: settings.timing.repeats.clone(),
            drain: settings.timing.drain,
            pulse: Pulse::new(settings.machine.clone(), &settings.timing),
            slots: Slots::new(settings.slots),
            is_connected: false,
            is_consuming: false,
            is_online: false,
            online_as_of: None,
            leave_by: None,
            actions: Vec::new(),
        }
    }

    /// What is to be done, in this order, now that this has happened.
    pub(super) fn react(&mut self, event: Event, now: BootTime) -> Vec<Action> {
        match event {
            Event::Connected => self.connected(now),
            Event::Disconnected => self.disconnected(),
            Event::Delivered(tag, work) => self.delivered(tag, &work, now),
            Event::Answered(answer) => self.answered(&answer, now),
            Event::Ended(job, report) => self.ended(job, report, now),
            Event::Ticked => {}
            Event::Leaving => self.leave(now),
        }
        self.repeat_what_is_due(now);
        self.settle_consumption();
        mem::take(&mut self.actions)
    }

    /// When something is due next, if nothing else happens.
    pub(super) fn due(&mut self) -> Option<BootTime> {
        let kept = self.slots.kept().filter_map(|kept| kept.due()).min();
        [kept, self.pulse.due(), self.leave_by].into_iter().flatten().min()
    }

    /// Heartbeat first (duty 1), then at once all that is not answered (duty 4).
    fn connected(&mut self, now: BootTime) {
        self.is_connected = true;
        self.beat(now);
        for kept in self.slots.kept() {
            publish(&mut self.actions, kept, now, &self.repeats);
        }
    }

    /// What was delivered is lost to us, and comes again; what runs, runs; what is kept waits for a session.
    fn disconnected(&mut self) {
        self.is_connected = false;
        self.is_consuming = false;
        self.is_online = false;
        self.pulse.pause();
        self.slots.take_deliveries();
        self.slots.kept().for_each(Kept::pause);
    }

    fn answered(&mut self, answer: &Received, now: BootTime) {
        let Some(id) = answer.correlation_id.as_deref().and_then(|id| id.parse().ok()) else { return };
        if self.pulse.awaits(id) {
            match answer.decode() {
                Ok(beat) => self.heartbeat_answered(id, &beat, now),
                Err(malformed) => beating::heartbeat_declined(answer, &malformed),
            }
        } else if let Some(job) = self.slots.awaiting(id) {
            match answer.decode() {
                Ok(answer) => self.message_answered(job, answer, now),
                Err(refusal) => {
                    tracing::warn!(job.id = %job, reason = refusal.reason, "the answer for job {job} is malformed");
                }
            }
        }
    }

    /// Any answer, accepted or refused, ends the repeating (duty 4).
    fn message_answered(&mut self, job: JobId, answer: Answer, now: BootTime) {
        match self.slots.remove(job) {
            Some(Stage::Starting(starting)) => self.start_answered(starting, answer, now),
            Some(Stage::Finishing(finishing)) => Self::finish_answered(&finishing, answer),
            _ => unreachable!("it awaits an answer"),
        }
    }

    fn repeat_what_is_due(&mut self, now: BootTime) {
        if self.pulse.due().is_some_and(|due| due <= now) {
            self.beat(now);
        }
        for kept in self.slots.kept().filter(|kept| kept.due().is_some_and(|due| due <= now)) {
            publish(&mut self.actions, kept, now, &self.repeats);
        }
    }

    /// Consumes while there is a free slot and the machine may take work (duties 1, 2).
    fn settle_consumption(&mut self) {
        let wanted = self.may_take() && self.slots.has_room();
        if wanted != self.is_consuming {
            self.is_consuming = wanted;
            self.tell(if wanted { Command::Consume } else { Command::Cancel });
        }
    }

    /// Whether work may be taken, if there is room for it.
    fn may_take(&self) -> bool {
        self.is_connected && self.is_online && self.leave_by.is_none()
    }

    fn give_back_all(&mut self) {
        for tag in self.slots.take_deliveries() {
            self.tell(Command::GiveBack(tag));
        }
    }

    fn acknowledge(&mut self, delivery: Option<DeliveryTag>) {
        if let Some(tag) = delivery {
            self.tell(Command::Acknowledge(tag));
        }
    }

    fn tell(&mut self, command: Command) {
        self.actions.push(Action::Tell(command));
    }
}

/// Publishes a message that is kept. It borrows what it needs, since the message lies in the slots.
fn publish(actions: &mut Vec<Action>, kept: &mut Kept, now: BootTime, repeats: &[Duration]) {
    actions.push(Action::Tell(Command::Publish(Box::new(kept.publish(now, repeats)))));
}
