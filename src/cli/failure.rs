//! What is said when it did not work, and the exit code.

use std::io;
use std::process::ExitCode;

use super::hint::Hint;
use crate::config::Invalid;
use crate::workflow::Rejection;
use crate::{broker, store};

/// Refused, or failed.
const FAILED: u8 = 1;
/// Wrong usage, or wrong settings.
const USAGE: u8 = 2;
/// A server cannot be reached.
const UNREACHABLE: u8 = 3;
/// Somebody interrupted it before it had its answer: as the shell says of any program.
pub(super) const INTERRUPTED: u8 = 130;

const TOO_SLOW: &str = "\
Select fewer first: --status (but not REVIEWED), --owner, --registrant, --host and --name-prefix have an index; or
sort by registered or name. Or allow more time: DATABASE_URL='…/database?options=-c%20statement_timeout%3D5min'";

/// The command line asks for something that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The exit code of how it ended; what went wrong is said on standard error.
pub fn exit_code(ended: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match ended {
        Ok(code) => return code,
        Err(error) => error,
    };
    // Whoever read our output has read enough of it: `… | head`.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let (code, text) = told(&error);
    eprintln!("{text}");
    if let Some(hint) = error.downcast_ref::<Hint>() {
        eprintln!("{hint}");
    }
    ExitCode::from(code)
}

fn told(error: &anyhow::Error) -> (u8, String) {
    if let Some(invalid) = error.downcast_ref::<Invalid>() {
        let wrong = invalid.to_string().replace('\n', "\n  ");
        return (USAGE, format!("error: the settings are wrong:\n  {wrong}"));
    }
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return (USAGE, format!("error: {usage}"));
    }
    if let Some(rejection) = error.downcast_ref::<Rejection>() {
        return (FAILED, refused(rejection));
    }
    if let Some(error) = error.downcast_ref::<broker::Error>() {
        return told_by_broker(error);
    }
    match error.downcast_ref::<store::Error>() {
        Some(error) => told_by_store(error),
        None => (FAILED, format!("error: {error:#}")),
    }
}

fn told_by_store(error: &store::Error) -> (u8, String) {
    match error {
        store::Error::Connect { .. } => {
            (UNREACHABLE, format!("error: {error}; is it running? `make services` starts a private one"))
        }
        error if error.is_unreachable() => (UNREACHABLE, format!("error: {error}")),
        error if error.is_schema_missing() => {
            (FAILED, format!("error: {error}; is the schema up to date? Type `code-imports migrate`"))
        }
        error if error.is_too_slow() => (FAILED, format!("error: {error}\n{TOO_SLOW}")),
        store::Error::NotAllowed(rejection) => (FAILED, refused(rejection)),
        store::Error::Refused(reason) => (FAILED, format!("refused: {reason}")),
        error => (FAILED, format!("error: {error}")),
    }
}

fn told_by_broker(error: &broker::Error) -> (u8, String) {
    match error {
        broker::Error::Connect { .. } => {
            (UNREACHABLE, format!("error: {error}; is it running? `make services` starts a private one"))
        }
        broker::Error::Account(reason) => (FAILED, format!("refused: {reason}")),
        error => (FAILED, format!("error: {error}")),
    }
}

/// The text is that of the specification; the code is what programs branch on.
fn refused(rejection: &Rejection) -> String {
    format!("refused: {rejection} ({})", rejection.code())
}
