//! Runs the tools that import: one command at a time, watched, and killed with all that it started.

use std::collections::VecDeque;
use std::fs::File;
use std::future::{Future, pending};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use crate::worker::LogTail;

/// How long a process group has between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// The most that a command may print for us to read: a million refs.
const MAX_STDOUT_BYTES: usize = 64 * 1024 * 1024;
/// How many lines of errors are kept for judging a failure.
const MAX_ERROR_LINES: usize = 100;
const SIGTERM: i32 = 15;

/// What watches the commands of one run.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// Gets every line that a command prints as an error or as progress.
    pub(super) log: LogTail,
    /// Ends the run at once.
    pub(super) cancellation: CancellationToken,
    /// How long a command may be silent.
    pub(super) inactivity_timeout: Duration,
    /// When the whole run must be over.
    pub(super) deadline: Instant,
    /// How long a command has to end by itself once it was told to: [`GRACE`].
    pub(super) grace: Duration,
}

/// Why a command did not come to its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Interruption {
    /// Whoever started the run wants it to end.
    #[error("cancelled")]
    Cancelled,
    /// The command was silent for too long.
    #[error("no output for {} s", .0.as_secs())]
    Inactive(Duration),
    /// The run as a whole took too long.
    #[error("the whole run took too long")]
    RunLimit,
}

/// Why there is no [`Output`].
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    /// It was stopped, with all that it had started.
    #[error(transparent)]
    Interrupted(#[from] Interruption),
    /// It printed more than is read.
    #[error("more than {MAX_STDOUT_BYTES} bytes of output")]
    TooMuchOutput,
    /// Our side could not start it or talk to it.
    #[error("{program}: {error}")]
    Io {
        /// What was to run.
        program: String,
        /// What went wrong.
        error: io::Error,
    },
}

/// What a command that came to its own end left.
#[derive(Debug)]
pub(super) struct Output {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// All that it printed.
    pub(super) stdout: Vec<u8>,
    /// The last lines of its errors, without progress.
    pub(super) errors: Vec<String>,
}

/// What a command reads and where it prints to.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    /// All that it reads; then comes the end.
    pub(super) stdin: Vec<u8>,
    /// Where it prints to; none keeps it for [`Output::stdout`].
    pub(super) stdout: Option<File>,
}

impl Supervisor {
    /// Runs a command in a process group of its own until it ends, or until it must.
    pub(super) async fn run(&self, command: Command, pipes: Pipes) -> Result<Output, ProcessError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let failed = |error| ProcessError::Io { program: program.clone(), error };
        let mut group = Group::start(command, pipes).map_err(failed)?;
        match self.watch(&mut group, failed).await {
            Ok(output) => Ok(output),
            Err(error) => {
                group.stop(self.grace).await;
                Err(error)
            }
        }
    }

    /// Waits for something that is no command, but not longer than the run may last.
    pub(super) async fn wait_for<T>(&self, what: impl Future<Output = T>) -> Result<T, Interruption> {
        tokio::select! {
            () = self.cancellation.cancelled() => Err(Interruption::Cancelled),
            done = timeout_at(self.deadline, what) => done.map_err(|_| Interruption::RunLimit),
        }
    }

    async fn watch(
        &self,
        group: &mut Group,
        failed: impl Fn(io::Error) -> ProcessError,
    ) -> Result<Output, ProcessError> {
        let mut stdout = Vec::new();
        let mut errors = VecDeque::new();
        loop {
            match self.next(group).await?.map_err(&failed)? {
                Heard::Stdout(chunk) if stdout.len().saturating_add(chunk.len()) > MAX_STDOUT_BYTES => {
                    return Err(ProcessError::TooMuchOutput);
                }
                Heard::Stdout(chunk) => stdout.extend(chunk),
                Heard::Stderr(chunk) => {
                    group.lines.push(&chunk);
                    self.note(&mut group.lines, &mut errors);
                }
                Heard::Exit(status) => {
                    group.lines.finish();
                    self.note(&mut group.lines, &mut errors);
                    return Ok(Output { status, stdout, errors: errors.into() });
                }
            }
        }
    }

    /// The next thing that a command does, unless its time is over first.
    async fn next(&self, group: &mut Group) -> Result<io::Result<Heard>, Interruption> {
        // A command that always has something ready keeps the runtime from looking at its timers.
        if Instant::now() >= self.deadline {
            return Err(Interruption::RunLimit);
        }
        let silent_at = Instant::now().checked_add(self.inactivity_timeout);
        let wake_at = silent_at.map_or(self.deadline, |silent_at| silent_at.min(self.deadline));
        let heard = tokio::select! {
            () = self.cancellation.cancelled() => return Err(Interruption::Cancelled),
            heard = timeout_at(wake_at, group.next()) => heard,
        };
        let late = || {
            if wake_at < self.deadline {
                Interruption::Inactive(self.inactivity_timeout)
            } else {
                Interruption::RunLimit
            }
        };
        heard.map_err(|_| late())
    }

    fn note(&self, lines: &mut Lines, errors: &mut VecDeque<String>) {
        while let Some(line) = lines.next() {
            if line.is_progress {
                self.log.push_progress(&line.text);
                continue;
            }
            self.log.push(&line.text);
            errors.push_back(line.text);
            if errors.len() > MAX_ERROR_LINES {
                errors.pop_front();
            }
        }
    }
}

