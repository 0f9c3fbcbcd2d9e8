//! From a delivery to a run.

use std::time::Duration;

use uuid::Uuid;

use super::{Action, Command, Duties, MACHINE_NOT_ONLINE, publish};
use crate::broker::take::DeliveryTag;
use crate::domain::{RunId, RunRef, Source};
use crate::protocol::answer::{Accepted, Answer};
use crate::protocol::work::{ImportBody, Work};
use crate::protocol::worker::Start;
use crate::protocol::{Received, Refusal};
use crate::worker::kept::Kept;
use crate::worker::lease::{BootTime, Lease};
use crate::worker::log_tail::LogTail;
use crate::worker::pulse::message;
use crate::worker::report::internal_failure;
use crate::worker::run::{Run, Stop, StopReason};
use crate::worker::slots::{Running, Stage, Starting};

impl Duties {
    /// Work came: it is begun, or known already, or given back.
    pub(super) fn delivered(&mut self, tag: DeliveryTag, received: &Received, now: BootTime) {
        let work: Work = match received.decode() {
            Ok(work) => work,
            Err(refusal) => {
                // Nobody could read it, so it is not given back; the coordinator hands the job out again.
                tracing::warn!(reason = refusal.reason, "malformed work was dropped");
                return self.tell(Command::Acknowledge(tag));
            }
        };
        let (may_take, has_room) = (self.may_take(), self.slots.has_room());
        match self.slots.get_mut(work.job) {
            None if may_take && has_room => self.start(tag, work, now),
            Some(Stage::Starting(starting)) if may_take => {
                let lost = starting.delivery.replace(tag);
                self.acknowledge(lost);
            }
            None | Some(Stage::Starting(_)) => self.tell(Command::GiveBack(tag)),
            Some(_) => self.tell(Command::Acknowledge(tag)),
        }
    }

    /// Asks whether the job may run here.
    fn start(&mut self, delivery: DeliveryTag, work: Work, now: BootTime) {
        let run = RunRef { job: work.job, import: work.import.id, run: RunId(Uuid::now_v7()) };
        let machine = self.machine.clone();
        let body = Start { job: run.job, import: run.import, run: run.run, machine };
        let mut start = Kept::new(|id| message(id, "start", &body));
        publish(&mut self.actions, &mut start, now, &self.repeats);
        let starting = Starting { work, run, start, delivery: Some(delivery), awaits_machine: false };
        self.slots.insert(run.job, Stage::Starting(starting));
    }

    pub(super) fn start_answered(&mut self, starting: Starting, answer: Answer, now: BootTime) {
        match answer {
            Answer::Accepted(accepted) => self.accepted(starting, accepted, now),
            Answer::Refused(refusal) if refusal.code == MACHINE_NOT_ONLINE => {
                self.machine_not_online(starting, &refusal, now);
            }
            Answer::Refused(refusal) => {
                let (job, Refusal { code, reason }) = (starting.run.job, refusal);
                tracing::info!(job.id = %job, code, "start of job {job} was refused: {reason}");
                self.acknowledge(starting.delivery);
            }
        }
    }

    /// From now on the lease is in the database: the work is acknowledged, and runs.
    fn accepted(&mut self, starting: Starting, accepted: Accepted, now: BootTime) {
        self.acknowledge(starting.delivery);
        let run = starting.run;
        if self.leave_by.is_some() {
            return self.finish(run, internal_failure(&StopReason::Interrupted.to_string()), now);
        }
        match accepted.import.and_then(|import| Some((import.source()?, import))) {
            Some((source, import)) => self.begin(starting, import, source, now),
            None => self.finish(run, internal_failure("the answer to its start says no source"), now),
        }
    }

    fn begin(&mut self, starting: Starting, import: ImportBody, source: Source, now: BootTime) {
        let Starting { work, run, start, .. } = starting;
        let told = Duration::from_secs(work.heartbeat_timeout_s);
        let since = start.first_published().unwrap_or(now);
        let lease = Lease::new(since, self.pulse.timeout().unwrap_or(told));
        let (log_tail, stop) = (LogTail::new(&source), Stop::default());
        tracing::info!(job.id = %run.job, run.id = %run.run, "started job {} of {}", run.job, import.unique_name);
        self.actions.push(Action::Begin(Box::new(Run {
            job: run.job,
            id: run.run,
            import: run.import,
            unique_name: import.unique_name,
            rcs_type: import.rcs_type,
            source,
            previous: work.previous,
            requested_by: work.requested_by,
            log_tail: log_tail.clone(),
            lease: lease.clone(),
            stop: stop.clone(),
        })));
        self.slots.insert(run.job, Stage::Running(Running { run, log_tail, lease, stop }));
    }

    /// Stops consuming, gives back all work, and keeps the start: a copy of it may yet be accepted, and would
    /// then be a run that nobody runs.
    fn machine_not_online(&mut self, mut starting: Starting, refusal: &Refusal, now: BootTime) {
        let job = starting.run.job;
        tracing::info!(job.id = %job, "start of job {job} was refused: {}", refusal.reason);
        self.note_online(false, now);
        starting.start.pause();
        starting.awaits_machine = true;
        self.slots.insert(job, Stage::Starting(starting));
        // First, or the broker would deliver at once what is given back.
        self.settle_consumption();
        self.give_back_all();
        if self.leave_by.is_some() {
            self.slots.drop_those_that_await_the_machine();
        }
    }

    /// The machine is ONLINE: the starts that waited for it are published again.
    pub(super) fn publish_those_that_awaited_the_machine(&mut self, now: BootTime) {
        for starting in self.slots.starting().filter(|starting| starting.awaits_machine) {
            starting.awaits_machine = false;
            publish(&mut self.actions, &mut starting.start, now, &self.repeats);
        }
    }
}
