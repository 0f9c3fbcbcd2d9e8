//! Takes a tool's errors apart into lines.

use std::collections::VecDeque;

/// A longer line is cut there: a server may send one without end.
const MAX_LINE_BYTES: usize = 4 * 1024;

/// What has come in and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    whole: VecDeque<Line>,
    /// A `\r` was the last byte: with a `\n` after it, it was no progress.
    after_return: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without its end.
    pub(super) text: String,
    /// It ended with a bare `\r`: the next one is to be written over it.
    pub(super) is_progress: bool,
}

impl Lines {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if std::mem::take(&mut self.after_return) {
                self.end_line(*byte != b'\n');
                if *byte == b'\n' {
                    continue;
                }
            }
            match byte {
                b'\r' => self.after_return = true,
                b'\n' => self.end_line(false),
                byte if self.begun.len() < MAX_LINE_BYTES => self.begun.push(*byte),
                _ => {}
            }
        }
    }

    /// The stream is over, and so is its last line.
    pub(super) fn finish(&mut self) {
        if std::mem::take(&mut self.after_return) || !self.begun.is_empty() {
            self.end_line(false);
        }
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Line> {
        self.whole.pop_front()
    }

    fn end_line(&mut self, is_progress: bool) {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned();
        self.whole.push_back(Line { text, is_progress });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&str]) -> Vec<(String, bool)> {
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk.as_bytes());
        }
        lines.finish();
        std::iter::from_fn(|| lines.next()).map(|line| (line.text, line.is_progress)).collect()
    }

    #[test]
    fn a_return_ends_a_line_of_progress() {
        let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
        assert_eq!(lines_of(&["a\rb\nc"]), [(a.clone(), true), (b.clone(), false), (c, false)]);
        assert_eq!(lines_of(&["a\r", "\nb\r"]), [(a, false), (b, false)]);
        assert_eq!(lines_of(&[""]), []);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let lines = lines_of(&[&"a".repeat(10_000), "\nb"]);
        assert_eq!(lines[0].0.len(), MAX_LINE_BYTES);
        assert_eq!(lines[1].0, "b");
    }
}
