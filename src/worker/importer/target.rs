//! The bare Git repository that an import is kept in, and the lock on it.
//!
//! ```text
//! <root>/000/012/12345.git/                 by id: names may be given again after a deletion, ids never
//!                         description      the unique name, for people
//!                         code-imports.lock
//!                         code-imports.accept    an operator's word: see `git::veto`
//! ```
//!
//! Three digits a level: a directory never holds more than a thousand others until there are 10⁹ imports.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::domain::ImportId;

use super::failure::{Failure, Step};
use super::process::Supervisor;

/// How often a lock that another holds is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);
/// How long a run waits for the lock. Nobody holds it while it talks to a remote.
const LOCK_TIMEOUT: Duration = Duration::from_mins(10);
/// Lock files of git that are not below `refs`.
const TOP_LOCKS: [&str; 3] = ["HEAD.lock", "config.lock", "packed-refs.lock"];

/// Where the target of an import is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
}

/// The lock on a target, held until it and every copy of its file is dropped.
#[derive(Debug)]
pub(super) struct TargetLock {
    file: File,
}

impl Target {
    /// The target of an import below the directory that holds all targets.
    #[must_use]
    pub fn of(root: &Path, import: ImportId) -> Self {
        let ImportId(id) = import;
        let millions = format!("{:03}", id / 1_000_000);
        let thousands = format!("{:03}", id / 1_000 % 1_000);
        Self { path: root.join(millions).join(thousands).join(format!("{id}.git")) }
    }

    /// The directory of the repository.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the repository is there; it comes into being whole.
    pub(super) fn exists(&self) -> bool {
        self.path.join("HEAD").exists()
    }

    /// Whether an operator said that the next import may delete what the veto protects.
    pub(super) fn is_accepted(&self) -> bool {
        self.acceptance().exists()
    }

    /// The file by which an operator says so.
    pub(super) fn acceptance(&self) -> PathBuf {
        self.path.join("code-imports.accept")
    }

    /// Where a run builds the repository before it is there.
    pub(super) fn draft(&self, run: &str) -> PathBuf {
        self.path.with_extension(format!("{run}.new"))
    }

    /// Makes the directory that the target is to be in, and clears away the drafts of killed runs.
    pub(super) fn prepare_directory(&self) -> io::Result<()> {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_stem()) else {
            return Ok(());
        };
        fs::create_dir_all(directory)?;
        let prefix = format!("{}.", name.to_string_lossy());
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".new")).is_some() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Waits for the lock.
    ///
    /// It is tried again and again, since a thread that waits in the system's call could not be cancelled.
    pub(super) async fn lock(&self, supervisor: &Supervisor) -> Step<TargetLock> {
        let file =
            File::options().create(true).read(true).append(true).open(self.path.join("code-imports.lock"))?;
        let waiting = supervisor.wait_for(timeout(LOCK_TIMEOUT, wait_for_lock(&file)));
        match waiting.await? {
            Ok(locked) => locked?,
            Err(_) => {
                return Err(Failure::internal("locked", "another process holds the target's lock").into());
            }
        }
        // Git's answers of the last time: see `TargetLock::holder`.
        file.set_len(0)?;
        Ok(TargetLock { file })
    }
}

impl TargetLock {
    /// A copy of the lock to be the output of a command that writes refs.
    ///
    /// So the lock is held as long as the command lives: if this worker is killed and its `git` is not, no
    /// other run goes on before that `git` is over.
    pub(super) fn holder(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

async fn wait_for_lock(file: &File) -> io::Result<()> {
    let mut ticks = interval(LOCK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes what killed runs left in a repository, so that they can not block this one or fill the disk.
///
/// Only for the holder of the lock: who writes refs of the target holds it, so no lock file of git is in use.
/// What an older run still fetches may be damaged; it can not publish it any more.
pub(super) fn sweep(repository: &Path) -> io::Result<()> {
    for lock in TOP_LOCKS {
        remove_if_there(&repository.join(lock))?;
    }
    sweep_locks(&repository.join("refs"))?;
    sweep_packs(&repository.join("objects/pack"))
}

fn sweep_locks(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sweep_locks(&entry.path())?;
        } else if entry.path().extension().is_some_and(|extension| extension == "lock") {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes half packs, and the marks that keep a killed fetch's packs out of every repacking.
fn sweep_packs(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = match name.strip_suffix(".keep") {
            Some(_) => fs::read(&path).is_ok_and(|mark| mark.starts_with(b"fetch-pack ")),
            None => name.starts_with("tmp_"),
        };
        if is_left {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

/// Removes a file that another may remove at the same time.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How many bytes the packs of a repository have.
pub(super) fn pack_bytes(repository: &Path) -> io::Result<u64> {
    let mut bytes: u64 = 0;
    for entry in fs::read_dir(repository.join("objects/pack"))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "pack") {
            bytes = bytes.saturating_add(entry.metadata()?.len());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_lies_where_its_id_says() {
        #[track_caller]
        fn check(id: i64, path: &str) {
            assert_eq!(Target::of(Path::new("/t"), ImportId(id)).path(), Path::new(path));
        }
        check(7, "/t/000/000/7.git");
        check(12_345, "/t/000/012/12345.git");
        check(300_000_001, "/t/300/000/300000001.git");
        check(4_000_999_000, "/t/4000/999/4000999000.git");
    }
}
