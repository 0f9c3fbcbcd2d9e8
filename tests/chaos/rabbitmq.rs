//! RabbitMQ of the harness, as `scripts/services` starts it, with its console.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;

use crate::process::{run, until};

/// A node in a directory of its own.
pub(crate) struct Rabbitmq {
    directory: PathBuf,
    log: PathBuf,
    /// The port of AMQP.
    pub(crate) port: u16,
    console: String,
}

impl Rabbitmq {
    /// Starts it; messages may be larger than it ships with, so that larger ones reach us.
    pub(crate) async fn start(directory: &Path) -> Self {
        let log = directory.join("rabbitmq.log");
        let directory = directory.join("rabbitmq");
        let settings = directory.join("rabbitmq");
        std::fs::create_dir_all(&settings).unwrap();
        // It counts over what `scripts/services` writes.
        std::fs::write(settings.join("advanced.config"), "[{rabbit, [{max_message_size, 67108864}]}].\n")
            .unwrap();
        let mut rabbitmq = Self { directory, log, port: 0, console: String::new() };
        rabbitmq.start_again().await;
        let exports = std::fs::read_to_string(rabbitmq.directory.join("env")).unwrap();
        let export = |name: &str| {
            let line = exports.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.unwrap().to_owned()
        };
        let amqp = export("AMQP_URL");
        rabbitmq.port = amqp.rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1.parse().unwrap();
        rabbitmq.console = export("AMQP_CONSOLE_URL");
        rabbitmq
    }

    /// The URL by way of this port.
    pub(crate) fn url_at(port: u16) -> String {
        format!("amqp://coordinator:coordinator@127.0.0.1:{port}/%2f")
    }

    /// The URL past every proxy.
    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// Starts it once more, at the same address.
    pub(crate) async fn start_again(&self) {
        assert!(
            self.services(&["start", "rabbitmq"]).await,
            "RabbitMQ does not start: {}",
            self.log.display()
        );
    }

    /// Stops it as an operator does.
    pub(crate) async fn stop(&self) {
        assert!(self.services(&["stop"]).await, "RabbitMQ does not stop: {}", self.log.display());
    }

    /// Sends it a signal that it does not survive, and waits until it is gone.
    pub(crate) async fn kill(&self) {
        let id = self.send(Signal::KILL);
        let process = PathBuf::from(format!("/proc/{}/exe", id.as_raw_nonzero()));
        assert!(until(Duration::from_secs(30), async || process.read_link().is_err()).await);
    }

    /// Sends it a signal; tells its number.
    pub(crate) fn send(&self, signal: Signal) -> Pid {
        let id = std::fs::read_to_string(self.directory.join("rabbitmq.pid")).unwrap();
        let id = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
        id
    }

    /// Says something to the node; false if it did not take it.
    pub(crate) async fn ctl(&self, words: &[&str]) -> bool {
        let words: Vec<&str> =
            ["rabbitmqctl", "--timeout", "20"].into_iter().chain(words.iter().copied()).collect();
        self.services(&words).await
    }

    /// What the console shows at a path, if it answers.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}/api/{path}", self.console);
        let asking = tokio::task::spawn_blocking(move || {
            let request = ureq::get(url).header("Authorization", authorization());
            request.call().ok()?.body_mut().read_json().ok()
        });
        asking.await.unwrap()
    }

    /// How many messages are in each queue, by its name without the prefix, if the console answers. A queue of which it
    /// knows no number yet, as after a restart, is left out.
    pub(crate) async fn messages(&self) -> Option<BTreeMap<String, u64>> {
        let queues = self.get("queues").await?;
        let count = |queue: &Value| {
            let name = queue["name"].as_str()?.trim_start_matches("code-imports.");
            Some((name.to_owned(), queue["messages"].as_u64()?))
        };
        Some(queues.as_array()?.iter().filter_map(count).collect())
    }

    /// What an operator deletes in the console; false if it is gone already.
    pub(crate) async fn delete(&self, path: &str) -> bool {
        let url = format!("{}/api/{path}", self.console);
        let asking = tokio::task::spawn_blocking(move || {
            ureq::delete(url)
                .header("Authorization", authorization())
                .header("X-Reason", "chaos")
                .call()
                .is_ok()
        });
        asking.await.unwrap()
    }

    async fn services(&self, words: &[&str]) -> bool {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services"));
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("SERVICES_DIR", &self.directory);
        run(&mut command, &self.log).await
    }
}

impl Drop for Rabbitmq {
    fn drop(&mut self) {
        let mut command =
            std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services"));
        command.arg("stop").env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        // A panic here would hide the harness's own.
        drop(command.env("SERVICES_DIR", &self.directory).output());
    }
}

fn authorization() -> String {
    format!("Basic {}", data_encoding::BASE64.encode(b"coordinator:coordinator"))
}
