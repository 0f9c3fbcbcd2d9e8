//! A server of a test's own, which may be stopped and killed.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{Running, until};

/// PostgreSQL or RabbitMQ, as `scripts/services` starts it, in a directory of its own.
pub(crate) struct Server {
    /// Where it is, whenever it runs.
    pub(crate) url: String,
    /// Where its console is, if it has one.
    pub(crate) console: Option<String>,
    name: &'static str,
    log: &'static str,
    directory: TempDir,
    /// Where its certificates are, if it speaks TLS.
    certificates: Option<PathBuf>,
}

impl Server {
    pub(crate) async fn postgresql() -> Self {
        Self::start("postgresql", None).await
    }

    pub(crate) async fn rabbitmq() -> Self {
        Self::start("rabbitmq", None).await
    }

    /// One that speaks TLS with the certificates of this folder, and wants some of its clients; RabbitMQ with its
    /// console. The URL does not name those yet.
    pub(crate) async fn secure(name: &'static str, certificates: &Path) -> Self {
        Self::start(name, Some(certificates.to_owned())).await
    }

    async fn start(name: &'static str, certificates: Option<PathBuf>) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        // PostgreSQL may have to run as another user, who must get at its folder in here.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (log, variable) = match name {
            "postgresql" => ("postgresql/log", "DATABASE_URL"),
            _ => ("rabbitmq/log/rabbitmq.log", "AMQP_URL"),
        };
        let mut server = Self { url: String::new(), console: None, name, log, directory, certificates };
        let exports = server.services(&["start", name]).await;
        let export = |variable: &str| {
            let begin = format!("export {variable}=");
            exports.iter().find_map(|line| line.strip_prefix(&begin).map(str::to_owned))
        };
        server.url = export(variable).unwrap();
        server.console = export("AMQP_CONSOLE_URL");
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

    async fn services(&self, words: &[&str]) -> Vec<String> {
        let ended = Running::start("services", &self.command(words)).end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended.lines
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services"));
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("SERVICES_DIR", self.directory.path());
        match &self.certificates {
            Some(certificates) => command.env("SERVICES_TLS", certificates),
            None => command.env("SERVICES_WITHOUT_CONSOLE", "1"),
        };
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
