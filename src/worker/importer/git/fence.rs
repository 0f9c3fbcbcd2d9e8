//! The fence: no run changes a target once a newer one has begun (duty 7).
//!
//! ```text
//! refs/code-imports/job     a blob with the job's id: who has begun last
//! refs/incoming/<run>/…     what a run fetched, until it is moved
//! refs/heads/…  refs/tags/… what is served; the two above are hidden
//! ```
//!
//! Three things stand between an old run and the refs. The *lock* keeps two runs of one file system apart. The
//! *lease*, looked at under the lock, keeps back a run that the coordinator may have given up. And every
//! transaction verifies the *job ref*, in case a run was stopped between look and write.

use std::fs;

use super::classify::{Phase, classify};
use super::command::{Call, Git};
use super::refs::{Oid, RefName, Refs, split_at_first};
use super::transaction::Transaction;
use crate::domain::JobId;
use crate::worker::importer::Importer;
use crate::worker::importer::failure::{Failure, Step, Stopped};
use crate::worker::importer::target::{Target, TargetLock, sweep};

/// Names a blob whose content is the id of the job that began last.
pub(super) const JOB_REF: &[u8] = b"refs/code-imports/job";

/// Below it, each run keeps what it fetched.
const INCOMING: &[u8] = b"refs/incoming/";

/// Maintenance, when there is enough to do. Small packs come one an update, loose objects (the blobs of
/// [`JOB_REF`]) one a run. A pack of a gigabyte is left as it is: rewriting it costs more than it saves.
const GC_OPTIONS: [&str; 5] = [
    "gc.auto=500",
    "gc.autoPackLimit=50",
    "gc.autoDetach=false",
    "gc.bigPackThreshold=1g",
    "gc.pruneExpire=2.weeks.ago",
];

/// A target as a run found it when it began.
#[derive(Debug)]
pub(super) struct Claim {
    /// The run's own blob, which [`JOB_REF`] must name for as long as it may change refs.
    pub(super) job: Oid,
    /// Its branches and tags.
    pub(super) refs: Refs,
    /// The branch that HEAD stands for, if it is there.
    pub(super) head: Option<RefName>,
}

/// What the refs of a repository say.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) refs: Refs,
    head: Option<RefName>,
    job: Option<Oid>,
    incoming: Vec<(Vec<u8>, Oid)>,
}

/// Makes the repository, so that it is there whole or not at all.
pub(super) async fn create(
    importer: &Importer<'_>,
    git: &Git<'_>,
    target: &Target,
    format: &str,
) -> Step<()> {
    let draft = target.draft(&importer.run.id.to_string());
    target.prepare_directory()?;
    let made = draft_repository(importer, git, &draft, format).await;
    if made.is_ok() && fs::rename(&draft, target.path()).is_ok() {
        return Ok(());
    }
    let _ = fs::remove_dir_all(&draft);
    made?;
    // Another run was faster; whose it is, its job ref says.
    if target.exists() { Ok(()) } else { Err(Failure::internal("io", "cannot create the target").into()) }
}

async fn draft_repository(
    importer: &Importer<'_>,
    git: &Git<'_>,
    draft: &std::path::Path,
    format: &str,
) -> Step<()> {
    let format = format!("--object-format={format}");
    let git = Git::new(git.supervisor, &importer.settings.git, draft.to_owned());
    git.run(Call::new(&["init", "-q", "--bare", &format])).await?;
    // Nobody may see the fence, and no tool may repack behind our back.
    let hidden = "[transfer]\n\thideRefs = refs/code-imports\n\thideRefs = refs/incoming\n[gc]\n\tauto = 0\n";
    let mut config = fs::read(draft.join("config"))?;
    config.extend(hidden.as_bytes());
    fs::write(draft.join("config"), config)?;
    fs::write(draft.join("description"), format!("{}\n", importer.run.unique_name))?;
    Ok(())
}

/// Begins a run: writes its job id into the target, unless a newer one is there, and clears away what others
/// left.
pub(super) async fn claim(importer: &Importer<'_>, git: &Git<'_>, target: &Target) -> Step<Claim> {
    let lock = lock(importer, target).await?;
    let repository = target.path().to_owned();
    tokio::task::spawn_blocking(move || sweep(&repository)).await.map_err(std::io::Error::from)??;
    let state = read_state(git).await?;
    let job = importer.run.job;
    require_not_superseded(git, &state, job).await?;
    let job = write_job(git, &lock, &state, job).await?;
    maintain(git, &lock).await?;
    Ok(Claim { job, refs: state.refs, head: state.head })
}

