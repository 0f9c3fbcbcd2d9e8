//! The rules of imports: register, update, request, try again, delete.

use chrono::TimeDelta;

use super::command::{Registration, Update};
use super::history::{modified, with_snapshot};
use super::{Decision, JobChange, Moment, Policy, Rejection, Transition, job};
use crate::domain::source::SourceInput;
use crate::domain::{EventKind, Import, ImportId, Job, PersonName, ReviewStatus, Source, Timestamp};

/// The shortest interval that an import can have, so that no import keeps a machine to itself.
const MIN_INTERVAL: TimeDelta = TimeDelta::seconds(1);

/// The longest, so that a due date stays one that the database can hold.
const MAX_INTERVAL: TimeDelta = TimeDelta::days(3650);

/// Makes an import.
///
/// *Requires* a source that may be imported and that name and source are free, which the caller has looked at.
///
/// *Leaves* the import, a `CREATE` event with its full snapshot and, if it is REVIEWED, its first job.
pub fn register(
    registrant: &PersonName,
    registration: &Registration,
    source: Source,
    id: ImportId,
    at: Moment<'_>,
) -> Decision {
    let Moment { now, fresh, .. } = at;
    check_interval(registration.update_interval)?;
    let import = Import {
        id,
        unique_name: registration.unique_name.clone(),
        registrant: registrant.clone(),
        owner: registration.owner.clone().unwrap_or_else(|| registrant.clone()),
        rcs_type: registration.rcs_type,
        source,
        review_status: registration.review_status.unwrap_or(ReviewStatus::Reviewed),
        update_interval: registration.update_interval,
        date_created: now,
        date_last_successful: None,
        date_source_changed: None,
        last_result: None,
        consecutive_failure_count: 0,
        consecutive_infrastructure_failure_count: 0,
    };
    let next_job =
        (import.review_status == ReviewStatus::Reviewed).then(|| job::pending(&import, now, fresh.job, now));
    let event = with_snapshot(EventKind::Create, &import).person(Some(registrant));
    Ok(Transition { next_job, events: vec![event], import: Some(import), ..Transition::default() })
}

/// Whether an import is as a registration describes it, so that to register it again would make nothing new.
///
/// Owner and interval count where they are named. The review status does not: runs change it, and a catalogue
/// that is loaded again must not take it back.
pub fn is_as_described(import: &Import, registration: &Registration, policy: &Policy) -> bool {
    let source = policy.sources.check(registration.rcs_type, &registration.source);
    import.rcs_type == registration.rcs_type
        && source.is_ok_and(|source| source == import.source)
        && registration.owner.as_ref().is_none_or(|owner| *owner == import.owner)
        && registration.update_interval.is_none_or(|interval| Some(interval) == import.update_interval)
}

/// Changes an import.
///
/// *Requires* that a new source may be imported and is free, which the caller has looked at.
///
/// *Leaves* the import, and a `MODIFY` event with its new snapshot and the old value of each key that
/// changed; no event if nothing did. A job is made when it becomes REVIEWED without one; the PENDING job goes
/// when it becomes anything else; a RUNNING one goes on. A new source makes a PENDING job due now.
pub fn update(
    import: &Import,
    current_job: Option<&Job>,
    update: &Update,
    source: Option<Source>,
    user: &PersonName,
    at: Moment<'_>,
) -> Decision {
    let Moment { now, policy, fresh } = at;
    check_interval(update.update_interval.flatten())?;
    let mut changed = import.clone();
    changed.owner = update.owner.clone().unwrap_or(changed.owner);
    changed.update_interval = update.update_interval.unwrap_or(changed.update_interval);
    if let Some(source) = source.filter(|source| *source != import.source) {
        changed.source = source;
        changed.date_source_changed = Some(now);
        changed.consecutive_failure_count = 0;
    }
    if let Some(status) = update.review_status.filter(|status| *status != import.review_status) {
        changed.review_status = status;
        if status == ReviewStatus::Reviewed {
            changed.consecutive_failure_count = 0;
        }
    }
    if changed == *import {
        return Ok(Transition::default());
    }
    let event = modified(import, &changed).person(Some(user));
    let has_new_source = changed.date_source_changed != import.date_source_changed;
    let (job, next_job) = match (changed.review_status, current_job) {
        (ReviewStatus::Reviewed, None) => {
            let interval = policy.effective_interval(&changed);
            (None, Some(job::new(&changed, None, interval, fresh.job, now)?))
        }
        (ReviewStatus::Reviewed, Some(job)) if has_new_source && job.run().is_none() => {
            let job = Job { date_due: job.date_due.min(now), ..job.clone() };
            (Some(JobChange::Set(job)), None)
        }
        (ReviewStatus::Reviewed, Some(_)) | (_, None) => (None, None),
        (_, Some(job)) if job.run().is_some() => (None, None),
        (_, Some(job)) => (Some(JobChange::Delete(job.id)), None),
    };
    Ok(Transition { job, next_job, events: vec![event], import: Some(changed), ..Transition::default() })
}

