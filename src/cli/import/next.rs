//! What will happen to an import, and when: in the words of Launchpad's pages.

use super::super::document::{ImportDocument, JobDocument};
use super::super::hint::typable;
use super::super::{job, when};
use crate::domain::{ReviewStatus, Timestamp};
use crate::workflow::Policy;

/// What will happen next, a line each; the last says what to type, if there is something.
pub(super) fn lines(
    import: &ImportDocument,
    job: Option<&JobDocument>,
    policy: &Policy,
    now: Timestamp,
) -> Vec<String> {
    let name = &import.import.unique_name;
    let status = import.review_status;
    let Some(job) = job else { return at_rest(import, policy) };
    let mut lines = vec![format!("The next import {}.", job::sentence(job, now))];
    if job.machine.is_some() {
        if status != ReviewStatus::Reviewed {
            lines.push(format!("When that run has ended, nothing follows, since the import is {status}."));
        }
        lines.push(format!("To watch it, type: code-imports job show {} --follow", job.job));
        return lines;
    }
    lines.extend(reason(import, job, policy, now));
    if job.date_due > now {
        lines.push(format!("To let it run now, type: {}", typable("request", name)));
    }
    lines
}

/// Why the next run comes when it comes.
fn reason(import: &ImportDocument, job: &JobDocument, policy: &Policy, now: Timestamp) -> Option<String> {
    let (failures, own) = (import.consecutive_failure_count, import.consecutive_infrastructure_failure_count);
    let is_late = job.date_due <= now;
    if own > 0 {
        let waits = if is_late { "" } else { ", and waits a while longer after each" };
        return Some(format!("It is tried again after {} of our own in a row{waits}.", counted(own)));
    }
    if failures > 0 {
        let left = policy.failure_limit.saturating_sub(failures);
        return Some(format!(
            "It is tried again after {} in a row, later each time; after {left} more it will be FAILING.",
            counted(failures)
        ));
    }
    let interval = when::exact(chrono::TimeDelta::seconds(import.effective_update_interval_s));
    (!is_late && import.last_result.is_some())
        .then(|| format!("That is {interval} after the start of the last run."))
}

/// Nothing will happen: why, and what would change that.
fn at_rest(import: &ImportDocument, policy: &Policy) -> Vec<String> {
    let name = &import.import.unique_name;
    match import.review_status {
        ReviewStatus::Failing => vec![
            format!(
                "The import has been suspended because it failed {} or more times in succession.",
                policy.failure_limit
            ),
            format!("Once that is mended, type: {}", typable("try-again", name)),
        ],
        ReviewStatus::Reviewed => vec!["It has no job.".to_owned()],
        status => vec![
            format!("Nothing will happen, since the import is {status}."),
            format!("To let it run, an operator types: {}", typable("approve", name)),
        ],
    }
}

fn counted(failures: u32) -> String {
    if failures == 1 { "1 failure".to_owned() } else { format!("{failures} failures") }
}
