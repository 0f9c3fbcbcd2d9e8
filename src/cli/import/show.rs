//! `import show`.

use serde::Serialize;

use super::super::document::{ImportDocument, JobDocument, ResultDocument, review_status, status};
use super::super::output::{Text, line};
use super::super::session::Session;
use super::super::{hint, job, when};
use super::next;
use crate::domain::{Import, Person, Timestamp, UniqueName};
use crate::workflow::Policy;

/// So many results are shown.
const RESULTS: i64 = 10;

#[derive(Serialize)]
struct ShowDocument {
    #[serde(flatten)]
    import: ImportDocument,
    job: Option<JobDocument>,
    /// The latest, newest first.
    results: Vec<ResultDocument>,
}

pub(super) async fn show(session: &mut Session, name: &UniqueName, policy: &Policy) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    let import = find(session, &viewer, name).await?;
    let job = session.store.job_of(&import).await?;
    let results = session.store.results(&import, RESULTS).await?;
    let document = ShowDocument {
        import: ImportDocument::of(&import, policy),
        job: job.map(|job| JobDocument::of(&job, import.to_ref())),
        results: results.iter().map(|result| ResultDocument::of(result, import.to_ref())).collect(),
    };
    if session.output.is_json() {
        return Ok(session.output.document(&document)?);
    }
    let now = session.store.now().await?;
    print(session, &document, policy, now)
}

/// The import of this name. What is hidden from the viewer is told like what is not there, and which right
/// would show it.
pub(in super::super) async fn find(
    session: &mut Session,
    viewer: &Person,
    name: &UniqueName,
) -> anyhow::Result<Import> {
    if let Some(found) = session.store.import(viewer, name).await? {
        return Ok(found);
    }
    let error = hidden(viewer, &format!("code import {name}"));
    Err(hint::below(error, hint::similar_import(session, viewer, name.as_str()).await))
}

/// What there is not, as far as the viewer may know.
pub(in super::super) fn hidden(viewer: &Person, what: &str) -> anyhow::Error {
    let right = "to be its registrant or owner, or a member of vcs-imports or admins";
    if viewer.is_operator() {
        crate::store::Error::Refused(format!("There is no {what}.")).into()
    } else {
        let reason = format!("There is no {what} that {} may see: that needs {right}.", viewer.name);
        crate::store::Error::Refused(reason).into()
    }
}

fn print(session: &Session, shown: &ShowDocument, policy: &Policy, now: Timestamp) -> anyhow::Result<()> {
    let output = session.output;
    output.fields(fields(&shown.import, now))?;
    line("")?;
    line(next::lines(&shown.import, shown.job.as_ref(), policy, now).join("\n"))?;
    let tail = shown.job.as_ref().and_then(|job| job.log_tail.as_deref());
    if let Some(tail) = tail.filter(|tail| !tail.is_empty()) {
        line(format!("The last lines of its output:\n{}", job::indented(tail)))?;
    }
    line("")?;
    let header = ["STARTED", "TOOK", "STATUS", "MACHINE", "JOB", "REASON"];
    let rows = shown.results.iter().map(|result| result_row(result, now)).collect();
    Ok(output.table(&header, rows, "It has never run.")?)
}

fn fields(import: &ImportDocument, now: Timestamp) -> Vec<(&'static str, Text)> {
    let own = if import.update_interval_s.is_some() { "its own" } else { "the default" };
    let interval = when::exact(chrono::TimeDelta::seconds(import.effective_update_interval_s));
    let failures = import.consecutive_failure_count;
    let infrastructure = import.consecutive_infrastructure_failure_count;
    let mut fields = vec![
        ("Import", Text::from(format!("{} (number {})", import.import.unique_name, import.import.id))),
        ("Status", review_status(import.review_status)),
        ("RCS", Text::from(import.import.rcs_type)),
        ("Source", Text::from(import.source())),
        ("Owner", Text::from(&import.owner)),
        ("Registrant", Text::from(&import.registrant)),
        ("Interval", Text::from(format!("{interval} ({own})"))),
        ("Registered", Text::from(when::both(import.date_created, now))),
        ("Last success", Text::from(when::both_or_never(import.date_last_successful, now))),
    ];
    if let Some(changed) = import.date_source_changed {
        fields.push(("Source changed", Text::from(when::both(changed, now))));
    }
    if failures > 0 {
        fields.push(("Failures in a row", Text::from(failures)));
    }
    if infrastructure > 0 {
        fields.push(("Our own failures in a row", Text::from(infrastructure)));
    }
    fields
}

fn result_row(result: &ResultDocument, now: Timestamp) -> Vec<Text> {
    vec![
        Text::from(when::both(result.date_job_started, now)),
        Text::from(when::exact(chrono::TimeDelta::seconds(result.duration_s))),
        status(result.status),
        Text::from(&result.machine),
        Text::from(result.job),
        Text::from(result.reason.as_deref().unwrap_or_default()),
    ]
}
