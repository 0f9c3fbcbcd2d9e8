//! The rules of jobs: new, delete, request, dispatch, start, heartbeat, finish, reclaim, kill.

use chrono::TimeDelta;

use super::history::after_result;
use super::{Decision, Hearing, JobChange, Moment, Policy, Rejection, Transition};
use crate::domain::{
    EventKind, Hostname, Import, Job, JobId, JobState, Machine, MachineState, NewEvent, NewResult,
    PersonName, Report, ReviewStatus, Run, RunRef, Status, Timestamp,
};

/// Makes the job of an import.
///
/// *Requires* that the import is REVIEWED and has no job.
///
/// *Leaves* a PENDING job, due one interval after the latest run's start, but not before now; due now when
/// there was no run, or when the source changed after it began.
pub fn new(
    import: &Import,
    job: Option<&Job>,
    interval: TimeDelta,
    id: JobId,
    now: Timestamp,
) -> Result<Job, Rejection> {
    let name = import.unique_name.clone();
    if import.review_status != ReviewStatus::Reviewed {
        return Err(Rejection::NotReviewed { name, status: import.review_status });
    }
    if job.is_some() {
        return Err(Rejection::HasJob(name));
    }
    Ok(pending(import, due(import, interval, now), id, now))
}

/// Deletes the job of an import that is not to run any more.
///
/// *Requires* that the import is not REVIEWED, and has a job that is PENDING.
///
/// *Leaves* no job. A request that waited with it is lost.
pub fn delete_pending(import: &Import, job: Option<&Job>) -> Decision {
    let name = import.unique_name.clone();
    if import.review_status == ReviewStatus::Reviewed {
        return Err(Rejection::StillReviewed(name));
    }
    let Some(job) = job else { return Err(Rejection::NoJob(name)) };
    if job.run().is_some() {
        return Err(Rejection::NotDeletable { name, state: job.state_name() });
    }
    Ok(Transition { job: Some(JobChange::Delete(job.id)), ..Transition::default() })
}

/// Asks for a job to run as soon as possible.
///
/// *Requires* that it is PENDING, and that nobody asked before: not even the same person.
///
/// *Leaves* who asked, and a `REQUEST` event. It is due now, unless it is overdue: then it keeps its better
/// place.
pub fn request(job: &Job, import: &Import, user: &PersonName, now: Timestamp) -> Decision {
    let name = import.unique_name.clone();
    if job.run().is_some() {
        return Err(Rejection::NotPending { name, state: job.state_name() });
    }
    if let Some(by) = job.requesting_user.clone() {
        return Err(Rejection::AlreadyRequested { name, by });
    }
    let job = Job { requesting_user: Some(user.clone()), date_due: job.date_due.min(now), ..job.clone() };
    let event = NewEvent::new(EventKind::Request)
        .import(import.id, &import.unique_name)
        .person(Some(user))
        .data("CODE_IMPORT", import.id);
    Ok(Transition { job: Some(JobChange::Set(job)), events: vec![event], ..Transition::default() })
}

/// Hands a job to its work queue.
///
/// *Requires* that it is PENDING and due, and not dispatched within the dispatch timeout.
///
/// *Leaves* the mark of this dispatch, and no event.
pub fn dispatch(job: &Job, import: &Import, policy: &Policy, now: Timestamp) -> Decision {
    let is_waiting = |date| now - date <= policy.dispatch_timeout;
    if job.run().is_some() || !job.is_overdue(now) || job.date_dispatched.is_some_and(is_waiting) {
        return Err(Rejection::NotDue(import.unique_name.clone()));
    }
    let job = Job { date_dispatched: Some(now), ..job.clone() };
    Ok(Transition { job: Some(JobChange::Set(job)), ..Transition::default() })
}

/// Takes back the mark of a dispatch that did not plainly arrive.
///
/// *Requires* that the job is PENDING and still carries this very mark.
///
/// *Leaves* no mark, so that it is dispatched again.
pub fn undispatch(job: &Job, import: &Import, date_dispatched: Timestamp) -> Decision {
    if job.run().is_some() || job.date_dispatched != Some(date_dispatched) {
        return Err(Rejection::NotDue(import.unique_name.clone()));
    }
    let job = Job { date_dispatched: None, ..job.clone() };
    Ok(Transition { job: Some(JobChange::Set(job)), ..Transition::default() })
}

