//! A repository to import from, a directory to import into, and a worker between them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use code_imports::domain::source::Scheme;
use code_imports::domain::{ImportId, JobId, RcsType, Report, RunId, Source, SourcePolicy};
use code_imports::worker::importer::{Settings, Target, import};
use code_imports::worker::{BootTime, Lease, LogTail, Run, Stop};
use tempfile::TempDir;
use uuid::Uuid;

/// How a run ends that was told to.
pub(crate) const INTERRUPTED: &str = "INTERNAL_FAILURE interrupted: the worker leaves";

/// One import; dropped, all of it is gone.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) settings: Settings,
    pub(crate) url: String,
    pub(crate) lease: Lease,
    pub(crate) stop: Stop,
    pub(crate) log: LogTail,
}

impl World {
    /// An upstream with one commit on `main`, to be imported by its path.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.commit("first");
        world
    }

    /// An upstream without a commit.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let policy = SourcePolicy {
            extra_schemes: vec![Scheme::File],
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            ..SourcePolicy::default()
        };
        let mut settings = Settings::new(directory.path().join("targets"), policy);
        settings.git = git_program();
        let url = format!("file://{}/upstream", directory.path().display());
        let lease = Lease::new(BootTime::now(), Duration::from_mins(5));
        let log = LogTail::new(&Source::Url(url.clone()));
        let world = Self { directory, settings, url, lease, stop: Stop::default(), log };
        world.init(&[]);
        world
    }

    fn init(&self, options: &[&str]) {
        let path = self.upstream().display().to_string();
        let mut arguments = vec!["init", "-q", "-b", "main"];
        arguments.extend(options);
        arguments.push(&path);
        run(self.directory.path(), &arguments, "");
    }

    /// Another upstream at the same place.
    pub(crate) fn replace_upstream(&self, options: &[&str]) {
        fs::remove_dir_all(self.upstream()).unwrap();
        self.init(options);
    }

    /// To be imported from elsewhere.
    pub(crate) fn at(mut self, url: String) -> Self {
        self.log = LogTail::new(&Source::Url(url.clone()));
        self.url = url;
        self
    }

    pub(crate) fn upstream(&self) -> PathBuf {
        self.directory.path().join("upstream")
    }

    pub(crate) fn target(&self) -> PathBuf {
        Target::of(&self.settings.targets, ImportId(7)).path().to_owned()
    }

    /// Runs git upstream.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        run(&self.upstream(), arguments, "")
    }

    /// Runs git upstream, with something to read.
    pub(crate) fn git_with(&self, arguments: &[&str], input: &str) -> String {
        run(&self.upstream(), arguments, input)
    }

    /// Runs git in the target.
    pub(crate) fn in_target(&self, arguments: &[&str]) -> String {
        run(&self.target(), arguments, "")
    }

    /// A commit on the branch that is checked out, with a file of the same content.
    pub(crate) fn commit(&self, text: &str) -> String {
        fs::write(self.upstream().join("file"), text).unwrap();
        self.git(&["add", "file"]);
        self.git(&["commit", "-q", "-m", text]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Branches at HEAD.
    pub(crate) fn branches(&self, names: impl IntoIterator<Item = String>) {
        let lines = names.into_iter().map(|name| format!("update refs/heads/{name} HEAD\n"));
        self.git_with(&["update-ref", "--stdin"], &lines.collect::<String>());
    }

    /// Imports as the run of a job.
    pub(crate) async fn report(&self, job: i64) -> Report {
        let run = Run {
            job: JobId(job),
            id: RunId(Uuid::new_v4()),
            import: ImportId(7),
            unique_name: "~vcs-imports/gnome-terminal/import".parse().unwrap(),
            rcs_type: RcsType::Git,
            source: Source::Url(self.url.clone()),
            previous: None,
            requested_by: None,
            log_tail: self.log.clone(),
            lease: self.lease.clone(),
            stop: self.stop.clone(),
        };
        import(&run, &self.settings).await
    }

    /// Imports, and gives status and reason in one line.
    pub(crate) async fn outcome(&self, job: i64) -> String {
        let report = self.report(job).await;
        format!("{} {}", report.status, report.reason.unwrap_or_default())
    }

    /// The visible refs of the target.
    pub(crate) fn refs(&self) -> BTreeMap<String, String> {
        refs(&self.target(), &["refs/heads", "refs/tags"])
    }

    /// Asserts that the target shows what upstream does, and nothing else.
    #[track_caller]
    pub(crate) fn assert_mirrored(&self) {
        assert_eq!(self.refs(), refs(&self.upstream(), &["refs/heads", "refs/tags"]));
        assert_eq!(self.in_target(&["symbolic-ref", "HEAD"]), self.git(&["symbolic-ref", "HEAD"]));
        assert_eq!(self.in_target(&["for-each-ref", "refs/incoming"]), "");
        self.in_target(&["fsck", "--strict"]);
    }

    /// Makes a script the git program. In it, `$GIT` is the real one, `$TARGET` the target, `$SPACE` a
    /// directory of its own.
    pub(crate) fn script_git(&mut self, script: &str) {
        let path = self.directory.path().join("git");
        let git = which(&git_program());
        let (target, space) = (self.target(), self.directory.path());
        let (target, space) = (target.display(), space.display());
        let script = format!("#!/bin/sh\nGIT={git}\nTARGET={target}\nSPACE={space}\n{script}\n");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.settings.git = path;
    }

    /// Waits until the log shows a text.
    pub(crate) async fn await_log(&self, text: &str) {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while !self.log.text().contains(text) {
            ticks.tick().await;
        }
    }
}

pub(crate) fn git_program() -> PathBuf {
    std::env::var_os("GIT_UNDER_TEST").map_or("git".into(), PathBuf::from)
}

fn which(program: &Path) -> String {
    if program.is_absolute() {
        return program.display().to_string();
    }
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|p| p.exists());
    found.unwrap().display().to_string()
}

fn refs(repository: &Path, patterns: &[&str]) -> BTreeMap<String, String> {
    let mut arguments = vec!["for-each-ref", "--format=%(refname) %(objectname)"];
    arguments.extend(patterns);
    let output = run(repository, &arguments, "");
    let pairs = output.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, oid)| (name.to_owned(), oid.to_owned())).collect()
}

/// Runs git; it must succeed.
pub(crate) fn run(directory: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write;

    let identity = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
    let mut child = Command::new(git_program())
        .args(arguments)
        .current_dir(directory)
        .envs(identity.map(|name| (name, "somebody@example.org")))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
