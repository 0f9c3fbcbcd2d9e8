//! What must hold in every state: section 3, and section 5 read naively from the audit trail and the results.

use std::collections::HashSet;

use code_imports::domain::{
    EventKind, Import, ImportId, JobState, MachineState, NewEvent, NewResult, ReviewStatus, Status, Timestamp,
};

use super::memory::Memory;

/// Panics, with what is wrong, if anything is.
pub(crate) fn check(memory: &Memory) {
    for import in memory.imports.values() {
        check_central_invariant(memory, import);
        check_counts(memory, import);
        check_last_result(memory, import);
    }
    for job in memory.jobs.values() {
        let import = memory.imports.get(&job.import_id).expect("a job has an import");
        assert_eq!(job.rcs_type, import.rcs_type);
        assert!(memory.results.iter().all(|result| result.job_id != job.id), "a job that ended is gone");
        if let Some(run) = job.run() {
            assert!(run.heartbeat >= run.date_started && job.date_created <= run.date_started);
        }
    }
    check_results(memory);
    check_trail(memory);
    check_machines(memory);
}

/// Section 3: a job if and only if REVIEWED, but for a RUNNING one that is left; and at most one.
fn check_central_invariant(memory: &Memory, import: &Import) {
    let jobs: Vec<_> = memory.jobs.values().filter(|job| job.import_id == import.id).collect();
    assert!(jobs.len() <= 1, "{} has {} jobs", import.unique_name, jobs.len());
    match jobs.first().map(|job| &job.state) {
        None => assert_ne!(import.review_status, ReviewStatus::Reviewed, "{} has no job", import.unique_name),
        Some(JobState::Pending) => assert_eq!(import.review_status, ReviewStatus::Reviewed),
        Some(JobState::Running(_)) => {}
    }
}

/// Section 5: the counts by the words of the specification, from all that ever happened.
fn check_counts(memory: &Memory, import: &Import) {
    let (mut failures, mut infrastructure, mut last_complete) = (0, 0, None);
    let mut source_changed: Option<Timestamp> = None;
    for (date, event) in events_of(memory, import.id) {
        if event.data.contains_key("OLD_URL") || event.data.contains_key("OLD_CVS_ROOT") {
            source_changed = Some(*date);
            failures = 0;
        }
        if event.data.contains_key("OLD_REVIEW_STATUS") && event.data["REVIEW_STATUS"] == "REVIEWED" {
            failures = 0;
        }
        let Some(result) = result_of(memory, import.id, event) else { continue };
        let status = result.status;
        if matches!(status, Status::Success | Status::SuccessNoChange) {
            last_complete = Some(result.date_created);
        }
        match status {
            Status::Success | Status::SuccessNoChange | Status::SuccessPartial => failures = 0,
            Status::InternalFailure | Status::Reclaimed | Status::Killed => {}
            _ if source_changed.is_some_and(|changed| changed > result.date_job_started) => {}
            _ => failures += 1,
        }
        match status {
            Status::InternalFailure | Status::Reclaimed => infrastructure += 1,
            Status::Killed => {}
            _ => infrastructure = 0,
        }
    }
    assert_eq!(import.consecutive_failure_count, failures, "failures of {}", import.unique_name);
    assert_eq!(import.consecutive_infrastructure_failure_count, infrastructure, "{}", import.unique_name);
    assert_eq!(import.date_source_changed, source_changed);
    assert_eq!(import.date_last_successful, last_complete);
    let limit = memory.policy.failure_limit;
    assert!(import.review_status != ReviewStatus::Reviewed || failures < limit, "it goes on failing");
}

fn check_last_result(memory: &Memory, import: &Import) {
    let results = memory.results.iter().filter(|result| result.import_id == import.id);
    let newest = results.max_by_key(|result| result.date_created); // of equal ones the last written
    let key = |result: &NewResult| (result.job_id, result.run, result.status, result.date_job_started);
    let last = import.last_result.as_ref();
    assert_eq!(last.map(|last| (last.job_id, last.run, last.status, last.date_job_started)), newest.map(key));
    assert_eq!(last.map(|last| last.date_created), newest.map(|result| result.date_created));
}

/// Section 2: never two results for one run; they never run backwards.
fn check_results(memory: &Memory) {
    let mut runs = HashSet::new();
    for result in &memory.results {
        assert!(runs.insert(result.job_id), "{} has two results", result.job_id);
        assert!(result.date_created >= result.date_job_started);
        assert!(memory.imports.contains_key(&result.import_id), "results go with their import");
    }
    assert!(memory.results.is_sorted_by_key(|result| result.date_created));
}

