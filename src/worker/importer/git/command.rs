//! How `git` is called: nothing of the machine's, the user's or the foreign side's choosing comes in.

use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::classify::{Phase, classify};
use super::remote::Remote;
use crate::domain::Status;
use crate::worker::importer::failure::{Failure, Step, Stopped};
use crate::worker::importer::process::{Interruption, Output, Pipes, ProcessError, Supervisor};

/// In force for every command.
const OPTIONS: [&str; 4] =
    ["gc.auto=0", "maintenance.auto=false", "core.hooksPath=/dev/null", "credential.helper="];

/// A directory that is not there: no `.gitconfig`, `.netrc` or `.ssh` of anybody is read, and nobody needs to
/// make an empty one and take it away again.
const HOME: &str = "/nonexistent";

/// Calls `git` for one run.
#[derive(Debug)]
pub(super) struct Git<'a> {
    pub(super) supervisor: &'a Supervisor,
    program: &'a Path,
    /// The repository; it may not be there yet.
    pub(super) repository: PathBuf,
}

/// One call: what `git` is told.
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    /// The subcommand and its arguments.
    pub(super) arguments: Vec<&'a str>,
    /// `key=value` for this call.
    pub(super) options: Vec<&'a str>,
    /// All that it reads.
    pub(super) stdin: Vec<u8>,
    /// Where it prints to; none keeps the output.
    pub(super) stdout: Option<File>,
}

impl<'a> Call<'a> {
    pub(super) fn new(arguments: &[&'a str]) -> Self {
        Self { arguments: arguments.to_vec(), ..Self::default() }
    }

    pub(super) fn options(mut self, options: &[&'a str]) -> Self {
        self.options.extend(options);
        self
    }

    pub(super) fn stdin(mut self, stdin: Vec<u8>) -> Self {
        self.stdin = stdin;
        self
    }

    pub(super) fn stdout(mut self, stdout: File) -> Self {
        self.stdout = Some(stdout);
        self
    }
}

impl<'a> Git<'a> {
    pub(super) fn new(supervisor: &'a Supervisor, program: &'a Path, repository: PathBuf) -> Self {
        Self { supervisor, program, repository }
    }

    /// Runs a call on the repository, which talks to nobody, and gives what it printed.
    pub(super) async fn run(&self, call: Call<'_>) -> Step<Vec<u8>> {
        let output = self.try_run(call).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(classify(Phase::Local, &output).into())
    }

    /// As [`Git::run`], for a call whose failure means something.
    pub(super) async fn try_run(&self, call: Call<'_>) -> Step<Output> {
        let mut command = self.command();
        command.arg("--git-dir").arg(&self.repository);
        Ok(self.supervisor.run(finish(command, &call), pipes(call)).await?)
    }

    /// Runs a call that talks to the remote. Whatever goes wrong is judged as its fault first.
    pub(super) async fn run_remote(&self, phase: Phase, remote: &Remote, call: Call<'_>) -> Step<Output> {
        let mut command = self.command();
        if phase == Phase::Fetch {
            command.arg("--git-dir").arg(&self.repository);
        }
        for option in &remote.options {
            command.arg("-c").arg(option);
        }
        command.envs(remote.environment.iter().map(|(name, value)| (name, value)));
        match self.supervisor.run(finish(command, &call), pipes(call)).await {
            Ok(output) => Ok(output),
            Err(error) => Err(blame_remote(error)),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.env_clear().current_dir("/");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs([
            ("HOME", HOME),
            ("LC_ALL", "C"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ]);
        for option in OPTIONS {
            command.arg("-c").arg(option);
        }
        command
    }
}

fn finish(mut command: Command, call: &Call<'_>) -> Command {
    for option in &call.options {
        command.arg("-c").arg(option);
    }
    command.args(&call.arguments);
    command
}

fn pipes(call: Call<'_>) -> Pipes {
    Pipes { stdin: call.stdin, stdout: call.stdout }
}

/// A remote that sends nothing, or without end, is at fault; a `git` that can not be started is not.
fn blame_remote(error: ProcessError) -> Stopped {
    match error {
        ProcessError::Interrupted(late @ (Interruption::Inactive(_) | Interruption::RunLimit)) => {
            Failure::new(Status::Failure, "timeout", late.to_string()).into()
        }
        ProcessError::TooMuchOutput => {
            Failure::new(Status::FailureUnsupportedFeature, "too_many_refs", error.to_string()).into()
        }
        error => error.into(),
    }
}
