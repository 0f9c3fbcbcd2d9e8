//! What stays of what happened: the counts that an import keeps of its results, and the audit entry of a change.

use super::Policy;
use crate::domain::{EventKind, Import, LastResult, NewEvent, NewResult, ReviewStatus, Source, Status};

/// The import once a result is in: its counts, and whether it gave up, with the `MODIFY` event of that.
///
/// A result of a run that began before the source changed neither counts nor makes FAILING; neither does
/// trouble of our own (section 5). Only an import that is REVIEWED gives up by itself.
pub(super) fn after_result(
    import: &Import,
    result: &NewResult,
    policy: &Policy,
) -> (Import, Option<NewEvent>) {
    let status = result.status;
    let mut after = Import { last_result: Some(last(result)), ..import.clone() };
    if status.is_complete() {
        after.date_last_successful = Some(result.date_created);
    }
    after.consecutive_infrastructure_failure_count = match status {
        Status::Killed => import.consecutive_infrastructure_failure_count,
        status if status.is_infrastructure_failure() => {
            import.consecutive_infrastructure_failure_count.saturating_add(1)
        }
        _ => 0,
    };
    let counts = status.is_counted_failure() && !import.source_changed_after(result.date_job_started);
    if status.is_success() {
        after.consecutive_failure_count = 0;
    } else if counts {
        after.consecutive_failure_count = import.consecutive_failure_count.saturating_add(1);
    }
    let is_hopeless = status.is_permanent() || after.consecutive_failure_count >= policy.failure_limit;
    if import.review_status != ReviewStatus::Reviewed || !counts || !is_hopeless {
        return (after, None);
    }
    after.review_status = ReviewStatus::Failing;
    let event = modified(import, &after).data("STATUS", status);
    let event = match &result.reason {
        Some(reason) => event.data("REASON", reason),
        None => event,
    };
    (after, Some(event))
}

fn last(result: &NewResult) -> LastResult {
    LastResult {
        job_id: result.job_id,
        run: result.run,
        status: result.status,
        date_job_started: result.date_job_started,
        date_created: result.date_created,
    }
}

/// A `MODIFY` event: the new snapshot, and the old value of each key that changed.
pub(super) fn modified(before: &Import, after: &Import) -> NewEvent {
    let (old, new) = (before.snapshot(), after.snapshot());
    let mut event = with_snapshot(EventKind::Modify, after);
    for (key, value) in old {
        if new.get(&key) != Some(&value) || is_hidden_change(&key, &before.source, &after.source) {
            event = event.data(&format!("OLD_{key}"), value);
        }
    }
    event
}

/// User-info is hidden from events, so a change of nothing else shows the same text twice.
fn is_hidden_change(key: &str, before: &Source, after: &Source) -> bool {
    match (key, before, after) {
        ("URL", before, after) => before != after,
        ("CVS_ROOT", Source::Cvs { root: before, .. }, Source::Cvs { root: after, .. }) => before != after,
        _ => false,
    }
}

pub(super) fn with_snapshot(kind: EventKind, import: &Import) -> NewEvent {
    let event = NewEvent::new(kind).import(import.id, &import.unique_name);
    NewEvent { data: import.snapshot(), ..event }
}
