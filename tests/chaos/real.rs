//! Real workers, which write to real repositories, on one file system, so that they could disturb each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use crate::answers;
use crate::coordinator::program;
use crate::history::{At, History, now};
use crate::process::{Process, free_port, pass, run, until};
use crate::rabbitmq::Rabbitmq;
use crate::settings::REAL_IMPORTS;

/// Stands before `git`: it writes down each transaction of refs, with the moments before and after.
const WITNESS: &str = include_str!("witness.sh");

/// Two worker processes, an upstream, and what it serves.
pub(crate) struct Real {
    /// Where the upstream repositories are served.
    pub(crate) port: u16,
    directory: PathBuf,
    amqp_port: u16,
    history: History,
    upstream: PathBuf,
    _daemon: Process,
    workers: [Mutex<Option<Process>>; 2],
    /// What goes on in the background: whose trouble it is, and since when.
    troubles: Mutex<Vec<(usize, At, AbortHandle)>>,
}

impl Real {
    pub(crate) async fn start(directory: &Path, amqp_port: u16, history: &History) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let upstream = directory.join("upstream");
        for number in 0..REAL_IMPORTS {
            let path = upstream.join(number.to_string());
            std::fs::create_dir_all(&path).unwrap();
            git(directory, &path, &["init", "--quiet", "--initial-branch=main"]).await;
            commit(directory, &path, "first").await;
        }
        let witness = directory.join("git-witness");
        std::fs::write(&witness, WITNESS).unwrap();
        std::fs::set_permissions(&witness, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir_all(directory.join("transactions")).unwrap();
        let port = free_port();
        let mut daemon = std::process::Command::new("git");
        daemon.args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        daemon.arg(format!("--port={port}")).arg(format!("--base-path={}", upstream.display()));
        daemon.env("PATH", std::env::var_os("PATH").unwrap());
        let daemon = Process::start(&daemon, &directory.join("git-daemon.log"));
        let (directory, history) = (directory.to_owned(), history.clone());
        let workers = [Mutex::default(), Mutex::default()];
        let troubles = Mutex::default();
        let real = Self { port, directory, amqp_port, history, upstream, _daemon: daemon, workers, troubles };
        for number in 0..2 {
            *real.workers[number].lock().await = Some(real.begin(number, None));
        }
        real
    }

    fn begin(&self, number: usize, failpoint: Option<&str>) -> Process {
        let mut program = program(&self.directory);
        program.args(["worker", "--machine", &name(number), "--targets", "targets", "--slots", "2"]);
        program.env("AMQP_URL", Rabbitmq::url_at(self.amqp_port));
        program.env("CODE_IMPORTS_GIT", self.directory.join("git-witness"));
        // How each finish was answered, for the referee.
        program.env("CODE_IMPORTS_LOG_FORMAT", "json");
        program.env("CODE_IMPORTS_LOG", format!("info,{}", answers::FILTER));
        if let Some(failpoint) = failpoint {
            program.env("CODE_IMPORTS_FAILPOINT", failpoint);
        }
        Process::start(&program, &self.log(number))
    }

    /// Changes the upstream, so that there is something to import.
    pub(crate) async fn change(self: Arc<Self>) {
        for count in 0.. {
            let path = self.upstream.join((count % REAL_IMPORTS).to_string());
            commit(&self.directory, &path, &format!("number {count}")).await;
            if count % 7 == 0 {
                git(&self.directory, &path, &["branch", "--force", &format!("topic/{}", count % 5)]).await;
            }
            pass(Duration::from_millis(400)).await;
        }
    }

    /// Kills a worker, and starts another of its name.
    pub(crate) async fn kill(&self, number: usize) {
        self.begin_anew(number, None).await;
    }

    /// The same, and tells the new one what it shall do to itself.
    pub(crate) async fn begin_anew(&self, number: usize, failpoint: Option<&str>) {
        let from = now();
        let mut worker = self.workers[number].lock().await;
        if let Some(mut process) = worker.take() {
            process.send(Signal::KILL);
            process.end_within(Duration::from_secs(5)).await;
        }
        *worker = Some(self.begin(number, failpoint));
        self.history.disturbed(&name(number), from);
    }

    /// Stops a worker for a while.
    pub(crate) async fn stop(&self, number: usize, time: Duration) {
        let from = now();
        if let Some(process) = self.workers[number].lock().await.as_ref() {
            process.send(Signal::STOP);
        }
        pass(time).await;
        if let Some(process) = self.workers[number].lock().await.as_ref() {
            process.send(Signal::CONT);
        }
        self.history.disturbed(&name(number), from);
    }

    /// Does something to a worker that takes long, while other things go on.
    pub(crate) async fn trouble(&self, number: usize, trouble: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(trouble);
        self.troubles.lock().await.push((number, now(), task.abort_handle()));
    }

    /// What was begun to be done to them is not done any more: those that it was done to begin anew.
    pub(crate) async fn calm(&self) {
        for (number, from, task) in std::mem::take(&mut *self.troubles.lock().await) {
            if !task.is_finished() {
                task.abort();
                self.begin_anew(number, None).await;
                self.history.disturbed(&name(number), from);
            }
        }
    }

    /// Reads what they wrote down of each finish that was answered.
    pub(crate) fn read_answers(&self) {
        for number in 0..self.workers.len() {
            answers::read(&self.history, &self.log(number), Some(&name(number)));
        }
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.join(format!("{}.log", name(number)))
    }

    /// Lets them leave, also one that is stopped; tells which could not, since not all was answered.
    pub(crate) async fn leave(&self) -> Vec<String> {
        let mut left_behind = Vec::new();
        for (number, worker) in self.workers.iter().enumerate() {
            let Some(mut process) = worker.lock().await.take() else { continue };
            process.send(Signal::CONT);
            process.send(Signal::TERM);
            let status = process.end_within(Duration::from_mins(1)).await;
            if !status.is_some_and(|status| status.success()) {
                left_behind.push(format!("{}: {status:?}", name(number)));
            }
        }
        left_behind
    }

    /// Whether a worker of this name lives; one that ended by itself is noted.
    pub(crate) async fn check(&self) {
        for (number, worker) in self.workers.iter().enumerate() {
            let mut worker = worker.lock().await;
            if let Some(status) = worker.as_mut().and_then(Process::ended) {
                self.history.facts().ended.push(format!("{} ended by itself: {status}", name(number)));
                *worker = Some(self.begin(number, None));
            }
        }
    }

    /// Waits until a real import has succeeded.
    pub(crate) async fn until_ready(&self) -> bool {
        let targets = self.directory.join("targets");
        until(Duration::from_mins(1), async || targets.join("000").exists()).await
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("real-{number}")
}

async fn commit(directory: &Path, path: &Path, text: &str) {
    git(directory, path, &["commit", "--quiet", "--allow-empty", "--message", text]).await;
}

async fn git(directory: &Path, path: &Path, arguments: &[&str]) {
    let identity = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
    let mut git = Command::new("git");
    git.args(arguments).current_dir(path).envs(identity.map(|name| (name, "somebody@example.org")));
    git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    assert!(run(&mut git, &directory.join("upstream.log")).await, "git {arguments:?}");
}
