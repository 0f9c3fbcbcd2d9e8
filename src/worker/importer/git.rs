//! Git: how it is imported, how its failures are read.
//!
//! ```text
//! check the address ── claim the target ── probe ──same── SUCCESS_NOCHANGE
//!                      (fence, sweep)        │
//!                             veto ── fetch into refs/incoming ── veto ── publish
//!                                     (no lock held)                      (lock, lease, fence)
//! ```
//!
//! Exit 0 is no success: an empty answer of a web server looks like a repository without refs. So refs are
//! compared before and after, and never pruned by `git` itself.

mod classify;
mod command;
mod fence;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod publish;
mod refs;
mod remote;
mod transaction;
mod veto;

#[cfg(any(test, fuzzing))]
pub(crate) use fuzzing::{git_errors, git_refs};

use serde_json::json;

use self::classify::{Phase, classify};
use self::command::{Call, Git};
use self::fence::Claim;
use self::publish::Publication;
use self::refs::{Advertised, Changes, Refs};
use self::remote::Remote;
use super::failure::{Failure, Step};
use super::process::Output;
use super::target::{Target, pack_bytes};
use super::{Imported, Importer};
use crate::domain::Status;

/// Every object is checked. What old tools wrote wrongly and every tool reads all the same is let through;
/// what could harm a reader (`hasDotgit`, `hasDotdot`, …) is not.
///
/// A pack is kept as one: it is counted, and takes three files in place of hundreds.
const FETCH_OPTIONS: [&str; 15] = [
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "fetch.fsck.badDate=warn",
    "fetch.fsck.badEmail=warn",
    "fetch.fsck.badName=warn",
    "fetch.fsck.badTimezone=warn",
    "fetch.fsck.missingEmail=warn",
    "fetch.fsck.missingNameBeforeEmail=warn",
    "fetch.fsck.missingSpaceBeforeDate=warn",
    "fetch.fsck.missingSpaceBeforeEmail=warn",
    "fetch.fsck.zeroPaddedDate=warn",
    "fetch.fsck.zeroPaddedFilemode=warn",
    "fetch.unpackLimit=1",
    // What is incoming need not survive a crash of the machine; objects must.
    "core.fsync=committed,-reference",
    "fetch.recurseSubmodules=false",
];

const FETCH: [&str; 8] = [
    "fetch",
    "--stdin",
    "--progress",
    "--no-tags",
    "--force",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
];

/// More refs than this are not asked for one by one: `git fetch` compares each with all that the remote has.
const MAX_REFSPECS: usize = 500;

/// Brings a target to what its remote shows.
pub(super) async fn import(importer: &Importer<'_>) -> Step<Imported> {
    let (run, settings) = (importer.run, importer.settings);
    let remote = Remote::of(&run.source, &settings.policy, &importer.supervisor).await?;
    let target = Target::of(&std::path::absolute(&settings.targets)?, run.import);
    let git = Git::new(&importer.supervisor, &settings.git, target.path().to_owned());

    let claim = if target.exists() { Some(fence::claim(importer, &git, &target).await?) } else { None };
    let advertised = probe(&git, &remote).await?;
    let claim = match claim {
        Some(claim) => claim,
        None => first_claim(importer, &git, &target, &advertised).await?,
    };
    require_format(&claim, &advertised)?;
    Update { importer, git, target, remote, claim, advertised }.run().await
}

/// Asks the remote for its branches, its tags and its HEAD.
async fn probe(git: &Git<'_>, remote: &Remote) -> Step<Advertised> {
    let patterns = ["HEAD", "refs/heads/*", "refs/tags/*"];
    let mut arguments = vec!["ls-remote", "--exit-code", "--symref", "--", &remote.url];
    arguments.extend(patterns);
    let output = git.run_remote(Phase::Probe, remote, Call::new(&arguments)).await?;
    match output.status.code() {
        // 2: it has none of these.
        Some(0 | 2) => {}
        _ => return Err(classify(Phase::Probe, &output).into()),
    }
    let advertised = Advertised::of(&output.stdout);
    for name in &advertised.left_out {
        git.supervisor.log.push(&format!("Left out {name}: git takes no ref of that name."));
    }
    Ok(advertised)
}

/// Makes the target and claims it. Until now there was nothing in it to protect.
async fn first_claim(
    importer: &Importer<'_>,
    git: &Git<'_>,
    target: &Target,
    advertised: &Advertised,
) -> Step<Claim> {
    veto::require_some(&Refs::new(), &advertised.refs)?;
    let format = advertised.refs.values().next().map_or("sha1", refs::Oid::format);
    fence::create(importer, git, target, format).await?;
    fence::claim(importer, git, target).await
}

fn require_format(claim: &Claim, advertised: &Advertised) -> Result<(), Failure> {
    let (ours, theirs) = (claim.job.format(), advertised.refs.values().next().map(refs::Oid::format));
    match theirs {
        Some(theirs) if theirs != ours => Err(Failure::new(
            Status::FailureUnsupportedFeature,
            "not_representable",
            format!("the remote's object format is {theirs}, the target's is {ours}"),
        )),
        _ => Ok(()),
    }
}

/// A run that has claimed its target and probed its remote.
struct Update<'a> {
    importer: &'a Importer<'a>,
    git: Git<'a>,
    target: Target,
    remote: Remote,
    claim: Claim,
    advertised: Advertised,
}

