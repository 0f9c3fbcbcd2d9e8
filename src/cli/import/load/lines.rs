//! Lines of bounded length, counted.

use std::io::{self, BufRead};

/// The longest line that is read, in bytes. A source has at most 2,000, and JSON writes a byte in six.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// The lines of a file; of one that is too long, no more than the limit is ever held.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The number of the line that was read last, from 1.
    pub(super) number: u64,
    /// How many bytes were read.
    pub(super) bytes: u64,
}

/// A line without its end; or how long it is, if that is too long.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    TooLong { bytes: u64 },
}

impl<R: BufRead> Lines<R> {
    /// A byte order mark before the first line is passed over.
    pub(super) fn of(mut input: R) -> io::Result<Self> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let has_mark = input.fill_buf()?.starts_with(MARK);
        let bytes = if has_mark { MARK.len() } else { 0 };
        input.consume(bytes);
        Ok(Self { input, line: Vec::new(), number: 0, bytes: bytes as u64 })
    }

    /// What comes after blanks and blank lines, which are passed over; none at the end.
    pub(super) fn first_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let Some(first) = self.input.fill_buf()?.first().copied() else { return Ok(None) };
            if !first.is_ascii_whitespace() {
                return Ok(Some(first));
            }
            self.number += u64::from(first == b'\n');
            self.bytes += 1;
            self.input.consume(1);
        }
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut length = 0_u64;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length_of_part = end.unwrap_or(buffer.len());
            let room = MAX_BYTES.saturating_sub(self.line.len());
            self.line.extend(buffer.iter().take(length_of_part.min(room)));
            let used = length_of_part + usize::from(end.is_some());
            length += used as u64;
            self.input.consume(used);
            if end.is_some() {
                length -= 1;
                self.bytes += 1;
                break;
            }
        }
        self.number += 1;
        self.bytes += length;
        if length > MAX_BYTES as u64 {
            return Ok(Some(Line::TooLong { bytes: length }));
        }
        Ok(Some(Line::Whole(self.line.strip_suffix(b"\r").unwrap_or(&self.line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<String> {
        let mut lines = Lines::of(io::BufReader::with_capacity(7, input)).unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong { bytes } => format!("{bytes} bytes"),
            });
        }
        assert!(lines.line.capacity() <= 2 * MAX_BYTES, "no more than a line of the limit is held");
        assert_eq!((lines.number, lines.bytes), (all.len() as u64, input.len() as u64));
        all
    }

    #[test]
    fn lines_end_as_on_any_system_and_the_last_need_not() {
        assert_eq!(all(b""), [""; 0]);
        assert_eq!(all(b"\n"), [""]);
        assert_eq!(all(b"a\nb\r\n\r\nc and more than a buffer"), ["a", "b", "", "c and more than a buffer"]);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(all(b"\xef\xbb\xbfa\nb\n"), ["a", "b"]);
    }

    #[test]
    fn a_line_over_the_limit_is_told_by_its_length_and_the_next_is_read() {
        let long = vec![b'x'; MAX_BYTES + 1];
        assert_eq!(all(&[&long[1..], b"\nb"].concat())[1], "b");
        assert_eq!(all(&[&long[..], b"\nb"].concat()), [format!("{} bytes", MAX_BYTES + 1), "b".to_owned()]);
    }
}
