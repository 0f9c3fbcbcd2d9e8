//! A server of a test's own, which may be stopped and killed.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{Running, until};

/// PostgreSQL or RabbitMQ, as `scripts/services` starts it, in a directory of its own.
pub(crate) struct Server {
    /// Where it is, whenever it runs.
    pub(crate) url: String,
    name: &'static str,
    log: &'static str,
    directory: TempDir,
}

impl Server {
    pub(crate) async fn postgresql() -> Self {
        Self::start("postgresql", "postgresql/log", "DATABASE_URL").await
    }

    pub(crate) async fn rabbitmq() -> Self {
        Self::start("rabbitmq", "rabbitmq/log/rabbitmq.log", "AMQP_URL").await
    }

    async fn start(name: &'static str, log: &'static str, variable: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        // PostgreSQL may have to run as another user, who must get at its folder in here.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut server = Self { url: String::new(), name, log, directory };
        let exports = server.services(&["start", name]).await;
        let url = exports.iter().find_map(|line| line.strip_prefix(&format!("export {variable}=")));
        url.unwrap().clone_into(&mut server.url);
        server
    }

    /// Starts it once more, at the same address.
    pub(crate) async fn start_again(&self) {
        self.services(&["start", self.name]).await;
    }

    /// Stops it as an operator does.
    pub(crate) async fn stop(&self) {
        self.services(&["stop"]).await;
    }

    /// Sends it a signal that it does not survive, and waits until it is gone.
    pub(crate) async fn kill(&self, signal: Signal) {
        let id = std::fs::read_to_string(self.directory.path().join(format!("{}.pid", self.name))).unwrap();
        kill_process(Pid::from_raw(id.trim().parse().unwrap()).unwrap(), signal).unwrap();
        let process = PathBuf::from(format!("/proc/{}/exe", id.trim()));
        until("the server's death", async || process.read_link().is_err().then_some(())).await;
    }

    /// Runs `scripts/services` on it, and tells what that prints.
    pub(crate) async fn services(&self, words: &[&str]) -> Vec<String> {
        let ended = Running::start("services", &self.command(words)).end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended.lines
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services"));
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("SERVICES_DIR", self.directory.path()).env("SERVICES_WITHOUT_CONSOLE", "1");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A panic here would hide the test's own.
        drop(self.command(&["stop"]).output());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join(self.log)).unwrap_or_default();
            eprintln!("The log of {}:\n{log}", self.name);
        }
    }
}
