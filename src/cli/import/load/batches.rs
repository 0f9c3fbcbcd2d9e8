//! A thread that reads and parses ahead, so that the database and it work at the same time.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use tokio::sync::mpsc;

use super::Format;
use super::lines::{Line, Lines, MAX_BYTES};
use super::record::Reader;
use crate::cli::failure::Usage;
use crate::protocol::Refusal;
use crate::workflow::Registration;

/// So many lines are one transaction: enough that a commit costs little, few enough that nobody else waits
/// long for the registrar's lock or the event counter.
const BATCH_LINES: usize = 1_000;

/// A batch also ends when its lines hold so many bytes, so that memory is bounded whatever the file is.
const BATCH_BYTES: u64 = 1024 * 1024;

/// Batches that are read ahead.
const AHEAD: usize = 2;

/// Lines that are decided together.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// The number of the last line of the file that is in here.
    pub(super) last_line: u64,
    /// How many bytes of the file are read, this batch included.
    pub(super) bytes: u64,
}

/// A line that is not blank.
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) read: Result<Registration, Refusal>,
}

/// Opens a file; its size, if it has one, and its batches as they are read.
pub(super) fn read(
    path: &Path,
    format: Option<Format>,
) -> anyhow::Result<(Option<u64>, mpsc::Receiver<anyhow::Result<Batch>>)> {
    let shown = path.display();
    let (input, size): (Box<dyn BufRead + Send>, _) = if path == Path::new("-") {
        (Box::new(BufReader::new(io::stdin())), None)
    } else {
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let metadata = file.metadata().with_context(|| format!("cannot read {shown}"))?;
        (Box::new(BufReader::with_capacity(MAX_BYTES, file)), Some(metadata.len()).filter(|size| *size > 0))
    };
    let format = format.or_else(|| by_ending(path));
    let (sender, receiver) = mpsc::channel(AHEAD);
    let failed = format!("cannot read {shown}");
    std::thread::spawn(move || {
        // A receiver that is gone wants no more.
        let mut is_wanted = true;
        let read = each_batch(input, format, |batch| {
            is_wanted = sender.blocking_send(Ok(batch)).is_ok();
            is_wanted
        });
        if let Err(error) = read {
            let _ = sender.blocking_send(Err(error.context(failed)));
        }
    });
    Ok((size, receiver))
}

fn by_ending(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(Format::Csv),
        "json" | "jsonl" | "ndjson" => Some(Format::Json),
        _ => None,
    }
}

/// Reads to the end, or until a batch is not wanted.
fn each_batch(
    input: impl BufRead,
    format: Option<Format>,
    mut take: impl FnMut(Batch) -> bool,
) -> anyhow::Result<()> {
    let mut lines = Lines::of(input)?;
    let Some(reader) = reader(&mut lines, format)? else { return Ok(()) };
    loop {
        let begun = lines.bytes;
        let mut entries = Vec::with_capacity(BATCH_LINES);
        let mut is_end = false;
        while entries.len() < BATCH_LINES && lines.bytes - begun < BATCH_BYTES {
            let Some(line) = lines.next()? else {
                is_end = true;
                break;
            };
            let read = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => reader.read(line),
                Line::TooLong { bytes } => Err(too_long(bytes)),
            };
            entries.push(Entry { number: lines.number, read });
        }
        let batch = Batch { entries, last_line: lines.number, bytes: lines.bytes };
        if !take(batch) || is_end {
            return Ok(());
        }
    }
}

fn too_long(bytes: u64) -> Refusal {
    Refusal::new("too-large", format!("The line has {bytes} bytes; the limit is {MAX_BYTES}."))
}

/// How the lines are read, by the format or by how the file begins; of a table the first line is read. None
/// for a file with nothing in it.
fn reader<R: BufRead>(lines: &mut Lines<R>, format: Option<Format>) -> anyhow::Result<Option<Reader>> {
    let Some(first) = lines.first_byte()? else { return Ok(None) };
    if first == b'[' {
        let hint = "this is one JSON array; expected JSON lines, an object each (`jq -c '.[]'` makes them)";
        return Err(Usage(hint.to_owned()).into());
    }
    let by_beginning = if first == b'{' { Format::Json } else { Format::Csv };
    if format.unwrap_or(by_beginning) == Format::Json {
        return Ok(Some(Reader::Json));
    }
    while let Some(line) = lines.next()? {
        let header = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => Reader::of_header(line),
            Line::TooLong { bytes } => Err(too_long(bytes).reason),
        };
        let wrong = |reason| Usage(format!("line {}, which names the columns: {reason}", lines.number));
        return Ok(Some(header.map_err(wrong)?));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(input: &[u8], format: Option<Format>) -> anyhow::Result<Vec<Batch>> {
        let mut batches = Vec::new();
        each_batch(input, format, |batch| {
            batches.push(batch);
            true
        })?;
        Ok(batches)
    }

    const LINE: &str = r#"{"import": "~a/b/c", "rcs_type": "GIT", "url": "https://a.org/b"}"#;

    #[test]
    fn a_batch_ends_at_its_limits_of_lines_and_of_bytes() {
        let sizes = |input: &str| -> Vec<usize> {
            batches(input.as_bytes(), None).unwrap().iter().map(|batch| batch.entries.len()).collect()
        };
        assert_eq!(sizes(&format!("{LINE}\n").repeat(2_001)), [1_000, 1_000, 1]);
        assert_eq!(sizes(&format!("{LINE}{}\n", " ".repeat(65_000)).repeat(20)), [17, 3]);
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let input = format!("\n{LINE}\n  \nnonsense\n{LINE}");
        let batch = batches(input.as_bytes(), Some(Format::Json)).unwrap().pop().unwrap();
        let numbers: Vec<_> = batch.entries.iter().map(|entry| (entry.number, entry.read.is_ok())).collect();
        assert_eq!(numbers, [(2, true), (4, false), (5, true)]);
        assert_eq!((batch.last_line, batch.bytes), (5, input.len() as u64));
    }

    #[test]
    fn a_file_is_known_by_its_ending_and_else_by_how_it_begins() {
        assert_eq!(by_ending(Path::new("a.CSV")), Some(Format::Csv));
        assert_eq!(by_ending(Path::new("a.jsonl")), Some(Format::Json));
        assert_eq!(by_ending(Path::new("a.csv.old")), None);
        let read = |input: &str| batches(input.as_bytes(), None).unwrap()[0].entries.len();
        assert_eq!(read(&format!("\n {LINE}")), 1);
        assert_eq!(read("\nimport,rcs_type,url\n~a/b/c,GIT,https://a.org/b"), 1);
        assert!(batches(b"\n\n", None).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_one_array_is_refused_with_a_way_out() {
        let Err(error) = batches(b"[{}]", Some(Format::Json)) else { panic!("it was read") };
        assert!(error.to_string().contains("expected JSON lines"), "{error}");
    }
}
