//! `import`: register, look at and change imports.

mod list;
mod load;
mod show;
mod wait;

pub(super) use show::{find, hidden};

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Args, Subcommand};

use super::argument::{OwnInterval, interval, interval_or_default, one_of};
use super::output::{is_meant, line};
use super::session::{Session, SessionArgs};
use crate::config::policy::PolicyArgs;
use crate::domain::{PersonName, RcsType, ReviewStatus, SourceInput, UniqueName};
use crate::workflow::{Act, Made, Policy, Registration, Update};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an import
    Register(RegisterArgs),
    /// Make many imports, from a file of JSON lines or CSV
    Load(load::LoadArgs),
    /// List imports, in the order in which they were registered
    List(list::ListArgs),
    /// Show an import, its job and its last ten results
    Show {
        /// The name of its target, ~owner/project/name
        name: UniqueName,
    },
    /// Change an import; what is not said stays
    Update(UpdateArgs),
    /// Ask for an import to run as soon as possible
    Request(wait::RequestArgs),
    /// Give an import that is FAILING a fresh start
    TryAgain {
        /// The name of its target, ~owner/project/name
        name: UniqueName,
    },
    /// Delete an import, its job and its results; the audit log stays
    Delete {
        /// The name of its target, ~owner/project/name
        name: UniqueName,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// The name that its target will have, ~owner/project/name
    name: UniqueName,
    /// What the source speaks: CVS, SVN, GIT, HG, BZR
    #[arg(long, value_name = "RCS", value_parser = one_of::<RcsType>)]
    rcs: RcsType,
    #[command(flatten)]
    source: SourceWords,
    /// Whose it is, a person or a team [default: whoever registers it]
    #[arg(long, value_name = "NAME")]
    owner: Option<PersonName>,
    /// NEW, REVIEWED, SUSPENDED, INVALID or FAILING [default: REVIEWED]
    #[arg(long, value_parser = one_of::<ReviewStatus>)]
    status: Option<ReviewStatus>,
    /// From one run's start to the next [default: that of its RCS]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<TimeDelta>,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// The name of its target, ~owner/project/name
    name: UniqueName,
    #[command(flatten)]
    source: SourceWords,
    /// Whose it is, a person or a team
    #[arg(long, value_name = "NAME")]
    owner: Option<PersonName>,
    /// NEW, REVIEWED, SUSPENDED, INVALID or FAILING
    #[arg(long, value_parser = one_of::<ReviewStatus>)]
    status: Option<ReviewStatus>,
    /// From one run's start to the next, or `default`
    #[arg(long, value_name = "TIME", value_parser = interval_or_default)]
    interval: Option<OwnInterval>,
}

/// Where an import comes from.
#[derive(Debug, Args)]
struct SourceWords {
    /// Where it comes from, unless it is CVS
    #[arg(long)]
    url: Option<String>,
    /// The CVS root, :pserver:user@host:/path
    #[arg(long, value_name = "ROOT")]
    cvs_root: Option<String>,
    /// The CVS module
    #[arg(long, value_name = "MODULE")]
    cvs_module: Option<String>,
}

impl From<SourceWords> for SourceInput {
    fn from(words: SourceWords) -> Self {
        Self { url: words.url, cvs_root: words.cvs_root, cvs_module: words.cvs_module }
    }
}

pub(super) async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let (mut session, policy) = args.session.open_with(&args.policy).await?;
    match args.verb {
        Verb::Register(args) => register(&mut session, args, &policy).await?,
        Verb::Load(args) => return load::load(&mut session, &args, &policy).await,
        Verb::List(args) => list::list(&mut session, &args, &policy).await?,
        Verb::Show { name } => show::show(&mut session, &name, &policy).await?,
        Verb::Update(args) => update(&mut session, args, &policy).await?,
        Verb::Request(args) => return wait::request(&mut session, args, &policy).await,
        Verb::TryAgain { name } => try_again(&mut session, name, &policy).await?,
        Verb::Delete { name, yes } => delete(&mut session, name, yes, &policy).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn register(session: &mut Session, args: RegisterArgs, policy: &Policy) -> anyhow::Result<()> {
    let registration = Registration {
        unique_name: args.name,
        rcs_type: args.rcs,
        source: args.source.into(),
        owner: args.owner,
        review_status: args.status,
        update_interval: args.interval,
    };
    let made = session.ask(Act::Register(registration), policy).await?;
    let words = match made.job {
        Some(_) => "New code import created. The code import will start shortly.",
        None => "New code import created. It does not run until it is REVIEWED.",
    };
    session.accepted(&made, words)
}

async fn update(session: &mut Session, args: UpdateArgs, policy: &Policy) -> anyhow::Result<()> {
    let status = args.status;
    let has_new_url = args.source.url.is_some() && args.status.is_none();
    let update = Update {
        review_status: args.status,
        source: args.source.into(),
        owner: args.owner,
        update_interval: args.interval.map(|OwnInterval(interval)| interval),
    };
    let made = session.ask(Act::Update { import: args.name, update }, policy).await?;
    session.accepted(&made, updated(&made, status, has_new_url))
}

/// What people are told of a change, in Launchpad's words.
fn updated(made: &Made, status: Option<ReviewStatus>, has_new_url: bool) -> &'static str {
    if made.changed == Some(false) {
        return "No changes made.";
    }
    match status {
        _ if has_new_url => "The code import URL has been updated.",
        Some(ReviewStatus::Reviewed) => "The code import has been approved.",
        Some(ReviewStatus::Invalid) => "The code import has been set as invalid.",
        Some(ReviewStatus::Suspended) => "The code import has been suspended.",
        Some(ReviewStatus::Failing) => "The code import has been marked as failing.",
        Some(ReviewStatus::New) | None => "The code import has been updated.",
    }
}

async fn try_again(session: &mut Session, name: UniqueName, policy: &Policy) -> anyhow::Result<()> {
    let made = session.ask(Act::TryAgain { import: name }, policy).await?;
    session.accepted(&made, "Import will be tried again as soon as possible.")
}

async fn delete(session: &mut Session, name: UniqueName, yes: bool, policy: &Policy) -> anyhow::Result<()> {
    if !yes && !is_meant(&format!("Delete {name}, its job and its results?"))? {
        return Ok(line("Nothing was deleted.")?);
    }
    let words = format!("The code import {name} has been deleted.");
    let made = session.ask(Act::Delete { import: name }, policy).await?;
    session.accepted(&made, words)
}
