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
        let mut server = Self::place(name);
        server.certificates = certificates;
        server.begin().await;
        server
    }

    /// A place for one, where nothing runs yet.
    pub(crate) fn place(name: &'static str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        // PostgreSQL may have to run as another user, who must get at its folder in here.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let log = if name == "postgresql" { "postgresql/log" } else { "rabbitmq/log/rabbitmq.log" };
        Self { url: String::new(), console: None, name, log, directory, certificates: None }
    }

    /// Starts it for the first time, and notes where it is.
    pub(crate) async fn begin(&mut self) {
        let exports = self.services(&["start", self.name]).await;
        let export = |variable: &str| {
            let begin = format!("export {variable}=");
            exports.iter().find_map(|line| line.strip_prefix(&begin).map(str::to_owned))
        };
        self.url = export(if self.name == "postgresql" { "DATABASE_URL" } else { "AMQP_URL" }).unwrap();
        self.console = export("AMQP_CONSOLE_URL");
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
        kill_recorded(&self.directory.path().join(format!("{}.pid", self.name)), signal).await;
    }

    /// Runs a shell script as PostgreSQL's user, with its programs at hand, and in `BACKUPS` a folder for it.
    pub(crate) async fn script(&self, script: &str, environment: &[(&str, &str)]) {
        let script = format!("export BACKUPS=${{PGDATA%/*}}/backups\n{script}");
        let mut command = self.command(&["postgresql", "bash", "-euo", "pipefail", "-c", &script]);
        command.env("DATABASE_URL", &self.url).envs(environment.iter().copied());
        let ended = Running::start("script", &command).end().await;
        assert_eq!(ended.code, Some(0), "{script}: {}", ended.text());
    }

    async fn services(&self, words: &[&str]) -> Vec<String> {
        let ended = Running::start("services", &self.command(words)).end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended.lines
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = script("services", words, "SERVICES_DIR", self.directory.path());
        if let Some(certificates) = &self.certificates {
            command.env("SERVICES_TLS", certificates).env_remove("SERVICES_WITHOUT_CONSOLE");
        }
        command
    }
}

/// Sends a signal to the process of this pid file, which does not survive it.
pub(crate) async fn kill_recorded(file: &Path, signal: Signal) {
    let id = std::fs::read_to_string(file).unwrap();
    kill_process(Pid::from_raw(id.trim().parse().unwrap()).unwrap(), signal).unwrap();
    let process = PathBuf::from(format!("/proc/{}/exe", id.trim()));
    until("the server's death", async || process.read_link().is_err().then_some(())).await;
}

/// A script that starts servers in a folder, from the tree that the whole test uses, and without what it needs not.
pub(crate) fn script(name: &str, words: &[&str], variable: &str, folder: &Path) -> Command {
    let mut command = Command::new(format!("{}/scripts/{name}", env!("CARGO_MANIFEST_DIR")));
    command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env(variable, folder).env("SERVICES_WITHOUT_CONSOLE", "1");
    command.envs(std::env::var_os("SERVICES_TREE").map(|tree| ("SERVICES_TREE", tree)));
    command
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
