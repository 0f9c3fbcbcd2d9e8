//! What is done with one import, or with many.

use std::process::ExitCode;

use super::super::argument::OwnInterval;
use super::super::failure::Usage;
use super::super::output::{is_meant, line};
use super::super::session::Session;
use super::UpdateArgs;
use super::choice::{Choice, ChoiceArgs, Deed};
use crate::domain::{ReviewStatus, UniqueName};
use crate::workflow::{Act, Made, Policy, Update};

const UPDATE: Deed = Deed { verb: "Change", done: "changed", statuses: &[], is_grave: false };
const TRY_AGAIN: Deed = Deed {
    verb: "Try again",
    done: "told to try again",
    statuses: &[ReviewStatus::Failing],
    is_grave: false,
};
const DELETE: Deed = Deed { verb: "Delete", done: "deleted", statuses: &[], is_grave: true };

pub(super) async fn update(
    session: &mut Session,
    args: UpdateArgs,
    policy: &Policy,
) -> anyhow::Result<ExitCode> {
    let status = args.status;
    let has_new_source =
        args.source.url.is_some() || args.source.cvs_root.is_some() || args.source.cvs_module.is_some();
    let has_new_url = args.source.url.is_some() && args.status.is_none();
    let update = Update {
        review_status: args.status,
        source: args.source.into(),
        owner: args.owner,
        update_interval: args.interval.map(|OwnInterval(interval)| interval),
    };
    if update == Update::default() {
        let what = "say what is to be different: --url, --owner, --status or --interval";
        return Err(Usage(what.to_owned()).into());
    }
    if has_new_source && args.names.len() > 1 {
        return Err(Usage("a source is imported once: say one name with --url or --cvs-…".to_owned()).into());
    }
    let act = |import: UniqueName| Act::Update { import, update: update.clone() };
    match Choice::named(args.names, args.consent, UPDATE) {
        Choice::One { name, .. } => {
            let made = session.ask(act(name), policy).await?;
            session.accepted(&made, updated(&made, status, has_new_url))?;
            Ok(ExitCode::SUCCESS)
        }
        Choice::Many(chosen) => chosen.apply(session, UPDATE, policy, act).await,
    }
}

/// Sets the review status.
pub(super) async fn review(
    session: &mut Session,
    args: ChoiceArgs,
    status: ReviewStatus,
    policy: &Policy,
) -> anyhow::Result<ExitCode> {
    use ReviewStatus::{Failing, Invalid, New, Reviewed, Suspended};
    // Those that have the status already are not chosen, so that the next run chooses others.
    let (verb, done, statuses): (_, _, &[_]) = match status {
        Suspended => ("Suspend", "suspended", &[New, Reviewed, Invalid, Failing]),
        Invalid => ("Invalidate", "set as invalid", &[New, Reviewed, Suspended, Failing]),
        _ => ("Approve", "approved", &[New, Suspended, Invalid, Failing]),
    };
    let deed = Deed { verb, done, statuses, is_grave: false };
    let update = Update { review_status: Some(status), ..Update::default() };
    let act = |import: UniqueName| Act::Update { import, update: update.clone() };
    match args.choose(session, deed).await? {
        Choice::One { name, .. } => {
            let made = session.ask(act(name), policy).await?;
            session.accepted(&made, updated(&made, Some(status), false))?;
            Ok(ExitCode::SUCCESS)
        }
        Choice::Many(chosen) => chosen.apply(session, deed, policy, act).await,
    }
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

pub(super) async fn try_again(
    session: &mut Session,
    args: ChoiceArgs,
    policy: &Policy,
) -> anyhow::Result<ExitCode> {
    let act = |import| Act::TryAgain { import };
    match args.choose(session, TRY_AGAIN).await? {
        Choice::One { name, .. } => {
            let made = session.ask(act(name), policy).await?;
            session.accepted(&made, "Import will be tried again as soon as possible.")?;
            Ok(ExitCode::SUCCESS)
        }
        Choice::Many(chosen) => chosen.apply(session, TRY_AGAIN, policy, act).await,
    }
}

pub(super) async fn delete(
    session: &mut Session,
    args: ChoiceArgs,
    policy: &Policy,
) -> anyhow::Result<ExitCode> {
    let act = |import| Act::Delete { import };
    match args.choose(session, DELETE).await? {
        Choice::One { name, is_confirmed } => {
            if !is_confirmed && !is_meant(&format!("Delete {name}, its job and its results?"))? {
                line("Nothing was deleted.")?;
                return Ok(ExitCode::FAILURE);
            }
            let words = format!("The code import {name} has been deleted.");
            let made = session.ask(act(name), policy).await?;
            session.accepted(&made, words)?;
            Ok(ExitCode::SUCCESS)
        }
        Choice::Many(chosen) => chosen.apply(session, DELETE, policy, act).await,
    }
}
