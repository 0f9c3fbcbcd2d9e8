//! `job`: look at jobs, and stop them.

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::argument::{self, interval, one_of};
use super::document::{JobDocument, ResultDocument, status};
use super::failure::INTERRUPTED;
use super::import::{hidden, wait};
use super::output::Text;
use super::session::{ActorArgs, Session};
use super::{complete, hint, when};
use crate::domain::job::JobStateName;
use crate::domain::{Hostname, JobId, Person, RcsType, Timestamp};
use crate::store::views::JobFilter;
use crate::workflow::{Act, KillTarget};

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    actor: ActorArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the jobs that run and those that are due
    List(ListArgs),
    /// Show a job, with the last lines of its output; or, once it is gone, what it left behind
    Show {
        /// The number of the job
        #[arg(value_parser = argument::job, add = complete::jobs())]
        job: JobId,
        /// Print its output as it comes, until it ends: exits 0 if it was a success, 1 if it was a failure, 130
        /// if somebody interrupts it before
        #[arg(long, short)]
        follow: bool,
    },
    /// Stop a run
    Kill {
        /// The number of its job; or the name of its import, which means the run of this moment
        #[arg(value_parser = argument::kill_target, add = complete::jobs_or_imports())]
        target: KillTarget,
    },
}

#[derive(Debug, Args)]
struct ListArgs {
    /// RUNNING; or PENDING, which then lists those that are not due yet, too
    #[arg(long, value_parser = one_of::<JobStateName>, add = complete::words::<JobStateName>())]
    state: Option<JobStateName>,
    /// Those of this RCS: CVS, SVN, GIT, HG, BZR
    #[arg(long, value_name = "RCS", value_parser = one_of::<RcsType>, add = complete::words::<RcsType>())]
    rcs: Option<RcsType>,
    /// Those that this machine runs
    #[arg(long, value_name = "NAME", add = complete::machines())]
    machine: Option<Hostname>,
    /// Those that somebody asked for
    #[arg(long)]
    requested: bool,
    /// Those that wait although they have been due for longer than this, like 1h
    #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with = "machine")]
    late: Option<TimeDelta>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// The next page: those after this job, which the page before names
    #[arg(long, value_name = "JOB", value_parser = argument::job)]
    after: Option<JobId>,
}

#[derive(Serialize)]
struct ListDocument {
    jobs: Vec<JobDocument>,
    /// What `--after` needs for the next page; null on the last one.
    next: Option<JobId>,
}