impl Update<'_> {
    async fn run(&self) -> Step<Imported> {
        let shown = Changes::between(&self.claim.refs, &self.advertised.refs);
        self.require_plausible(&self.advertised.refs, &shown)?;
        if shown.is_empty() && self.new_head(&self.advertised.refs).is_none() {
            return Ok(nothing_new(self.claim.refs.len()));
        }
        let bytes_before = pack_bytes(self.target.path())?;
        let incoming = self.fetch(&shown).await?;
        let bytes = pack_bytes(self.target.path())?.saturating_sub(bytes_before);

        // What was fetched is younger than what was shown. What appeared between the two is for the next run.
        let mut wanted = self.advertised.refs.clone();
        for (name, oid) in &mut wanted {
            if let Some(younger) = incoming.get(name) {
                oid.clone_from(younger);
            }
        }
        let changes = Changes::between(&self.claim.refs, &wanted);
        veto::require_related(&self.git, &self.claim, &changes, &self.target).await?;
        let revisions = self.count_revisions(&changes).await?;
        if self.claim.refs.is_empty() {
            self.verify().await?;
        }
        let head = self.new_head(&wanted);
        let publication = Publication { changes, head, incoming, incoming_prefix: self.incoming_prefix() };
        publish::publish(self.importer, &self.git, &self.target, &self.claim, &publication).await?;
        Ok(something_new(&publication, revisions, bytes))
    }

    fn require_plausible(&self, wanted: &Refs, changes: &Changes) -> Result<(), Failure> {
        let limit = self.importer.settings.deletion_limit;
        veto::require_some(&self.claim.refs, wanted)?;
        veto::require_few_deletions(&self.claim.refs, changes, limit, &self.target)
    }

    fn new_head(&self, wanted: &Refs) -> Option<refs::RefName> {
        self.advertised.new_head(wanted, self.claim.head.as_ref())
    }

    fn incoming_prefix(&self) -> String {
        format!("refs/incoming/{}/", self.importer.run.id)
    }

    /// Gets what changed into refs that nobody sees.
    async fn fetch(&self, changes: &Changes) -> Step<Refs> {
        let prefix = self.incoming_prefix();
        let refspecs = refspecs(changes, &prefix);
        if refspecs.is_empty() {
            return Ok(Refs::new());
        }
        let mut arguments = FETCH.to_vec();
        arguments.extend(["--", &self.remote.url]);
        let call = Call::new(&arguments).options(&FETCH_OPTIONS).stdin(refspecs);
        let output = self.git.run_remote(Phase::Fetch, &self.remote, call).await?;
        if !output.status.success() {
            return Err(classify(Phase::Fetch, &output).into());
        }
        let incoming = fence::read_incoming(&self.git, &prefix).await?;
        match changes.to_fetch().find(|name| !incoming.contains_key(name)) {
            Some(name) => {
                Err(Failure::new(Status::Failure, "changed", format!("{name} did not come")).into())
            }
            None => Ok(incoming),
        }
    }

    /// The commits that come with the new tips and are in nothing that is held.
    async fn count_revisions(&self, changes: &Changes) -> Step<u64> {
        let mut tips = Vec::new();
        for new in changes.new_tips() {
            tips.extend(format!("{new}\n").bytes());
        }
        for held in self.claim.refs.values() {
            tips.extend(format!("^{held}\n").bytes());
        }
        let output = self.git.run(Call::new(&["rev-list", "--count", "--stdin"]).stdin(tips)).await?;
        let count = std::str::from_utf8(&output).ok().and_then(|count| count.trim().parse().ok());
        Ok(count.ok_or_else(|| Failure::internal("git", "rev-list printed no number"))?)
    }

    /// Reads a new repository once in whole, before anybody else does.
    ///
    /// Only then: it costs a walk over all history. Later fetches check every object that comes, and that the
    /// history of every new tip is complete.
    async fn verify(&self) -> Step<()> {
        self.git.run(Call::new(&["fsck", "--connectivity-only", "--no-dangling", "--progress"])).await?;
        Ok(())
    }
}

/// What `git fetch` is to get, a line each: what changed or, where that is much, everything.
fn refspecs(changes: &Changes, prefix: &str) -> Vec<u8> {
    if changes.to_fetch().count() > MAX_REFSPECS {
        let all = ["heads/*", "tags/*"].map(|all| format!("+refs/{all}:{prefix}{all}\n"));
        return all.concat().into_bytes();
    }
    let refspec = |name: &refs::RefName| {
        [b"+", name.below("refs/").as_slice(), b":", &name.below(prefix), b"\n"].concat()
    };
    changes.to_fetch().flat_map(refspec).collect()
}

fn nothing_new(held: usize) -> Imported {
    let reason = format!("nothing new: {held} refs as before");
    Imported { status: Status::SuccessNoChange, reason, stats: stats(0, 0, &Changes::default()) }
}

fn something_new(publication: &Publication, revisions: u64, bytes: u64) -> Imported {
    let refs = publication.changes.len();
    let commits = if revisions == 1 { "commit" } else { "commits" };
    let changed = if refs == 1 { "ref" } else { "refs" };
    let head = publication.head.as_ref().map_or(String::new(), |head| format!(", HEAD is {head}"));
    let reason = format!("{revisions} new {commits}, {refs} {changed} changed{head}");
    Imported { status: Status::Success, reason, stats: stats(revisions, bytes, &publication.changes) }
}

fn stats(revisions: u64, bytes: u64, changes: &Changes) -> serde_json::Map<String, serde_json::Value> {
    let stats = [
        ("revisions", json!(revisions)),
        ("bytes", json!(bytes)),
        ("refs_created", json!(changes.created.len())),
        ("refs_updated", json!(changes.updated.len())),
        ("refs_deleted", json!(changes.deleted.len())),
    ];
    stats.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
