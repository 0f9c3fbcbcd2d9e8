//! A process of a test: what it says, how it ends, and that nothing is left of it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What a command prints, by its lines.
type Lines = Arc<watch::Sender<Vec<String>>>;

/// A process in a group of its own. Dropped, it and its group are killed.
pub(crate) struct Running {
    name: String,
    child: Child,
    id: Pid,
    log: Lines,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
}

impl Running {
    /// Starts a command. It dies with the thread that calls this, so that a test that is killed leaves nothing
    /// either; what it prints is shown when the test fails.
    pub(crate) fn start(name: &str, command: &std::process::Command) -> Self {
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        bound.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        bound.current_dir(command.get_current_dir().unwrap_or(".".as_ref()));
        bound.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = bound.process_group(0).kill_on_drop(true).spawn().unwrap();
        let id = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        let log = Lines::default();
        tokio::spawn(read(name.to_owned(), child.stdout.take().unwrap(), Arc::clone(&log)));
        tokio::spawn(read(name.to_owned(), child.stderr.take().unwrap(), Arc::clone(&log)));
        Self { name: name.to_owned(), child, id, log }
    }

    /// Waits until it says something with this text, and gives that line.
    pub(crate) async fn line(&self, text: &str) -> String {
        let mut log = self.log.subscribe();
        let saying = log.wait_for(|lines| lines.iter().any(|line| line.contains(text)));
        within(&format!("{}: {text}", self.name), saying).await.unwrap();
        self.lines(text).remove(0)
    }

    /// What it has said with this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        self.log.borrow().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.id, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> Ended {
        let status = within(&format!("the end of {}", self.name), self.child.wait()).await.unwrap();
        // The readers hold the log until there is nothing left to read.
        let read = async {
            let mut looks = tokio::time::interval(Duration::from_millis(5));
            while Arc::strong_count(&self.log) > 1 {
                looks.tick().await;
            }
        };
        within(&format!("the last words of {}", self.name), read).await;
        Ended { code: status.code(), lines: self.log.borrow().clone() }
    }

    /// Ends it as a service manager does; it must leave in peace.
    pub(crate) async fn terminate(mut self) -> Ended {
        self.send(Signal::TERM);
        let ended = self.end().await;
        assert_eq!(ended.code, Some(0), "{}", self.name);
        assert_eq!(self.lines(" ERROR "), Vec::<String>::new());
        ended
    }

    /// Ends it as no process can prevent.
    pub(crate) async fn kill(mut self) {
        self.send(Signal::KILL);
        within(&format!("the death of {}", self.name), self.child.wait()).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, and with it its group.
        let _ = kill_process_group(self.id, Signal::KILL);
    }
}

impl Ended {
    /// All that was printed, for a message.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Takes what is printed. It is shown at once, so that the processes of a test are seen side by side.
async fn read(name: String, output: impl AsyncRead + Unpin, log: Lines) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{name}: {line}");
        log.send_modify(|lines| lines.push(line));
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Asks again and again, until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    within(what, asking).await
}
