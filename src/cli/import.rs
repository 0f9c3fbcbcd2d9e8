//! `import`: register, look at and change imports.
//!
//! | file       | what                                                    |
//! |------------|---------------------------------------------------------|
//! | `selector` | which imports are meant                                 |
//! | `list`     | a page of them                                          |
//! | `show`     | one, its job and its results                            |
//! | `next`     | what will happen to it, and when                        |
//! | `act`      | what is done with one or with many                      |
//! | `choice`   | many: chosen, shown, confirmed, applied in batches      |
//! | `wait`     | asking for a run, and waiting for its end               |

mod act;
mod choice;
mod list;
mod next;
mod selector;
mod show;
mod wait;

pub(super) use show::{find, hidden};
pub(super) use wait::wait;

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Args, Subcommand};

use super::argument::{self, OwnInterval, interval, interval_or_default, one_of};
use super::complete;
use super::session::{ActorArgs, Session};
use crate::domain::{PersonName, RcsType, ReviewStatus, SourceInput, UniqueName};
use crate::workflow::{Act, Policy, Registration};
use choice::{ChoiceArgs, ConsentArgs};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    actor: ActorArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an import
    Register(RegisterArgs),
    /// List imports
    List(list::ListArgs),
    /// Show an import, its job, what will happen next, and its last ten results
    Show {
        /// The name of its target, ~owner/project/name
        #[arg(value_parser = argument::name, add = complete::imports())]
        name: UniqueName,
    },
    /// Change imports; what is not said stays
    Update(UpdateArgs),
    /// Ask for imports to run as soon as possible; of those that are selected, the REVIEWED ones
    Request(wait::RequestArgs),
    /// Give imports that are FAILING a fresh start; of those that are selected, the FAILING ones
    TryAgain(ChoiceArgs),
    /// Let imports run: they are REVIEWED then
    Approve(ChoiceArgs),
    /// Pause imports; runs go on to their end
    Suspend(ChoiceArgs),
    /// Refuse imports; runs go on to their end
    Invalidate(ChoiceArgs),
    /// Delete imports, their jobs and their results; the audit log stays
    Delete(ChoiceArgs),
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// The name that its target will have, ~owner/project/name
    #[arg(value_parser = argument::name)]
    name: UniqueName,
    /// What the source speaks: CVS, SVN, GIT, HG, BZR
    #[arg(long, value_name = "RCS", value_parser = one_of::<RcsType>, add = complete::words::<RcsType>())]
    rcs: RcsType,
    #[command(flatten)]
    source: SourceWords,
    /// Whose it is, a person or a team [default: whoever registers it]
    #[arg(long, value_name = "NAME", add = complete::people())]
    owner: Option<PersonName>,
    /// NEW, REVIEWED, SUSPENDED, INVALID or FAILING [default: REVIEWED]
    #[arg(long, value_parser = one_of::<ReviewStatus>, add = complete::words::<ReviewStatus>())]
    status: Option<ReviewStatus>,
    /// From one run's start to the next [default: that of its RCS]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<TimeDelta>,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// The names of their targets, ~owner/project/name; `import list --output name` prints them
    #[arg(value_name = "NAME", required = true, value_parser = argument::name, add = complete::imports())]
    names: Vec<UniqueName>,
    #[command(flatten)]
    source: SourceWords,
    /// Whose it is, a person or a team
    #[arg(long, value_name = "NAME", add = complete::people())]
    owner: Option<PersonName>,
    /// NEW, REVIEWED, SUSPENDED, INVALID or FAILING
    #[arg(long, value_parser = one_of::<ReviewStatus>, add = complete::words::<ReviewStatus>())]
    status: Option<ReviewStatus>,
    /// From one run's start to the next, or `default`
    #[arg(long, value_name = "TIME", value_parser = interval_or_default)]
    interval: Option<OwnInterval>,
    #[command(flatten)]
    consent: ConsentArgs,
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
    let (mut session, policy) = args.actor.open().await?;
    let session = &mut session;
    match args.verb {
        Verb::Register(args) => register(session, args, &policy).await?,
        Verb::List(args) => list::list(session, &args, &policy).await?,
        Verb::Show { name } => show::show(session, &name, &policy).await?,
        Verb::Update(args) => return act::update(session, args, &policy).await,
        Verb::Request(args) => return wait::request(session, args, &policy).await,
        Verb::TryAgain(args) => return act::try_again(session, args, &policy).await,
        Verb::Approve(args) => return act::review(session, args, ReviewStatus::Reviewed, &policy).await,
        Verb::Suspend(args) => return act::review(session, args, ReviewStatus::Suspended, &policy).await,
        Verb::Invalidate(args) => return act::review(session, args, ReviewStatus::Invalid, &policy).await,
        Verb::Delete(args) => return act::delete(session, args, &policy).await,
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
