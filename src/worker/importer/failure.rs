//! Why a run ends before its work is done.

use super::process::{Interruption, ProcessError};
use crate::domain::{BadSource, Report, Status};
use crate::protocol::beginning_of;
use crate::worker::LogTail;

/// The longest detail of a reason, in bytes: with the word before it, it stays below 1 KiB.
const MAX_DETAIL_BYTES: usize = 900;

/// What a step of a run gives.
pub(super) type Step<T> = Result<T, Stopped>;

/// What ends a run early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It failed, and that is reported.
    Failed(Failure),
    /// A newer run of the import is at work: nothing may be changed any more.
    Superseded,
    /// The run must stop.
    Cancelled,
}

/// A failure that is reported: a status, a word for machines, and a line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// How the run ended.
    pub(super) status: Status,
    /// Which kind of failure it is; never changed, since people and scripts match on it.
    pub(super) word: &'static str,
    /// What exactly happened.
    pub(super) detail: String,
}

impl Failure {
    /// A failure of the given kind.
    pub(super) fn new(status: Status, word: &'static str, detail: impl Into<String>) -> Self {
        Self { status, word, detail: detail.into() }
    }

    /// A failure of our own side, which is never blamed on the import.
    pub(super) fn internal(word: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Status::InternalFailure, word, detail)
    }

    /// How it is reported: the reason is `word: detail` in one line, without secrets.
    pub(super) fn report(&self, log: &LogTail) -> Report {
        let detail = one_line(&log.redact(&self.detail));
        let detail = beginning_of(&detail, MAX_DETAIL_BYTES);
        let reason = Some(format!("{}: {detail}", self.word));
        Report { reason, log_tail: Some(log.text()), ..Report::of(self.status) }
    }
}

/// The text with every run of blanks and control characters as one blank.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<BadSource> for Stopped {
    fn from(error: BadSource) -> Self {
        Failure::new(Status::FailureForbidden, "forbidden", error.to_string()).into()
    }
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Failure::internal("io", error.to_string()).into()
    }
}

/// An interruption of what is ours to do; a silent remote is judged by the importer.
impl From<Interruption> for Stopped {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::Cancelled => Self::Cancelled,
            late => Failure::internal("timeout", late.to_string()).into(),
        }
    }
}

impl From<ProcessError> for Stopped {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Interrupted(interruption) => interruption.into(),
            error => Failure::internal("process", error.to_string()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Source;

    #[test]
    fn a_reason_is_one_short_line_without_secrets() {
        let log = LogTail::new(&Source::Url("https://me:s3cr3t@a.org/b".to_owned()));
        let failure = Failure::internal("io", format!("at https://me:s3cr3t@a.org\n\t{}", "é".repeat(900)));
        let reason = failure.report(&log).reason.unwrap();
        assert!(reason.starts_with("io: at https://***@a.org éé"), "{reason}");
        assert!(reason.len() < 1_024 && !reason.contains('\n'), "{reason}");
    }
}