/// Asks for an import to run as soon as possible.
///
/// *Requires* that it has a job, and that this is not RUNNING.
///
/// *Leaves* what [`job::request`] leaves; if somebody asked before, only a job that is due now, since it may
/// wait out a backoff.
pub fn request(import: &Import, current_job: Option<&Job>, user: &PersonName, now: Timestamp) -> Decision {
    let Some(job) = current_job else { return Err(Rejection::NotRequestable(import.review_status)) };
    if job.run().is_some() {
        return Err(Rejection::ImportIsRunning);
    }
    if job.requesting_user.is_some() {
        let job = Job { date_due: job.date_due.min(now), ..job.clone() };
        return Ok(Transition { job: Some(JobChange::Set(job)), ..Transition::default() });
    }
    job::request(job, import, user, now)
}

/// Gives an import that is FAILING a fresh start.
///
/// *Requires* that it is FAILING.
///
/// *Leaves* it REVIEWED with no failures counted, a `MODIFY` event and, unless a run of before is still
/// RUNNING, a job that this person requested, with its `REQUEST` event.
pub fn try_again(import: &Import, current_job: Option<&Job>, user: &PersonName, at: Moment<'_>) -> Decision {
    let Moment { now, policy, fresh } = at;
    if import.review_status != ReviewStatus::Failing {
        return Err(Rejection::NotFailing(import.review_status));
    }
    let again =
        Import { review_status: ReviewStatus::Reviewed, consecutive_failure_count: 0, ..import.clone() };
    let modify = modified(import, &again).person(Some(user));
    if current_job.is_some() {
        return Ok(Transition { events: vec![modify], import: Some(again), ..Transition::default() });
    }
    let job = job::new(&again, None, policy.effective_interval(&again), fresh.job, now)?;
    let requested = job::request(&job, &again, user, now)?;
    let Some(JobChange::Set(job)) = requested.job else { unreachable!("a request keeps its job") };
    let events = [modify].into_iter().chain(requested.events).collect();
    Ok(Transition { next_job: Some(job), events, import: Some(again), ..Transition::default() })
}

/// Deletes an import.
///
/// *Leaves* nothing of it but its audit entries: the last are a `KILL` event if it was RUNNING, and a
/// `DELETE` event with its snapshot.
pub fn delete(import: &Import, current_job: Option<&Job>, user: &PersonName) -> Transition {
    let killed = current_job.and_then(|job| Some(job::killed(job, job.run()?, import, user)));
    let deleted = with_snapshot(EventKind::Delete, import).person(Some(user));
    Transition {
        deleted_import: Some(import.id),
        job: current_job.map(|job| JobChange::Delete(job.id)),
        events: killed.into_iter().chain([deleted]).collect(),
        ..Transition::default()
    }
}

/// The source that an update asks for: for CVS, what it does not name stays.
pub fn updated_source(
    import: &Import,
    input: &SourceInput,
    policy: &Policy,
) -> Result<Option<Source>, Rejection> {
    if *input == SourceInput::default() {
        return Ok(None);
    }
    let mut input = input.clone();
    if let Source::Cvs { root, module } = &import.source {
        input.cvs_root.get_or_insert_with(|| root.clone());
        input.cvs_module.get_or_insert_with(|| module.clone());
    }
    Ok(Some(policy.sources.check(import.rcs_type, &input)?))
}

fn check_interval(interval: Option<TimeDelta>) -> Result<(), Rejection> {
    match interval {
        Some(interval) if interval < MIN_INTERVAL || interval > MAX_INTERVAL => {
            let (value, min, max) =
                (interval.num_seconds(), MIN_INTERVAL.num_seconds(), MAX_INTERVAL.num_seconds());
            Err(Rejection::BadValue(format!(
                "update_interval_s: expected {min} to {max} seconds, it is {value}"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
