//! The end of a run's output, without its secrets: what heartbeats and results show.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use percent_encoding::percent_decode_str;

use crate::domain::Source;
use crate::domain::source::redact;
use crate::protocol::end_of;

/// How many lines are kept (`messages.md`).
const MAX_LINES: usize = 5;
/// How many bytes are shown, and kept of each line (`messages.md`).
const MAX_BYTES: usize = 1_024;
/// A shorter password can not be told from other text; one in a URL is hidden all the same.
const MIN_PASSWORD_BYTES: usize = 4;
/// A token may stand where a user's name does; `git` may, too, and is no secret.
const MIN_TOKEN_BYTES: usize = 8;

/// The last lines of a run's output; a clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct LogTail {
    secrets: Arc<Secrets>,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// Whether the last one is progress, which the next line overwrites as it would on a terminal.
    ends_with_progress: bool,
}

impl LogTail {
    /// An empty tail that hides the user-info of `source`, wherever it comes up.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self { secrets: Arc::new(Secrets::of(source)), lines: Arc::default() }
    }

    /// Adds a line.
    pub fn push(&self, line: &str) {
        self.add(line, false);
    }

    /// Adds a line that the next one takes the place of.
    pub fn push_progress(&self, line: &str) {
        self.add(line, true);
    }

    /// The last 5 lines, at most 1 KiB: a longer text is cut to its end.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.lock();
        let lines: Vec<&str> = lines.kept.iter().map(String::as_str).collect();
        end_of(&lines.join("\n"), MAX_BYTES).trim_start().to_owned()
    }

    /// `text` without the secrets of the run.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.secrets.redact(text)
    }

    fn add(&self, line: &str, is_progress: bool) {
        // A NUL would be malformed on the wire.
        let line = self.redact(line.trim_end()).replace('\0', "\u{fffd}");
        if line.is_empty() {
            return;
        }
        let mut lines = self.lock();
        if lines.ends_with_progress {
            lines.kept.pop_back();
        }
        lines.ends_with_progress = is_progress;
        lines.kept.push_back(end_of(&line, MAX_BYTES).to_owned());
        if lines.kept.len() > MAX_LINES {
            lines.kept.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Lines are whole after every statement above, so a panic elsewhere spoils nothing.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What must not come out of a run: tools print it even where it is not part of a URL.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(source: &Source) -> Self {
        let mut secrets = Vec::new();
        if let Some((user, password)) = user_info(source) {
            for (secret, min_bytes) in [(user, MIN_TOKEN_BYTES), (password, MIN_PASSWORD_BYTES)] {
                let decoded = percent_decode_str(secret).decode_utf8_lossy().into_owned();
                secrets.extend([secret.to_owned(), decoded].into_iter().filter(|s| s.len() >= min_bytes));
            }
        }
        // The longest first: one may be part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    fn redact(&self, text: &str) -> String {
        self.0.iter().fold(redact(text), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// User and password as they stand in a source, which is in normal form.
fn user_info(source: &Source) -> Option<(&str, &str)> {
    let rest = match source {
        Source::Url(url) => url.split_once("://")?.1,
        Source::Cvs { root, .. } => root.splitn(3, ':').nth(2)?,
    };
    let user_info = rest.split('/').next()?.rsplit_once('@')?.0;
    Some(user_info.split_once(':').unwrap_or((user_info, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(url: &str) -> LogTail {
        LogTail::new(&Source::Url(url.to_owned()))
    }

    #[test]
    fn the_last_five_lines_are_kept() {
        let tail = tail_of("https://a.org/b");
        assert_eq!(tail.text(), "");
        for number in 1..=7 {
            tail.clone().push(&format!("line {number}\n"));
            tail.push("");
        }
        assert_eq!(tail.text(), "line 3\nline 4\nline 5\nline 6\nline 7");
    }

    #[test]
    fn progress_takes_the_place_of_progress() {
        let tail = tail_of("https://a.org/b");
        tail.push("begin");
        tail.push_progress("10%");
        tail.push_progress("20%");
        assert_eq!(tail.text(), "begin\n20%");
        tail.push("100%, done");
        tail.push("end");
        assert_eq!(tail.text(), "begin\n100%, done\nend");
    }

    #[test]
    fn a_long_tail_is_cut_to_its_end_between_two_characters() {
        let tail = tail_of("https://a.org/b");
        tail.push(&"a".repeat(2_000));
        tail.push(&format!("{}.", "é".repeat(600)));
        let text = tail.text();
        assert_eq!(text, format!("{}.", "é".repeat(511)));
        assert_eq!(text.len(), 1_023);
    }

    #[test]
    fn a_nul_is_replaced() {
        let tail = tail_of("https://a.org/b");
        tail.push("a\0b");
        assert_eq!(tail.text(), "a\u{fffd}b");
    }

    #[test]
    fn secrets_are_hidden_wherever_they_come_up() {
        #[track_caller]
        fn check(source: &Source, line: &str, shown: &str) {
            let tail = LogTail::new(source);
            tail.push(line);
            assert_eq!(tail.text(), shown);
            assert!(!format!("{tail:?}").contains("s3cr"), "{tail:?}");
        }

        let url = Source::Url("https://me:s3cr%40t@a.org/b".to_owned());
        check(&url, "https://me:s3cr%40t@a.org/b", "https://***@a.org/b");
        check(&url, "me says s3cr@t, or s3cr%40t", "me says ***, or ***");
        check(&Source::Url("https://ghp_s3cr3t@a.org/b".to_owned()), "as ghp_s3cr3t", "as ***");
        check(&Source::Url("ssh://git@a.org/b".to_owned()), "git fetch", "git fetch");
        let cvs = Source::Cvs { root: ":pserver:me:s3cr3t@a.org:/c".to_owned(), module: "m".to_owned() };
        check(&cvs, "I LOVE s3cr3t", "I LOVE ***");
    }
}
