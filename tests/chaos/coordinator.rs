//! Coordinators, each behind links of its own to both servers, and the service manager that starts them again.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::history::History;
use crate::link::Link;
use crate::process::{Process, free_port, pass};
use crate::rabbitmq::Rabbitmq;
use crate::settings::SERVE;

/// A coordinator that is started again whenever it ends.
pub(crate) struct Coordinator {
    pub(crate) name: String,
    /// To each PostgreSQL.
    pub(crate) databases: [Link; 2],
    pub(crate) broker: Link,
    directory: PathBuf,
    http: u16,
    history: History,
    process: Mutex<Managed>,
}

#[derive(Default)]
struct Managed {
    process: Option<Process>,
    /// The signals that it was sent, or will send itself at a failpoint.
    signals: Vec<Signal>,
    /// Whether somebody holds it down for a while.
    is_held: bool,
    /// What the next one is told to do to itself.
    failpoint: Option<String>,
    /// Whether this one was told so.
    is_armed: bool,
}

impl Managed {
    /// Whether somebody wanted it to end, and so.
    fn wanted(&self, status: ExitStatus) -> bool {
        let is_killed = status.signal() == Some(Signal::KILL.as_raw());
        let is_wanted = |signal| self.signals.contains(&signal);
        (is_killed && is_wanted(Signal::KILL)) || (status.success() && is_wanted(Signal::TERM))
    }
}

impl Coordinator {
    pub(crate) async fn new(
        name: &str,
        databases: [u16; 2],
        broker: u16,
        directory: PathBuf,
        history: &History,
    ) -> Arc<Self> {
        let databases = [Link::to(databases[0]).await, Link::to(databases[1]).await];
        let broker = Link::to(broker).await;
        let (name, http, history) = (name.to_owned(), free_port(), history.clone());
        let coordinator =
            Arc::new(Self { name, databases, broker, directory, http, history, process: Mutex::default() });
        tokio::spawn(Arc::clone(&coordinator).manage());
        coordinator
    }

    /// What a service manager does.
    async fn manage(self: Arc<Self>) {
        loop {
            {
                let mut managed = self.process.lock().await;
                let ended = managed.process.as_mut().and_then(Process::ended);
                if let Some(status) = ended {
                    managed.process = None;
                    if !managed.wanted(status) {
                        self.history.facts().ended.push(format!("{} ended by itself: {status}", self.name));
                    }
                }
                if managed.process.is_none() && !managed.is_held {
                    let failpoint = managed.failpoint.take();
                    // What a failpoint does to its own process is to kill or to stop it.
                    managed.signals = failpoint.iter().map(|_| Signal::KILL).collect();
                    managed.is_armed = failpoint.is_some();
                    managed.process = Some(self.start(failpoint));
                }
            }
            pass(Duration::from_millis(100)).await;
        }
    }

    fn start(&self, failpoint: Option<String>) -> Process {
        let mut program = program(&self.directory);
        let [a, b] = &self.databases;
        let database =
            format!("postgres://code_imports@127.0.0.1:{},127.0.0.1:{}/code_imports", a.port, b.port);
        program.arg("serve").args(["--http", &format!("127.0.0.1:{}", self.http)]);
        program.args(SERVE.split_whitespace());
        program.env("DATABASE_URL", database).env("AMQP_URL", Rabbitmq::url_at(self.broker.port));
        if let Some(failpoint) = failpoint {
            program.env("CODE_IMPORTS_FAILPOINT", failpoint);
        }
        Process::start(&program, &self.directory.join(format!("{}.log", self.name)))
    }

    /// Sends it a signal; with one that it does not survive, its end is no surprise.
    pub(crate) async fn send(&self, signal: Signal) {
        let mut managed = self.process.lock().await;
        managed.signals.push(signal);
        if let Some(process) = &managed.process {
            process.send(signal);
        }
    }

    /// Ends it, and keeps it down until it is released.
    pub(crate) async fn hold_down(&self) {
        self.process.lock().await.is_held = true;
        self.send(Signal::KILL).await;
    }

    pub(crate) async fn release(&self) {
        self.process.lock().await.is_held = false;
    }

    /// Kills it; the next one will do this to itself.
    pub(crate) async fn arm(&self, failpoint: &str) {
        self.process.lock().await.failpoint = Some(failpoint.to_owned());
        self.send(Signal::KILL).await;
    }

    /// Once it is stopped, lets it go on after this time. Perhaps it comes to its failpoint late.
    pub(crate) async fn go_on_after(self: Arc<Self>, time: Duration) {
        for _ in 0..1200 {
            if self.is_down().await {
                break;
            }
            pass(Duration::from_millis(100)).await;
        }
        pass(time).await;
        self.send(Signal::CONT).await;
    }

    /// It goes on, if it was stopped; and what it was told to do to itself and has not done, it will not do.
    pub(crate) async fn calm(&self) {
        if self.process.lock().await.is_armed {
            self.send(Signal::KILL).await;
        }
        self.send(Signal::CONT).await;
    }

    /// Whether it was told to do something to itself, and has not died of it.
    pub(crate) async fn is_armed(&self) -> bool {
        let managed = self.process.lock().await;
        managed.failpoint.is_some() || managed.is_armed
    }

    /// Whether it runs no more, or is stopped.
    pub(crate) async fn is_down(&self) -> bool {
        let managed = self.process.lock().await;
        let Some(process) = &managed.process else { return true };
        let status = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
        status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
    }

    /// What it says of its readiness, if anything.
    pub(crate) async fn readiness(&self) -> Option<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}/readyz", self.http);
        let asking = tokio::task::spawn_blocking(move || {
            let timeout = Some(Duration::from_secs(2));
            let request = ureq::get(url).config().http_status_as_error(false).timeout_global(timeout).build();
            let mut answer = request.call().ok()?;
            let body = answer.body_mut().read_to_string().ok()?;
            Some((answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::Null)))
        });
        asking.await.unwrap()
    }

    /// Whether it dispatches.
    pub(crate) async fn leads(&self) -> bool {
        self.readiness().await.is_some_and(|(_, body)| body["roles"]["dispatcher"] == "working")
    }

    /// How much memory it holds, in MiB.
    pub(crate) async fn memory(&self) -> Option<u64> {
        let id = self.process.lock().await.process.as_ref()?.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
    }
}

/// The program of this run: one that is built meanwhile must not take its place.
const PROGRAM: &str = "code-imports";

/// Puts the program where this run finds it.
pub(crate) fn copy_program(directory: &std::path::Path) {
    std::fs::copy(env!("CARGO_BIN_EXE_code-imports"), directory.join(PROGRAM)).unwrap();
}

/// The program, with nothing in its environment but what it needs.
pub(crate) fn program(directory: &std::path::Path) -> std::process::Command {
    let mut program = std::process::Command::new(directory.join(PROGRAM));
    program.current_dir(directory).env_clear();
    program.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory);
    program.env("CODE_IMPORTS_ALLOWED_NETWORKS", "127.0.0.0/8");
    program
}
