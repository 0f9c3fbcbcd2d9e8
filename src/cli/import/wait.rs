//! `import request`, and waiting for the run that it asked for.
//!
//! What is waited for is the job that the request is about. A job ends once. After RECLAIMED and
//! INTERNAL_FAILURE the request goes over to a next job, of another id: that is said, but not waited for, since
//! such retries have no end; the exit code is that of the run that failed.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::super::document::{JobDocument, ResultDocument, status};
use super::super::failure::Usage;
use super::super::output::{line, printable};
use super::super::session::Session;
use super::super::{job, when};
use super::choice::{Choice, ChoiceArgs, Deed};
use crate::domain::source::redact;
use crate::domain::{JobId, Person, ReviewStatus, UniqueName};
use crate::store::views::ListedJob;
use crate::workflow::{Act, Made, Policy};

/// How often the database is asked what became of the job.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

const REQUEST: Deed = Deed {
    verb: "Request",
    done: "asked to run as soon as possible",
    statuses: &[ReviewStatus::Reviewed],
    is_grave: false,
};

#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// Of one import: wait until that run has ended: exits 0 if it was a success, 1 if it was a failure
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this, like 10min; then exits 1 [default: for ever]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    choice: ChoiceArgs,
}

pub(super) async fn request(
    session: &mut Session,
    args: RequestArgs,
    policy: &Policy,
) -> anyhow::Result<ExitCode> {
    let act = |import: UniqueName| Act::Request { import };
    let name = match args.choice.choose(session, REQUEST).await? {
        Choice::One { name, .. } => name,
        Choice::Many(_) if args.wait => {
            return Err(Usage("--wait is for one import, by its name".to_owned()).into());
        }
        Choice::Many(chosen) => return chosen.apply(session, REQUEST, policy, act).await,
    };
    let made = session.ask(act(name), policy).await?;
    if !args.wait {
        session.accepted(&made, requested(session, &made))?;
        return Ok(ExitCode::SUCCESS);
    }
    // A program gets one document, the last.
    if !session.output.is_json() {
        line(requested(session, &made))?;
    }
    let Some(job) = made.job else {
        return Err(Usage("the import has no job to wait for".to_owned()).into());
    };
    let viewer = session.viewer().await?;
    let Some(limit) = args.timeout else { return wait(session, &viewer, job).await };
    match tokio::time::timeout(limit, wait(session, &viewer, job)).await {
        Ok(ended) => ended,
        Err(_) => anyhow::bail!(
            "job {job} has not ended within {}; look again: code-imports job show {job}",
            humantime::format_duration(limit)
        ),
    }
}

fn requested(session: &Session, made: &Made) -> String {
    match &made.requested_by {
        Some(by) if session.user.as_ref() != Some(by) => {
            format!("The import has already been requested by {by}.")
        }
        _ => "Import will run as soon as possible.".to_owned(),
    }
}

/// Waits until the job is gone, and shows what it does until then.
pub(in super::super) async fn wait(
    session: &mut Session,
    viewer: &Person,
    job: JobId,
) -> anyhow::Result<ExitCode> {
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    let mut shown = Shown::default();
    loop {
        ticks.tick().await;
        match session.store.job(viewer, job).await? {
            Some(listed) => shown.update(session, &listed)?,
            None => return ended(session, viewer, job).await,
        }
    }
}

/// What has been shown of a run.
#[derive(Default)]
struct Shown {
    is_running: bool,
    tail: String,
}

impl Shown {
    fn update(&mut self, session: &Session, listed: &ListedJob) -> anyhow::Result<()> {
        let Some(run) = listed.job.run() else { return Ok(()) };
        if !self.is_running {
            self.is_running = true;
            say(session, format!("Job {} is running on {}.", listed.job.id, run.machine))?;
        }
        let tail = redact(&run.log_tail);
        for line in new_lines(&self.tail, &tail) {
            say(session, line)?;
        }
        self.tail = tail;
        Ok(())
    }
}

/// Says how it goes: to people with the rest, beside the document of a program.
fn say(session: &Session, text: impl ToString) -> anyhow::Result<()> {
    if session.output.is_json() {
        eprintln!("{}", printable(&text.to_string()));
        return Ok(());
    }
    Ok(line(text)?)
}

/// The lines of a tail that were not in the tail before: what follows the longest overlap.
fn new_lines<'a>(before: &str, tail: &'a str) -> Vec<&'a str> {
    let before: Vec<&str> = before.lines().collect();
    let mut lines: Vec<&str> = tail.lines().collect();
    let longest = before.len().min(lines.len());
    let overlaps = |n: &usize| lines.get(..*n).is_some_and(|begin| before.ends_with(begin));
    let known = (0..=longest).rev().find(overlaps).unwrap_or(0);
    lines.split_off(known)
}

/// Says how the job that is gone ended.
async fn ended(session: &mut Session, viewer: &Person, job: JobId) -> anyhow::Result<ExitCode> {
    let Some(past) = session.store.past_run(viewer, job).await? else {
        anyhow::bail!("job {job} is gone without a run: its import is not REVIEWED any more, or was deleted");
    };
    let result = ResultDocument::of(&past.result, past.import);
    if result.status.is_infrastructure_failure()
        && let Some(import) = session.store.import(viewer, &result.import.unique_name).await?
        && let Some(next) = session.store.job_of(&import).await?
    {
        let now = session.store.now().await?;
        let next = JobDocument::of(&next, import.to_ref());
        say(session, format!("It will be tried again: job {} {}.", next.job, job::sentence(&next, now)))?;
    }
    if session.output.is_json() {
        session.output.document(&result)?;
    } else {
        let took = when::exact(chrono::TimeDelta::seconds(result.duration_s));
        let fields = vec![
            ("Status", status(result.status)),
            ("Took", took.into()),
            ("Reason", result.reason.as_deref().unwrap_or("none given").into()),
        ];
        session.output.fields(fields)?;
    }
    Ok(if result.status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tail_is_shown_once() {
        #[track_caller]
        fn check(before: &str, tail: &str, new: &[&str]) {
            assert_eq!(new_lines(before, tail), new);
        }
        check("", "a\nb", &["a", "b"]);
        check("a\nb", "a\nb", &[]);
        check("a\nb", "a\nb\nc", &["c"]);
        check("a\nb\nc", "b\nc\nd\ne", &["d", "e"]);
        check("a\nb", "x\ny", &["x", "y"]);
        check("a", "", &[]);
    }
}
