//! `job`: look at jobs, and stop them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::argument::{self, one_of};
use super::document::{JobDocument, ResultDocument, status};
use super::import::hidden;
use super::output::Text;
use super::session::{Session, SessionArgs};
use super::when;
use crate::config::policy::PolicyArgs;
use crate::domain::job::JobStateName;
use crate::domain::{Hostname, JobId, RcsType, Timestamp};
use crate::store::views::JobFilter;
use crate::workflow::{Act, KillTarget};

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the jobs that run and those that are due
    List(ListArgs),
    /// Show a job; or, once it is gone, what it left behind
    Show {
        /// The number of the job
        #[arg(value_parser = argument::job)]
        job: JobId,
    },
    /// Stop a run
    Kill {
        /// The number of its job; or the name of its import, which means the run of this moment
        #[arg(value_parser = argument::kill_target)]
        target: KillTarget,
    },
}

#[derive(Debug, Args)]
struct ListArgs {
    /// RUNNING; or PENDING, which then lists those that are not due yet, too
    #[arg(long, value_parser = one_of::<JobStateName>)]
    state: Option<JobStateName>,
    /// Those of this RCS: CVS, SVN, GIT, HG, BZR
    #[arg(long, value_name = "RCS", value_parser = one_of::<RcsType>)]
    rcs: Option<RcsType>,
    /// Those that this machine runs
    #[arg(long, value_name = "NAME")]
    machine: Option<Hostname>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

#[derive(Serialize)]
struct ListDocument {
    jobs: Vec<JobDocument>,
}

pub(super) async fn run(args: JobArgs) -> anyhow::Result<ExitCode> {
    let (mut session, policy) = args.session.open_with(&args.policy).await?;
    match args.verb {
        Verb::List(args) => list(&mut session, args).await?,
        Verb::Show { job } => show(&mut session, job).await?,
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
    let filter =
        JobFilter { state: args.state, rcs_type: args.rcs, machine: args.machine, limit: args.limit };
    let jobs = session.store.jobs(&viewer, &filter).await?;
    let jobs: Vec<_> = jobs.into_iter().map(|listed| JobDocument::of(&listed.job, listed.import)).collect();
    if session.output.is_json() {
        return Ok(session.output.document(&ListDocument { jobs })?);
    }
    let now = session.store.now().await?;
    let none = match args.state {
        None => "No job is running or due. Those that are scheduled: --state pending",
        Some(_) => "No matching jobs found.",
    };
    Ok(table(session, &jobs, now, none)?)
}

/// A table of jobs.
pub(super) fn table(
    session: &Session,
    jobs: &[JobDocument],
    now: Timestamp,
    none: &str,
) -> std::io::Result<()> {
    let header = ["JOB", "IMPORT", "RCS", "STATE", "MACHINE", "SINCE", "HEARTBEAT", "REQUESTED BY"];
    session.output.table(&header, jobs.iter().map(|job| row(job, now)).collect(), none)
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
    let past = past.ok_or_else(|| hidden(&viewer, &format!("job {id}")))?;
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
