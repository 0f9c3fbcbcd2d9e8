//! Heartbeats, and what they answer.

use uuid::Uuid;

use super::{Action, Command, Duties};
use crate::domain::machine::MachineStateName;
use crate::protocol::answer::{Answer, HeartbeatAnswer, Stop};
use crate::protocol::{Received, Refusal};
use crate::worker::lease::BootTime;
use crate::worker::pulse::Sent;
use crate::worker::run::StopReason;
use crate::worker::slots::Stage;

/// Tells people that a heartbeat does not count: until one does, there is no work for us.
pub(super) fn heartbeat_declined(answer: &Received, malformed: &Refusal) {
    if let Ok(Answer::Refused(Refusal { code, reason })) = answer.decode() {
        tracing::warn!(code, reason, "a heartbeat was refused: {reason}");
    } else {
        tracing::warn!(reason = malformed.reason, "the answer to a heartbeat is malformed");
    }
}

impl Duties {
    /// Says that the machine is alive, and what it runs.
    pub(super) fn beat(&mut self, now: BootTime) {
        let messages = self.pulse.beat(self.slots.beats(), now);
        let publish = |message| Action::Tell(Command::Publish(Box::new(message)));
        self.actions.extend(messages.into_iter().map(publish));
    }

    pub(super) fn heartbeat_answered(&mut self, id: Uuid, answer: &HeartbeatAnswer, now: BootTime) {
        let Some(sent) = self.pulse.answered(id, answer) else { return };
        answer.stop.iter().for_each(|stop| self.stop(stop));
        self.renew_leases(&sent);
        let is_news = self.online_as_of.is_none_or(|as_of| as_of <= sent.at);
        if is_news {
            self.note_online(answer.machine_state == MachineStateName::Online, sent.at);
        }
        if self.may_take() {
            self.publish_those_that_awaited_the_machine(now);
        }
    }

    /// Notes whether the machine is ONLINE, and as of when.
    pub(super) fn note_online(&mut self, is_online: bool, as_of: BootTime) {
        if is_online != self.is_online {
            tracing::info!("this machine is {}ONLINE", if is_online { "" } else { "not " });
        }
        self.is_online = is_online;
        self.online_as_of = Some(as_of);
    }

    /// Kills a run that is not current any more. A finish that is published already is kept until answered.
    fn stop(&mut self, Stop { job, run }: &Stop) {
        let Some(running) = self.slots.running_as(*job, *run) else { return };
        tracing::info!(job.id = %job, run.id = %run, "job {job} is stopped: its run is not current any more");
        running.stop.stop(StopReason::Superseded);
        self.slots.insert(*job, Stage::Stopped);
    }

    /// The runs that an answered heartbeat named hold their leases since it was sent (duty 7).
    fn renew_leases(&self, sent: &Sent) {
        let Some(timeout) = self.pulse.timeout() else { return };
        for run in &sent.runs {
            if let Some(running) = self.slots.running_as(run.job, run.run) {
                running.lease.renew(sent.at, timeout);
            }
        }
    }
}
