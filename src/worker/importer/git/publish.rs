//! Moves the refs of a target to what was fetched.

use super::classify::{Phase, classify};
use super::command::{Call, Git};
use super::fence::{Claim, JOB_REF, judge_refusal, lock};
use super::refs::{Changes, RefName, Refs};
use super::transaction::Transaction;
use crate::failpoint;
use crate::worker::importer::Importer;
use crate::worker::importer::failure::Step;
use crate::worker::importer::target::{Target, TargetLock, remove_if_there};

/// More new refs than this are put into one file, once they have moved: a file each is slow to read.
const MAX_LOOSE_REFS: usize = 100;

/// What is to be published.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) changes: Changes,
    /// The branch that HEAD is to stand for, if that changes.
    pub(super) head: Option<RefName>,
    /// What was fetched for it, below `incoming_prefix`; it goes.
    pub(super) incoming: Refs,
    pub(super) incoming_prefix: String,
}

/// Moves all refs, or none; then HEAD.
///
/// Where a deletion stands in the way of a creation there are two transactions, the deletion first: between
/// them a reader misses the deleted ref, and a run that is killed there is finished by the next one.
pub(super) async fn publish(
    importer: &Importer<'_>,
    git: &Git<'_>,
    target: &Target,
    claim: &Claim,
    publication: &Publication,
) -> Step<()> {
    let lock = lock(importer, target).await?;
    failpoint::pass("target-locked");
    let in_the_way = publication.changes.in_the_way();
    if !in_the_way.is_empty() {
        let mut clearing = Transaction::new();
        let deleted = publication.changes.deleted.iter();
        for (name, old) in deleted.filter(|(name, _)| in_the_way.contains(name)) {
            clearing.delete(&name.below("refs/"), old);
        }
        apply(git, claim, &lock, clearing).await?;
    }
    apply(git, claim, &lock, publication.transaction(|name| !in_the_way.contains(name))).await?;
    move_head(git, &lock, publication.head.as_ref()).await?;
    if publication.changes.new_tips().count() > MAX_LOOSE_REFS {
        git.run(Call::new(&["pack-refs", "--all"]).stdout(lock.holder()?)).await?;
    }
    remove_if_there(&target.acceptance())?;
    Ok(())
}

impl Publication {
    fn transaction(&self, is_left: impl Fn(&RefName) -> bool) -> Transaction {
        let mut transaction = Transaction::new();
        for (name, old) in self.changes.deleted.iter().filter(|(name, _)| is_left(name)) {
            transaction.delete(&name.below("refs/"), old);
        }
        for (name, new) in &self.changes.created {
            transaction.create(&name.below("refs/"), new);
        }
        for (name, old, new) in &self.changes.updated {
            transaction.update(&name.below("refs/"), old, new);
        }
        for (name, oid) in &self.incoming {
            transaction.delete(&name.below(&self.incoming_prefix), oid);
        }
        transaction
    }
}

/// Applies a transaction if the run is still the newest.
async fn apply(git: &Git<'_>, claim: &Claim, lock: &TargetLock, mut transaction: Transaction) -> Step<()> {
    transaction.verify(JOB_REF, &claim.job);
    let output = transaction.apply(git, lock).await?;
    if output.status.success() { Ok(()) } else { Err(judge_refusal(git, claim, &output).await?) }
}

async fn move_head(git: &Git<'_>, lock: &TargetLock, head: Option<&RefName>) -> Step<()> {
    let Some(head) = head else { return Ok(()) };
    let name = head.below("refs/");
    // Not UTF-8: no tool of ours can pass it on, and HEAD is worth no failure.
    let Ok(name) = std::str::from_utf8(&name) else { return Ok(()) };
    let output = git.try_run(Call::new(&["symbolic-ref", "HEAD", name]).stdout(lock.holder()?)).await?;
    if output.status.success() { Ok(()) } else { Err(classify(Phase::Local, &output).into()) }
}
