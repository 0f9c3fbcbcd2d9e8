//! The coordinator and the workers of the demo, each a process.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

use super::DemoArgs;
use crate::domain::source::SourcePolicy;
use crate::workflow::Policy;

/// The demo's repositories are served on loopback, which is allowed for nobody else.
const ALLOWED_NETWORKS: &str = "127.0.0.0/8";

/// How long a process may take to leave.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Processes that run, with what they are called.
pub(super) struct Processes {
    running: Vec<(String, Child)>,
}

/// What the demo itself goes by.
pub(super) fn policy() -> Policy {
    let network =
        ALLOWED_NETWORKS.parse().unwrap_or_else(|error| unreachable!("a network of our own: {error}"));
    let sources = SourcePolicy { allowed_networks: vec![network], ..SourcePolicy::default() };
    Policy { sources, ..Policy::default() }
}

impl Processes {
    /// Starts a coordinator, and two workers on two machine names.
    pub(super) fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let serve = ["serve", "--http", "none", "--allowed-networks", ALLOWED_NETWORKS];
        let mut running = vec![("coordinator".to_owned(), spawn(&args.directory, "coordinator", &serve)?)];
        let targets = args.directory.join("targets");
        let targets = targets.to_str().context("the directory's name is text")?;
        for machine in ["demo-1", "demo-2"] {
            let worker = [
                "worker",
                "--machine",
                machine,
                "--rcs-types",
                "GIT",
                "--slots",
                "2",
                "--targets",
                targets,
                "--allowed-networks",
                ALLOWED_NETWORKS,
            ];
            running.push((machine.to_owned(), spawn(&args.directory, machine, &worker)?));
        }
        Ok(Self { running })
    }

    /// An error if one of them has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended: {status}; its log says why");
            }
        }
        Ok(())
    }

    /// Asks them to leave, workers first, and waits until they have.
    pub(super) async fn stop(&mut self) {
        for (name, mut child) in self.running.drain(..).rev() {
            if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
                // It may have left by itself; then there is nobody to ask.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
                eprintln!("{name} did not leave within {STOP_TIMEOUT:?} and is killed");
            }
        }
    }
}

/// Starts this program again, with its log in a file.
fn spawn(directory: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<Child> {
    let log = File::create(directory.join(format!("{name}.log")))?;
    let child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        // A Ctrl-C at the terminal is for the demo, which asks them to leave in order.
        .process_group(0)
        .spawn();
    child.with_context(|| format!("{name} cannot be started"))
}
