//! From a run to its result, and leaving.

use super::{Duties, publish};
use crate::domain::{JobId, Report, RunRef, Status};
use crate::protocol::answer::Answer;
use crate::protocol::worker::Finish;
use crate::worker::kept::Kept;
use crate::worker::lease::BootTime;
use crate::worker::pulse::message;
use crate::worker::report::readable;
use crate::worker::run::StopReason;
use crate::worker::slots::{Finishing, Running, Stage};

impl Duties {
    /// The importer returned: what it reports is published, unless the run was superseded.
    pub(super) fn ended(&mut self, job: JobId, report: Report, now: BootTime) {
        match self.slots.remove(job) {
            Some(Stage::Running(running)) => {
                let report = report_of(&running, report);
                self.finish(running.run, report, now);
            }
            Some(Stage::Stopped) => tracing::info!(job.id = %job, "job {job} has stopped"),
            _ => unreachable!("what was begun is in the slots until it has ended"),
        }
    }

    /// Publishes a finish, and keeps it until it is answered.
    pub(super) fn finish(&mut self, run: RunRef, report: Report, now: BootTime) {
        let report = readable(report);
        let (job, status) = (run.job, report.status);
        tracing::info!(job.id = %job, run.id = %run.run, %status, "job {job} has ended: {status}");
        let log_tail = report.log_tail.clone().unwrap_or_default();
        let body = Finish::of(run, self.machine.clone(), report);
        let mut finish = Kept::new(|id| message(id, "finish", &body));
        if self.is_connected {
            publish(&mut self.actions, &mut finish, now, &self.repeats);
        }
        self.slots.insert(job, Stage::Finishing(Finishing { run, log_tail, finish }));
    }

    pub(super) fn finish_answered(finishing: &Finishing, answer: Answer) {
        let RunRef { job, run, .. } = finishing.run;
        match answer {
            Answer::Accepted(_) => {
                let outcome = "accepted";
                tracing::debug!(job.id = %job, run.id = %run, outcome, "finish of job {job} was {outcome}");
            }
            Answer::Refused(refusal) => {
                let (code, reason) = (refusal.code, refusal.reason);
                tracing::warn!(job.id = %job, run.id = %run, code, "finish of job {job} was refused: {reason}");
            }
        }
    }

    /// Takes no more, gives back what is not begun, and interrupts what runs. Starts that are not answered yet
    /// are waited for: an accepted one must be finished.
    pub(super) fn leave(&mut self, now: BootTime) {
        self.leave_by = Some(now + self.drain);
        // First, or the broker would deliver at once what is given back.
        self.settle_consumption();
        self.give_back_all();
        self.slots.drop_those_that_await_the_machine();
        self.slots.running().for_each(|running| running.stop.stop(StopReason::Interrupted));
    }

    /// Whether the worker may leave: nothing is left, or no time.
    pub(in crate::worker) fn may_leave(&self, now: BootTime) -> bool {
        self.leave_by.is_some_and(|by| self.slots.is_empty() || by <= now)
    }

    /// How many jobs have not ended, and how many ends are not answered.
    pub(in crate::worker) fn left(&self) -> (usize, usize) {
        (self.slots.taken(), self.slots.finishing())
    }
}

/// What is reported of a run: with its last words, without its secrets, and without blame for an import that
/// was interrupted.
fn report_of(running: &Running, report: Report) -> Report {
    let redacted = |text: String| running.log_tail.redact(&text);
    let log_tail = report.log_tail.map(redacted).or_else(|| Some(running.log_tail.text()));
    let reason = report.reason.map(redacted);
    let report = Report { log_tail, reason, ..report };
    match running.stop.reason() {
        Some(reason) if report.status.is_counted_failure() => {
            Report { status: Status::InternalFailure, reason: Some(reason.to_string()), ..report }
        }
        _ => report,
    }
}