/// Gives a job to the machine that asks for it.
///
/// *Requires* that it is this import's, that it is PENDING, and that the machine is ONLINE. The import's
/// review status does not matter.
///
/// *Leaves* a RUNNING job with a fresh heartbeat and an empty log tail, and a `START` event.
pub fn start(job: &Job, import: &Import, machine: &Machine, said: RunRef, now: Timestamp) -> Decision {
    let name = import.unique_name.clone();
    match &job.state {
        JobState::Pending => {}
        // The same run from another machine is nobody's second start.
        JobState::Running(run) if run.id == said.run => {
            return Err(Rejection::SupersededRun { run: said.run, name: name.to_string() });
        }
        JobState::Running(_) => return Err(Rejection::AlreadyRunning { name }),
    }
    if machine.state != MachineState::Online {
        let state = machine.state.name();
        return Err(Rejection::MachineNotOnline { machine: machine.hostname.clone(), state });
    }
    Ok(started(job, import, &machine.hostname, said, now))
}

/// The start that a heartbeat or a finish of a PENDING job implies, whatever the machine's state: its own
/// start was lost, or the database was restored to an earlier moment.
pub fn implied_start(
    job: &Job,
    import: &Import,
    machine: &Hostname,
    said: RunRef,
    now: Timestamp,
) -> Transition {
    started(job, import, machine, said, now)
}

/// Notes that a run goes on.
///
/// *Requires* the current run, which the caller has by [`current_run`].
///
/// *Leaves* a fresh heartbeat and the new log tail, and no event.
pub fn heartbeat(job: &Job, run: &Run, log_tail: String, now: Timestamp) -> Transition {
    // The clock may have stepped back, as at a failover: no heartbeat is before its start.
    let run = Run { heartbeat: now.max(run.date_started), log_tail, ..run.clone() };
    let job = Job { state: JobState::Running(run), ..job.clone() };
    Transition { job: Some(JobChange::Set(job)), ..Transition::default() }
}

/// Ends a job with the result that its machine reports.
///
/// *Requires* the current run, which the caller has by [`current_run`].
///
/// *Leaves* no job, a result, a `FINISH` event, and the import with its counts: FAILING with a `MODIFY`
/// event before, when it failed too often or for good; else, while it is REVIEWED, with its next job: at
/// once after a partial success, else after one interval, doubled for every failure in a row after the
/// first; after trouble of our own as [`reclaim`] has it.
pub fn finish(job: &Job, run: &Run, import: &Import, report: Report, at: Moment<'_>) -> Transition {
    let Moment { now, policy, fresh } = at;
    let status = report.status;
    let mut result = NewResult::of(fresh.result, job, run, status, now);
    result.log_excerpt = report.log_tail.unwrap_or(result.log_excerpt);
    (result.log_url, result.reason, result.stats) = (report.log_url, report.reason, report.stats);

    let (import, gave_up) = after_result(import, &result, policy);
    let next_job = (import.review_status == ReviewStatus::Reviewed).then(|| {
        let interval = match import.consecutive_failure_count {
            _ if status == Status::InternalFailure => return retry(&import, job, fresh.job, policy, now),
            _ if status == Status::SuccessPartial => TimeDelta::zero(),
            0 => policy.effective_interval(&import),
            failures => policy.failure_interval(&import, failures),
        };
        pending(&import, due(&import, interval, now), fresh.job, now)
    });
    let finish = NewEvent::new(EventKind::Finish)
        .import(import.id, &import.unique_name)
        .machine(&run.machine)
        .data("STATUS", status)
        .data("RESULT", result.id)
        .data("DURATION_SECONDS", result.duration().num_seconds());
    Transition {
        job: Some(JobChange::Delete(job.id)),
        events: gave_up.into_iter().chain([finish]).collect(),
        import: Some(import),
        next_job,
        result: Some(result),
        ..Transition::default()
    }
}

/// Takes a job from a machine that went silent.
///
/// *Requires* that it is RUNNING, and silent for strictly longer than the heartbeat timeout while we heard
/// ourselves.
///
/// *Leaves* no job, a RECLAIMED result, a `RECLAIM` event and, while the import is REVIEWED, a next job that
/// keeps the request: due now the first time, later and later when it happens again and again.
pub fn reclaim(job: &Job, import: &Import, hearing: Option<Hearing>, at: Moment<'_>) -> Decision {
    let Moment { now, policy, fresh } = at;
    let name = import.unique_name.clone();
    let run = job.run().ok_or(Rejection::NotRunning { name, state: job.state_name() })?;
    let is_silent =
        |hearing: Hearing| hearing.is_fresh(now) && hearing.silence(run.heartbeat) > policy.heartbeat_timeout;
    if !hearing.is_some_and(is_silent) {
        return Err(Rejection::NotSilent(format!("The run of {}", import.unique_name)));
    }
    let result = NewResult::of(fresh.result, job, run, Status::Reclaimed, now);
    let (import, _) = after_result(import, &result, policy);
    let next_job =
        (import.review_status == ReviewStatus::Reviewed).then(|| retry(&import, job, fresh.job, policy, now));
    let event = NewEvent::new(EventKind::Reclaim)
        .import(import.id, &import.unique_name)
        .machine(&run.machine)
        .data("RECLAIMED_JOB_ID", job.id);
    Ok(Transition {
        job: Some(JobChange::Delete(job.id)),
        import: Some(import),
        next_job,
        result: Some(result),
        events: vec![event],
        ..Transition::default()
    })
}

