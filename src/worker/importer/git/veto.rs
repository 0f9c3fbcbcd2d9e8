//! What a remote shows may be a mistake of its own: then what we hold is held.
//!
//! An operator who knows better creates the file that the reason names; it counts for one publication.

use super::command::{Call, Git};
use super::fence::Claim;
use super::refs::{Changes, Refs};
use crate::domain::Status;
use crate::worker::importer::DeletionLimit;
use crate::worker::importer::failure::{Failure, Step};
use crate::worker::importer::target::Target;

/// Refuses a remote that shows nothing.
///
/// An empty repository looks exactly like a server's empty answer. Where nothing is held yet, that is told as
/// what it is, nothing importable; a success would let a wrong address look right for ever.
pub(super) fn require_some(held: &Refs, wanted: &Refs) -> Result<(), Failure> {
    match (held.len(), wanted.is_empty()) {
        (_, false) => Ok(()),
        (0, true) => {
            Err(Failure::new(Status::FailureInvalid, "empty", "the remote has no branches and no tags"))
        }
        (count, true) => Err(Failure::new(
            Status::FailureRemoteBroken,
            "emptied",
            format!("the remote shows no branches and no tags any more; {count} are held"),
        )),
    }
}

/// Refuses to delete a large part of what is held.
pub(super) fn require_few_deletions(
    held: &Refs,
    changes: &Changes,
    limit: DeletionLimit,
    target: &Target,
) -> Result<(), Failure> {
    let deleted = changes.deleted.len();
    if limit.allows(deleted, held.len()) || target.is_accepted() {
        return Ok(());
    }
    Err(replaced(target, &format!("{deleted} of {} refs are gone from the remote", held.len())))
}

/// Refuses a default branch that has nothing in common with the one that is held.
pub(super) async fn require_related(
    git: &Git<'_>,
    claim: &Claim,
    changes: &Changes,
    target: &Target,
) -> Step<()> {
    let updated = changes.updated.iter().find(|(name, ..)| Some(name) == claim.head.as_ref());
    let Some((name, old, new)) = updated else { return Ok(()) };
    let output = git.try_run(Call::new(&["merge-base", old.as_str(), new.as_str()])).await?;
    // 1 is an answer, "none"; anything else is no answer, such as for a tree.
    if output.status.code() != Some(1) || target.is_accepted() {
        return Ok(());
    }
    Err(replaced(target, &format!("{name} has no history in common with what is held")).into())
}

fn replaced(target: &Target, what: &str) -> Failure {
    let detail = format!("{what}; all is held. To accept it once, create {}", target.acceptance().display());
    Failure::new(Status::FailureRemoteBroken, "replaced", detail)
}