/// The audit trail of each import is a story that makes sense.
fn check_trail(memory: &Memory) {
    assert!(memory.events.is_sorted_by_key(|(date, _)| date), "events never run backwards");
    let imports: HashSet<ImportId> =
        memory.events.iter().filter_map(|(_, event)| Some(event.import.as_ref()?.id)).collect();
    for id in imports {
        let (mut is_running, mut status, mut ended) = (false, String::new(), 0);
        let events: Vec<_> = events_of(memory, id).map(|(_, event)| event).collect();
        assert_eq!(events[0].kind, EventKind::Create);
        let deleted = events.iter().position(|event| event.kind == EventKind::Delete);
        assert_eq!(deleted.is_some(), !memory.imports.contains_key(&id));
        assert!(deleted.is_none_or(|at| at == events.len() - 1), "nothing comes after DELETE");
        for (n, event) in events.iter().enumerate() {
            match event.kind {
                EventKind::Start => assert!(!std::mem::replace(&mut is_running, true), "two starts"),
                EventKind::Finish | EventKind::Reclaim | EventKind::Kill => {
                    assert!(std::mem::replace(&mut is_running, false), "it ends without a start");
                    ended += 1;
                }
                EventKind::Modify if event.data.contains_key("STATUS") => {
                    assert_eq!(events[n + 1].kind, EventKind::Finish, "MODIFY before FINISH");
                    assert!(event.person.is_none() && event.data["REVIEW_STATUS"] == "FAILING");
                    assert_eq!(status, "REVIEWED", "only what is REVIEWED gives up by itself");
                }
                _ => {}
            }
            if let Some(new) = event.data.get("REVIEW_STATUS") {
                let old = event.data.get("OLD_REVIEW_STATUS");
                assert!(old.is_none_or(|old| *old == status && old != new));
                assert!(old.is_some() || status.is_empty() || *new == status, "a change without OLD_");
                status.clone_from(new);
            }
        }
        let Some(import) = memory.imports.get(&id) else { continue };
        assert_eq!(status, import.review_status.to_string());
        let is_running_now = memory.job_of(id).is_some_and(|job| job.run().is_some());
        assert_eq!(is_running, is_running_now, "the trail knows whether {} runs", import.unique_name);
        let results = memory.results.iter().filter(|result| result.import_id == id).count();
        assert_eq!(results, ended, "each end is a result");
    }
}

fn check_machines(memory: &Memory) {
    for machine in memory.machines.values() {
        assert!(machine.heartbeat.is_some(), "{} never spoke", machine.hostname);
        let events = memory
            .events
            .iter()
            .filter(|(_, event)| event.import.is_none() && event.machine.as_ref() == Some(&machine.hostname));
        let mut state = None;
        for (_, event) in events {
            let next = Some((event.kind, event.data.get("OFFLINE_REASON").cloned()));
            assert_ne!(state, next, "an event says a change");
            state = next;
        }
        let expected = match machine.state {
            MachineState::Online => (EventKind::Online, None),
            MachineState::Quiescing => (EventKind::Quiesce, None),
            MachineState::Offline(reason) => (EventKind::Offline, Some(reason.to_string())),
        };
        assert_eq!(state, Some(expected));
    }
}

fn events_of(memory: &Memory, id: ImportId) -> impl Iterator<Item = &(Timestamp, NewEvent)> {
    memory.events.iter().filter(move |(_, event)| event.import.as_ref().is_some_and(|import| import.id == id))
}

/// The result that an event tells of.
fn result_of<'a>(memory: &'a Memory, id: ImportId, event: &NewEvent) -> Option<&'a NewResult> {
    let job = event.data.get("RECLAIMED_JOB_ID").or(event.data.get("KILLED_JOB_ID"));
    let is_it = |result: &&NewResult| match (event.data.get("RESULT"), job) {
        (Some(result_id), _) => result.id.to_string() == *result_id,
        (None, Some(job)) => result.job_id.to_string() == *job,
        (None, None) => false,
    };
    let found = memory.results.iter().filter(|result| result.import_id == id).find(is_it);
    let ends = matches!(event.kind, EventKind::Finish | EventKind::Reclaim | EventKind::Kill);
    assert_eq!(found.is_some(), ends && memory.imports.contains_key(&id), "{event:?}");
    found
}