/// Something that a command did.
enum Heard {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exit(ExitStatus),
}

/// A running command and all that it started; dropped, it is killed.
struct Group {
    child: Box<dyn ChildWrapper>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    lines: Lines,
    is_running: bool,
}

impl Group {
    fn start(mut command: Command, pipes: Pipes) -> io::Result<Self> {
        let is_fed = !pipes.stdin.is_empty();
        command
            .stdin(if is_fed { Stdio::piped() } else { Stdio::null() })
            .stdout(pipes.stdout.map_or_else(Stdio::piped, Stdio::from))
            .stderr(Stdio::piped());
        let mut child = CommandWrap::from(command).wrap(ProcessGroup::leader()).wrap(KillOnDrop).spawn()?;
        if let Some(mut stdin) = child.stdin().take() {
            tokio::spawn(async move {
                // A command that does not read to the end says why in its exit status.
                let _ = stdin.write_all(&pipes.stdin).await;
            });
        }
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        Ok(Self { child, stdout, stderr, lines: Lines::default(), is_running: true })
    }

    /// The next chunk of output, or the exit once both outputs are at their end.
    ///
    /// The leader is not waited for before: its number stays taken, so that a signal to the group can not go
    /// to another. A process that outlives it and holds the outputs open is heard until it, too, is over.
    async fn next(&mut self) -> io::Result<Heard> {
        while self.stdout.is_some() || self.stderr.is_some() {
            let (is_stdout, chunk) = tokio::select! {
                chunk = read(&mut self.stdout) => (true, chunk?),
                chunk = read(&mut self.stderr) => (false, chunk?),
            };
            match (is_stdout, chunk) {
                (true, Some(chunk)) => return Ok(Heard::Stdout(chunk)),
                (false, Some(chunk)) => return Ok(Heard::Stderr(chunk)),
                (true, None) => self.stdout = None,
                (false, None) => self.stderr = None,
            }
        }
        let status = self.child.wait().await?;
        self.is_running = false;
        Ok(Heard::Exit(status))
    }

    /// Asks the group to end, then makes it, and reaps it.
    async fn stop(&mut self, grace: Duration) {
        // An error says that nobody is left.
        let _ = self.child.signal(SIGTERM);
        let _ = timeout(grace, self.child.wait()).await;
        // Whatever ignored the signal, or was started by what did not.
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
        self.is_running = false;
    }
}

impl Drop for Group {
    /// `KillOnDrop` kills the leader alone.
    fn drop(&mut self) {
        if self.is_running {
            let _ = self.child.start_kill();
        }
    }
}

/// The next chunk of a stream; none at its end. What is gone already never gives one.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>) -> io::Result<Option<Vec<u8>>> {
    let Some(stream) = stream else { return pending().await };
    let mut chunk = Vec::with_capacity(16 * 1024);
    stream.read_buf(&mut chunk).await?;
    Ok(if chunk.is_empty() { None } else { Some(chunk) })
}

#[cfg(test)]
mod tests {
    use tokio::time::interval;