/// Stops a run; its worker learns of it at its next heartbeat.
///
/// *Requires* that the job is RUNNING.
///
/// *Leaves* no job, a KILLED result, a `KILL` event and, while the import is REVIEWED, a next job at the
/// effective interval.
pub fn kill(job: &Job, import: &Import, user: &PersonName, at: Moment<'_>) -> Decision {
    let Moment { now, policy, fresh } = at;
    let name = import.unique_name.clone();
    let run = job.run().ok_or(Rejection::NotRunning { name, state: job.state_name() })?;
    let result = NewResult::of(fresh.result, job, run, Status::Killed, now);
    let (import, _) = after_result(import, &result, policy);
    let next_job = (import.review_status == ReviewStatus::Reviewed).then(|| {
        let due = due(&import, policy.effective_interval(&import), now);
        pending(&import, due, fresh.job, now)
    });
    let event = killed(job, run, &import, user);
    Ok(Transition {
        job: Some(JobChange::Delete(job.id)),
        import: Some(import),
        next_job,
        result: Some(result),
        events: vec![event],
        ..Transition::default()
    })
}

/// The audit entry of a run that somebody stopped.
pub(super) fn killed(job: &Job, run: &Run, import: &Import, user: &PersonName) -> NewEvent {
    NewEvent::new(EventKind::Kill)
        .import(import.id, &import.unique_name)
        .person(Some(user))
        .machine(&run.machine)
        .data("KILLED_JOB_ID", job.id)
}

/// The run that speaks, if job, import, run and machine are all those that are RUNNING.
pub fn current_run<'a>(job: &'a Job, said: RunRef, machine: &Hostname) -> Option<&'a Run> {
    let run = job.run()?;
    let is_current = job.id == said.job && job.import_id == said.import;
    (is_current && run.id == said.run && run.machine == *machine).then_some(run)
}

/// When the next job may be dispatched: one interval after the latest run's start, but not before now.
fn due(import: &Import, interval: TimeDelta, now: Timestamp) -> Timestamp {
    match &import.last_result {
        Some(last) if !import.source_changed_after(last.date_job_started) => {
            now.max(later(last.date_job_started, interval))
        }
        _ => now,
    }
}

/// A date so much later; the last one that there is, if there is none so late.
fn later(date: Timestamp, by: TimeDelta) -> Timestamp {
    date.checked_add_signed(by).unwrap_or(Timestamp::MAX_UTC)
}

/// The job that retries after trouble of our own; it keeps the request.
fn retry(import: &Import, old: &Job, id: JobId, policy: &Policy, now: Timestamp) -> Job {
    let delay = policy.infrastructure_delay(import, import.consecutive_infrastructure_failure_count);
    let has_new_source =
        import.last_result.as_ref().is_some_and(|last| import.source_changed_after(last.date_job_started));
    let date_due = if has_new_source { now } else { later(now, delay) };
    Job { requesting_user: old.requesting_user.clone(), ..pending(import, date_due, id, now) }
}

/// A job that waits.
pub(super) fn pending(import: &Import, date_due: Timestamp, id: JobId, now: Timestamp) -> Job {
    Job {
        id,
        import_id: import.id,
        rcs_type: import.rcs_type,
        date_created: now,
        date_due,
        date_dispatched: None,
        requesting_user: None,
        state: JobState::Pending,
    }
}

fn started(job: &Job, import: &Import, machine: &Hostname, said: RunRef, now: Timestamp) -> Transition {
    let run = Run {
        id: said.run,
        machine: machine.clone(),
        date_started: now,
        heartbeat: now,
        log_tail: String::new(),
    };
    let job = Job { state: JobState::Running(run), ..job.clone() };
    let event = NewEvent::new(EventKind::Start).import(import.id, &import.unique_name).machine(machine);
    Transition { job: Some(JobChange::Set(job)), events: vec![event], ..Transition::default() }
}

#[cfg(test)]
mod tests;