pub(super) async fn run(args: JobArgs) -> anyhow::Result<ExitCode> {
    let (mut session, policy) = args.actor.open().await?;
    match args.verb {
        Verb::List(args) => list(&mut session, args).await?,
        Verb::Show { job, follow: true } => return follow(&mut session, job).await,
        Verb::Show { job, follow: false } => show(&mut session, job).await?,
        Verb::Kill { target } => {
            let made = session.ask(Act::Kill(target), &policy).await?;
            let job = made.job.map(|job| format!(" of job {job}")).unwrap_or_default();
            session.accepted(&made, format!("The run{job} is stopped."))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(session: &mut Session, args: ListArgs) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    let filter = JobFilter {
        state: args.state,
        rcs_type: args.rcs,
        machine: args.machine,
        is_requested: args.requested,
        late_for: args.late,
        after: args.after,
        limit: args.limit + 1,
    };
    let mut jobs = session.store.jobs(&viewer, &filter).await?;
    // One more was read than is shown: it says whether there is a next page.
    let has_more = jobs.len() > usize::try_from(args.limit)?;
    if has_more {
        jobs.pop();
    }
    let next = jobs.last().filter(|_| has_more).map(|last| last.job.id);
    let jobs: Vec<_> = jobs.into_iter().map(|listed| JobDocument::of(&listed.job, listed.import)).collect();
    if session.output.is_json() {
        return Ok(session.output.document(&ListDocument { jobs, next })?);
    }
    let now = session.store.now().await?;
    let none = match args.state {
        None if args.late.is_none() && !args.requested && args.after.is_none() => {
            "No job is running or due. Those that are scheduled: --state pending"
        }
        _ => "No matching jobs found.",
    };
    let row = |job: &JobDocument| [row(job, now), wide_row(job, now)].concat();
    let wide = ["DUE", "HANDED OUT", "MADE", "RUN", "LAST LINE"];
    session.output.list(&HEADER, &wide, jobs.iter().map(row).collect(), none)?;
    if let Some(next) = next {
        session.output.more(&format!("There are more: --after {next}"))?;
    }
    Ok(())
}

const HEADER: [&str; 8] = ["JOB", "IMPORT", "RCS", "STATE", "MACHINE", "SINCE", "HEARTBEAT", "REQUESTED BY"];

/// A table of jobs.
pub(super) fn table(
    session: &Session,
    jobs: &[JobDocument],
    now: Timestamp,
    none: &str,
) -> std::io::Result<()> {
    session.output.table(&HEADER, jobs.iter().map(|job| row(job, now)).collect(), none)
}

fn row(job: &JobDocument, now: Timestamp) -> Vec<Text> {
    let since = match job.date_started {
        Some(started) => format!("started {}", when::both(started, now)),
        None => format!("due {}", when::both(job.date_due, now)),
    };
    let name = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
    vec![
        Text::from(job.job),
        Text::from(&job.import.unique_name),
        Text::from(job.rcs_type),
        Text::from(job.state),
        Text::from(name(job.machine.as_ref().map(ToString::to_string))),
        Text::from(since),
        Text::from(name(job.heartbeat.map(|heartbeat| when::relative(heartbeat, now)))),
        Text::from(name(job.requested_by.as_ref().map(ToString::to_string))),
    ]
}

fn wide_row(job: &JobDocument, now: Timestamp) -> Vec<Text> {
    let or_dash = |text: Option<String>| Text::from(text.unwrap_or_else(|| "-".to_owned()));
    let last_line = job.log_tail.as_deref().and_then(|tail| tail.lines().last());
    vec![
        Text::from(when::both(job.date_due, now)),
        or_dash(job.date_dispatched.map(|date| when::relative(date, now))),
        Text::from(when::both(job.date_created, now)),
        or_dash(job.run.map(|run| run.to_string())),
        or_dash(last_line.map(str::to_owned)),
    ]
}

/// Shows a job, then its output as it comes, then how it ended. Of one that is gone, how it ended.
async fn follow(session: &mut Session, id: JobId) -> anyhow::Result<ExitCode> {
    let viewer = session.viewer().await?;
    let listed = session.store.job(&viewer, id).await?;
    if let Some(listed) = listed {
        if !session.output.is_json() {
            let job = JobDocument { log_tail: None, ..JobDocument::of(&listed.job, listed.import) };
            let now = session.store.now().await?;
            session.output.fields(fields(&job, now))?;
        }
    } else if session.store.past_run(&viewer, id).await?.is_none() {
        return Err(no_job(&viewer, id));
    }
    tokio::select! {
        ended = wait(session, &viewer, id) => ended,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            // Nobody knows how the run ends, so what stands behind `&&` must not begin.
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Says that there is no such job, and which there are.
fn no_job(viewer: &Person, id: JobId) -> anyhow::Error {
    let jobs = "Jobs that run or are due: code-imports job list; an import and its job: import show NAME";
    hint::below(hidden(viewer, &format!("job {id}")), Some(jobs.to_owned()))
}

async fn show(session: &mut Session, id: JobId) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    if let Some(listed) = session.store.job(&viewer, id).await? {
        let job = JobDocument::of(&listed.job, listed.import);
        if session.output.is_json() {
            return Ok(session.output.document(&job)?);
        }
        let now = session.store.now().await?;
        return Ok(session.output.fields(fields(&job, now))?);
    }
    let past = session.store.past_run(&viewer, id).await?;
    let past = past.ok_or_else(|| no_job(&viewer, id))?;
    let result = ResultDocument::of(&past.result, past.import);
    if session.output.is_json() {
        return Ok(session.output.document(&result)?);
    }
    let now = session.store.now().await?;
    Ok(session.output.fields(result_fields(&result, now))?)
}

/// What a job does, in Launchpad's words, to stand after its name.
pub(super) fn sentence(job: &JobDocument, now: Timestamp) -> String {
    if let (Some(machine), Some(started)) = (&job.machine, job.date_started) {
        return format!("is running on {machine}, started {}", when::both(started, now));
    }
    if job.date_due > now {
        return format!("is scheduled to run {}", when::both(job.date_due, now));
    }
    let requested = job.requested_by.as_ref().map(|by| format!(" (requested by {by})")).unwrap_or_default();
    format!("runs as soon as possible{requested}")
}

/// A text, each line of it set in.
pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn fields(job: &JobDocument, now: Timestamp) -> Vec<(&'static str, Text)> {
    let mut fields = vec![
        ("Job", Text::from(job.job)),
        ("Import", Text::from(&job.import.unique_name)),
        ("RCS", Text::from(job.rcs_type)),
        ("State", Text::from(format!("{}, {}", job.state, sentence(job, now)))),
        ("Due", Text::from(when::both(job.date_due, now))),
    ];
    let optional = [
        ("Requested by", job.requested_by.as_ref().map(ToString::to_string)),
        ("Handed out", job.date_dispatched.map(|date| when::both(date, now))),
        ("Run", job.run.map(|run| run.to_string())),
        ("Heartbeat", job.heartbeat.map(|heartbeat| when::both(heartbeat, now))),
        ("Output", job.log_tail.clone().filter(|tail| !tail.is_empty())),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, text)| Some((name, Text::from(text?)))));
    fields
}

fn result_fields(result: &ResultDocument, now: Timestamp) -> Vec<(&'static str, Text)> {
    let mut fields = vec![
        ("Job", Text::from(format!("{}, which is gone", result.job))),
        ("Import", Text::from(&result.import.unique_name)),
        ("Status", status(result.status)),
        ("Machine", Text::from(&result.machine)),
        ("Started", Text::from(when::both(result.date_job_started, now))),
        ("Ended", Text::from(when::both(result.date_created, now))),
    ];
    let stats = (!result.stats.is_empty()).then(|| serde_json::Value::from(result.stats.clone()).to_string());
    let optional = [
        ("Requested by", result.requested_by.as_ref().map(ToString::to_string)),
        ("Reason", result.reason.clone()),
        ("Stats", stats),
        ("Log", result.log_url.clone()),
        ("Output", Some(result.log_excerpt.clone()).filter(|tail| !tail.is_empty())),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, text)| Some((name, Text::from(text?)))));
    fields
}