/// Repacks what many runs left, where there is enough to do.
///
/// It is done first, since a run without news goes no further, and under the lock, since it, too, uses the lock
/// files that [`sweep`] takes away. A failure is in the log, and the repository none the worse for it.
async fn maintain(git: &Git<'_>, lock: &TargetLock) -> Step<()> {
    let gc = Call::new(&["gc", "--auto", "--quiet"]).options(&GC_OPTIONS).stdout(lock.holder()?);
    match git.try_run(gc).await {
        Err(Stopped::Failed(failure)) => git.supervisor.log.push(&format!("gc: {}", failure.detail)),
        Err(stopped) => return Err(stopped),
        Ok(_) => {}
    }
    Ok(())
}

/// Takes the lock of a target, and keeps it only if the lease is valid while it is held.
pub(super) async fn lock(importer: &Importer<'_>, target: &Target) -> Step<TargetLock> {
    loop {
        let lock = target.lock(&importer.supervisor).await?;
        if importer.run.lease.is_valid() {
            return Ok(lock);
        }
        drop(lock);
        importer.supervisor.log.push("Waiting for the coordinator: the lease has expired.");
        importer.supervisor.wait_for(importer.run.lease.wait_until_valid()).await?;
    }
}

/// Why a transaction was refused: by the fence, or by something that has no business in the target.
pub(super) async fn judge_refusal(git: &Git<'_>, claim: &Claim, refusal: &super::Output) -> Step<Stopped> {
    let is_current = read_state(git).await?.job.as_ref() == Some(&claim.job);
    Ok(if is_current { classify(Phase::Local, refusal).into() } else { Stopped::Superseded })
}

/// What a run has fetched.
pub(super) async fn read_incoming(git: &Git<'_>, prefix: &str) -> Step<Refs> {
    let incoming = read_state(git).await?.incoming.into_iter();
    let own = incoming.filter_map(|(name, oid)| {
        let name = name.strip_prefix(prefix.as_bytes())?;
        Some((RefName::of(&[b"refs/", name].concat())?, oid))
    });
    Ok(own.collect())
}

async fn read_state(git: &Git<'_>) -> Step<State> {
    let format = "--format=%(objectname) %(HEAD) %(refname)";
    let patterns = ["refs/heads", "refs/tags", "refs/incoming", "refs/code-imports"];
    let mut arguments = vec!["for-each-ref", format];
    arguments.extend(patterns);
    Ok(State::of(&git.run(Call::new(&arguments)).await?))
}

impl State {
    /// Reads the output of `git for-each-ref`.
    pub(super) fn of(output: &[u8]) -> Self {
        let mut state = Self::default();
        for line in output.split(|byte| *byte == b'\n') {
            state.add(line);
        }
        state
    }

    fn add(&mut self, line: &[u8]) {
        let Some((oid, rest)) = split_at_first(line, b' ') else { return };
        let (Some(oid), Some((mark, name))) = (Oid::of(oid), rest.split_at_checked(2)) else { return };
        if let Some(branch_or_tag) = RefName::of(name) {
            if mark == b"* " {
                self.head = Some(branch_or_tag.clone());
            }
            self.refs.insert(branch_or_tag, oid);
        } else if name == JOB_REF {
            self.job = Some(oid);
        } else if name.starts_with(INCOMING) {
            self.incoming.push((name.to_owned(), oid));
        }
    }
}

async fn require_not_superseded(git: &Git<'_>, state: &State, job: JobId) -> Step<()> {
    let Some(blob) = &state.job else { return Ok(()) };
    let content = git.run(Call::new(&["cat-file", "blob", blob.as_str()])).await?;
    let newest: Option<i64> = std::str::from_utf8(&content).ok().and_then(|id| id.trim().parse().ok());
    match newest {
        Some(newest) if newest > job.0 => Err(Stopped::Superseded),
        Some(_) => Ok(()),
        None => Err(Failure::internal("fence", "the target's job ref is unreadable").into()),
    }
}

/// Writes the job's id, and forgets what older runs had fetched.
async fn write_job(git: &Git<'_>, lock: &TargetLock, state: &State, job: JobId) -> Step<Oid> {
    let hash = Call::new(&["hash-object", "-w", "--stdin"]).stdin(job.to_string().into_bytes());
    let output = git.run(hash).await?;
    let unreadable = || Failure::internal("git", "hash-object printed no object id");
    let blob = Oid::of(output.trim_ascii()).ok_or_else(unreadable)?;
    let mut transaction = Transaction::new();
    match &state.job {
        Some(old) => transaction.update(JOB_REF, old, &blob),
        None => transaction.create(JOB_REF, &blob),
    }
    for (name, oid) in &state.incoming {
        transaction.delete(name, oid);
    }
    let output = transaction.apply(git, lock).await?;
    if output.status.success() { Ok(blob) } else { Err(classify(Phase::Local, &output).into()) }
}
