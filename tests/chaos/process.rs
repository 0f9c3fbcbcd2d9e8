//! Processes that the harness starts, signals, and finds dead.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

/// A process in a group of its own, whose output goes to a file. Dropped, it and its group are killed.
pub(crate) struct Process {
    child: Child,
    id: Pid,
}

impl Process {
    /// Starts a command. It dies with the thread that calls this: nothing is left of a harness that is killed.
    pub(crate) fn start(command: &std::process::Command, log: &Path) -> Self {
        let log = append(log);
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        bound.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        bound.current_dir(command.get_current_dir().unwrap_or("/".as_ref()));
        bound.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = bound.process_group(0).kill_on_drop(true).spawn().unwrap();
        let id = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        Self { child, id }
    }

    /// Sends a signal; false if there is nobody any more.
    pub(crate) fn send(&self, signal: Signal) -> bool {
        kill_process(self.id, signal).is_ok()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end, so long; what does not end is killed.
    pub(crate) async fn end_within(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        if let Ok(status) = tokio::time::timeout(limit, self.child.wait()).await {
            return Some(status.unwrap());
        }
        self.send(Signal::KILL);
        self.child.wait().await.unwrap();
        None
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().cast_unsigned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and with it its group.
        let _ = kill_process_group(self.id, Signal::KILL);
    }
}

/// A file to which is written at its end.
pub(crate) fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// Runs a tool to its end; false if it failed. What it prints goes to the log.
pub(crate) async fn run(command: &mut Command, log: &Path) -> bool {
    let log = append(log);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.kill_on_drop(true).status().await.unwrap().success()
}

/// Lets time pass: a fault lasts for a while, and workers work.
#[expect(clippy::disallowed_methods, reason = "nothing is waited for; this is how long a fault lasts")]
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Asks again and again until it is so, or the time is over; says which.
pub(crate) async fn until(limit: Duration, mut ask: impl AsyncFnMut() -> bool) -> bool {
    let asking = async {
        while !ask().await {
            pass(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(limit, asking).await.is_ok()
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