    use super::*;
    use crate::domain::Source;

    const LONG: Duration = Duration::from_mins(10);
    const SHORT: Duration = Duration::from_millis(500);

    fn supervisor() -> Supervisor {
        Supervisor {
            log: LogTail::new(&Source::Url("https://a.org/b".to_owned())),
            cancellation: CancellationToken::new(),
            inactivity_timeout: LONG,
            deadline: Instant::now() + LONG,
            grace: GRACE,
        }
    }

    async fn run(supervisor: &Supervisor, script: &str) -> Result<Output, ProcessError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        supervisor.run(command, Pipes::default()).await
    }

    /// Waits for all processes whose numbers are in the log to be over.
    async fn await_death(log: &LogTail) {
        let is_over = |number: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            // One that nobody has waited for yet is over, too.
            stat.is_empty() || stat.contains(") Z ")
        };
        let mut ticks = interval(Duration::from_millis(10));
        while !log.text().split_whitespace().all(is_over) {
            ticks.tick().await;
        }
    }

    #[tokio::test]
    async fn a_command_is_heard_to_its_end() {
        let supervisor = supervisor();
        let script = "read line; echo $line; printf '1%%\\r2%%\\r\\nerror: no\\n' >&2; exit 3";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let pipes = Pipes { stdin: b"hello\n".to_vec(), stdout: None };
        let output = supervisor.run(command, pipes).await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"hello\n");
        assert_eq!(output.errors, ["2%", "error: no"]);
        assert_eq!(supervisor.log.text(), "2%\nerror: no");
    }

    #[tokio::test]
    async fn a_silent_command_is_killed_with_all_that_it_started() {
        let supervisor = Supervisor { inactivity_timeout: SHORT, ..supervisor() };
        let error = run(&supervisor, "sleep 1000 & echo $$ $! >&2; wait").await.unwrap_err();
        assert!(matches!(error, ProcessError::Interrupted(Interruption::Inactive(SHORT))), "{error:?}");
        assert_eq!(supervisor.log.text().split_whitespace().count(), 2);
        await_death(&supervisor.log).await;
    }

    #[tokio::test]
    async fn a_command_that_ignores_sigterm_is_killed() {
        let supervisor = Supervisor { inactivity_timeout: SHORT, grace: SHORT, ..supervisor() };
        let error = run(&supervisor, "trap '' TERM; sleep 1000 & echo $$ $! >&2; wait").await.unwrap_err();
        assert!(matches!(error, ProcessError::Interrupted(Interruption::Inactive(_))), "{error:?}");
        await_death(&supervisor.log).await;
    }

    #[tokio::test]
    async fn output_does_not_save_a_command_from_the_run_limit() {
        let supervisor = Supervisor { deadline: Instant::now() + SHORT, ..supervisor() };
        let error = run(&supervisor, "exec yes >&2").await.unwrap_err();
        assert!(matches!(error, ProcessError::Interrupted(Interruption::RunLimit)), "{error:?}");
    }

    #[tokio::test]
    async fn a_cancelled_command_is_killed() {
        let supervisor = supervisor();
        supervisor.cancellation.cancel();
        let error = run(&supervisor, "exec sleep 1000").await.unwrap_err();
        assert!(matches!(error, ProcessError::Interrupted(Interruption::Cancelled)), "{error:?}");
    }

    #[tokio::test]
    async fn a_dropped_command_is_killed_with_all_that_it_started() {
        let supervisor = supervisor();
        let script = "sleep 1000 & echo $$ $! >&2; wait";
        let heard = async {
            let mut ticks = interval(Duration::from_millis(10));
            while supervisor.log.text().is_empty() {
                ticks.tick().await;
            }
        };
        tokio::select! {
            ended = run(&supervisor, script) => panic!("{ended:?}"),
            () = heard => {}
        }
        await_death(&supervisor.log).await;
    }

    #[tokio::test]
    async fn output_without_end_is_refused() {
        let error = run(&supervisor(), "exec cat /dev/zero").await.unwrap_err();
        assert!(matches!(error, ProcessError::TooMuchOutput), "{error:?}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = supervisor().run(Command::new("/nowhere/git"), Pipes::default()).await.unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/git: "), "{error}");
    }
}
