//! The repositories that the demo imports, served on loopback by `git daemon`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// How long the daemon may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Commits are dated, so that the same ones are made at every run.
const EPOCH: u64 = 1_700_000_000;

/// Repositories that change when they are told to.
pub(super) struct Upstream {
    directory: PathBuf,
    port: u16,
    daemon: Child,
}

impl Upstream {
    /// Makes the repositories, and serves them.
    pub(super) async fn serve(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let directory = directory.canonicalize()?;
        own_history(&directory.join("own.git")).await?;
        make(&directory.join("branches.git"), &history(300, 200, 0)).await?;
        make(&directory.join("tags.git"), &history(500, 20, 400)).await?;
        let port = free_port()?;
        let mut daemon = Command::new("git");
        daemon
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", directory.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // `git` starts the daemon as a child of its own: both are in one group, and end with it.
            .process_group(0);
        let daemon = daemon.spawn().context("git daemon cannot be started; is git installed?")?;
        wait_until_it_answers(port).await?;
        Ok(Self { directory, port, daemon })
    }

    /// Where a repository is served.
    pub(super) fn url(&self, repository: &str) -> String {
        format!("git://127.0.0.1:{}/{repository}.git", self.port)
    }

    /// Adds commits to the branch `main`.
    pub(super) async fn commit(&self, repository: &str, count: usize) -> anyhow::Result<()> {
        let mut stream = String::new();
        for n in 0..count {
            let from = if n == 0 { "from refs/heads/main^0\n" } else { "" };
            let message = format!("Later commit {n}");
            commit(&mut stream, "refs/heads/main", 10_000 + n, &message, from);
        }
        fast_import(&self.directory.join(format!("{repository}.git")), &stream).await
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(group) = self.daemon.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            // It may have ended by itself; then there is nothing to end.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// This project's own history, where there is one; else a made one.
async fn own_history(target: &Path) -> anyhow::Result<()> {
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--bare", "--no-hardlinks", "."]).arg(target).stderr(Stdio::null());
    if !clone.status().await?.success() {
        make(target, &history(50, 2, 2)).await?;
    }
    Ok(())
}

/// A history of so many commits, with branches and tags spread over it.
fn history(commits: usize, branches: usize, tags: usize) -> String {
    let mut stream = String::new();
    for n in 0..commits {
        commit(&mut stream, "refs/heads/main", n, &format!("Commit {n}"), "");
        if n * branches / commits != (n + 1) * branches / commits {
            reset(&mut stream, &format!("refs/heads/topic/{n}"), n);
        }
        for tag in n * tags / commits..(n + 1) * tags / commits {
            reset(&mut stream, &format!("refs/tags/v0.{tag}"), n);
        }
    }
    stream
}

fn commit(stream: &mut String, branch: &str, mark: usize, message: &str, from: &str) {
    let (mark, content) = (mark + 1, format!("The content of commit {mark}.\n"));
    let date = EPOCH + 60 * mark as u64;
    // Writing to a String cannot fail.
    let _ = write!(
        stream,
        "commit {branch}\nmark :{mark}\ncommitter Demonstrator <demo@example.org> {date} +0000\ndata {}\n{message}\n{from}\
         M 100644 inline file-{}.txt\ndata {}\n{content}\n",
        message.len(),
        mark % 50,
        content.len(),
    );
}

fn reset(stream: &mut String, name: &str, mark: usize) {
    let _ = write!(stream, "reset {name}\nfrom :{}\n\n", mark + 1);
}

async fn make(target: &Path, stream: &str) -> anyhow::Result<()> {
    let mut init = Command::new("git");
    init.args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(target);
    ensure!(init.status().await?.success(), "git init failed");
    fast_import(target, stream).await
}

async fn fast_import(target: &Path, stream: &str) -> anyhow::Result<()> {
    let mut import = Command::new("git");
    import.arg("-C").arg(target).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = import.spawn()?;
    let mut stdin = import.stdin.take().context("the process has a standard input")?;
    stdin.write_all(stream.as_bytes()).await?;
    drop(stdin);
    ensure!(import.wait().await?.success(), "git fast-import failed");
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn wait_until_it_answers(port: u16) -> anyhow::Result<()> {
    let mut looks = interval(Duration::from_millis(20));
    let answering = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            looks.tick().await;
        }
    };
    timeout(START_TIMEOUT, answering).await.context("git daemon does not answer")
}
