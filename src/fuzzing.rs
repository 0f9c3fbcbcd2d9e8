//! What is fuzzed: everything that reads the wire or a tool's output, and what must hold whatever comes.
//!
//! Built for tests, which run it over the corpus, and for `make fuzz` (`fuzz/README.md`), which looks for more. What
//! is private is fuzzed from within its own module.

use crate::broker::fuzzing::{properties, version};
use crate::domain::UniqueName;
use crate::domain::source::{Scheme, redact};
use crate::domain::{
    Hostname, ImportId, JobId, PersonName, RcsType, RunId, Source, SourceInput, SourcePolicy,
};
use crate::protocol::answer::{Answer, HeartbeatAnswer};
use crate::protocol::command::ReadCommand;
use crate::protocol::event::EventBody;
use crate::protocol::work::Work;
use crate::protocol::worker::{BeatBody, Echo, Finish, HeardBeats, Heartbeat, Start};
use crate::protocol::{MAX_BEATS, MAX_LOG_TAIL_BYTES, MAX_TEXT_BYTES, Received, Refusal};
use crate::worker::LogTail;
use crate::worker::importer::{git_errors, git_refs};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strum::VariantArray;

/// Is given bytes, and panics if something does not hold.
pub type Target = fn(&[u8]);

/// What is fuzzed, by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("body", body),
    ("properties", properties),
    ("version", version),
    ("source", source),
    ("name", name),
    ("redact", log),
    ("git_errors", git_errors),
    ("git_refs", git_refs),
];

/// A secret that nobody types by chance.
const SECRET: &str = "s3cr3tpass";

/// The bodies of messages: the first byte says of which.
fn body(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let received = Received { body: body.to_vec(), ..Received::default() };
    match kind % 9 {
        0 => read_again(received.decode::<Start>()),
        1 => finish(Finish::read(&received)),
        2 => heartbeat(HeardBeats::read(&received)),
        3 => {
            let command = ReadCommand::read(&received);
            assert_eq!(command, ReadCommand::read(&received));
            check_refusal(command.err());
        }
        4 => read_again(received.decode::<Work>()),
        5 => read_again(received.decode::<Answer>()),
        6 => read_again(received.decode::<HeartbeatAnswer>()),
        7 => read_again(received.decode::<EventBody>()),
        _ => read_again(received.decode::<Echo>()),
    }
}

fn received(said: &impl Serialize) -> Received {
    let body = serde_json::to_vec(said).unwrap_or_else(|error| panic!("it cannot be written: {error}"));
    Received { body, ..Received::default() }
}

/// What was read is written so that the same is read again.
fn read_again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(read: Result<T, Refusal>) {
    match read {
        Ok(said) => assert_eq!(received(&said).decode::<T>().as_ref(), Ok(&said)),
        Err(refusal) => check_refusal(Some(refusal)),
    }
}

/// Why something is refused goes into headers and logs: one short line.
fn check_refusal(refusal: Option<Refusal>) {
    let Some(Refusal { code, reason }) = refusal else { return };
    assert!(["malformed", "too-large", "unsupported-version"].contains(&code.as_str()), "{code}");
    assert!(!reason.is_empty() && reason.len() <= 1024 && !reason.contains(char::is_control), "{reason:?}");
}

/// What a worker reports can be stored, and sent once more.
fn finish(read: Result<Finish, Refusal>) {
    let finish = match read {
        Ok(finish) => finish,
        Err(refusal) => return check_refusal(Some(refusal)),
    };
    let (run, machine) = (finish.run_ref(), finish.machine.clone());
    let report = finish.report();
    assert!(report.status.is_reported_by_workers());
    // A NUL in it is replaced by three bytes.
    let fits =
        |text: &Option<String>, max| text.as_ref().is_none_or(|it| it.len() <= max && !it.contains('\0'));
    assert!(fits(&report.log_tail, 3 * MAX_LOG_TAIL_BYTES));
    assert!(fits(&report.log_url, MAX_TEXT_BYTES) && fits(&report.reason, MAX_TEXT_BYTES));
    let again = Finish::of(run, machine, report);
    assert!(Finish::read(&received(&again)).is_ok(), "{again:?}");
}

/// Every entry of a heartbeat counts, or is told to be malformed.
fn heartbeat(read: Result<HeardBeats, Refusal>) {
    let heard = match read {
        Ok(heard) => heard,
        Err(refusal) => return check_refusal(Some(refusal)),
    };
    assert!(heard.beats.len() <= MAX_BEATS);
    assert!(!heard.is_idle || heard.beats.is_empty() && heard.malformed.is_none());
    assert!(heard.is_idle || !heard.beats.is_empty() || heard.malformed.is_some());
    check_refusal(heard.malformed);
    let jobs = heard.beats.iter().map(|beat| {
        assert!(beat.log_tail.len() <= 3 * MAX_LOG_TAIL_BYTES && !beat.log_tail.contains('\0'));
        let (JobId(_), ImportId(_), RunId(_)) = (beat.run.job, beat.run.import, beat.run.run);
        BeatBody { job: beat.run.job, import: beat.run.import, run: beat.run.run, log_tail: String::new() }
    });
    let again = Heartbeat { machine: heard.machine, jobs: jobs.collect() };
    let again = HeardBeats::read(&received(&again));
    assert_eq!(again.map(|it| (it.beats.len(), it.malformed)), Ok((heard.beats.len(), None)));
}

/// Sources, as they are typed: the first byte says of which RCS, and whether all is allowed that can be.
fn source(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let rcs = RcsType::VARIANTS[usize::from(*choice) % RcsType::VARIANTS.len()];
    let mut policy = SourcePolicy::default();
    if choice & 0x80 != 0 {
        policy.extra_schemes = Scheme::VARIANTS.to_vec();
        policy.allowed_networks = ["0.0.0.0/0", "::/0"].iter().filter_map(|it| it.parse().ok()).collect();
    }
    let input = if rcs == RcsType::Cvs {
        let (root, module) = text.split_once('\n').unwrap_or((text, "module"));
        SourceInput {
            cvs_root: Some(root.to_owned()),
            cvs_module: Some(module.to_owned()),
            ..SourceInput::default()
        }
    } else {
        SourceInput { url: Some(text.to_owned()), ..SourceInput::default() }
    };
    match policy.check(rcs, &input) {
        Err(error) => assert!(error.to_string().len() < 8 * 1024, "{error}"),
        Ok(source) => check_source(&policy, rcs, &source),
    }
}

fn check_source(policy: &SourcePolicy, rcs: RcsType, source: &Source) {
    assert_eq!(policy.check(rcs, &source.clone().into()).as_ref(), Ok(source), "the normal form is its own");
    let redacted = source.redacted();
    assert!(redacted.redacted() == redacted && redacted.key() == source.key());
    assert_eq!(format!("{source:?}"), format!("{redacted:?}"));
    let text = match source {
        Source::Url(url) => url,
        Source::Cvs { root, .. } => root,
    };
    assert!(text.len() <= 2000 && !text.starts_with('-') && !text.contains(char::is_control), "{text:?}");
    let shown = match &redacted {
        Source::Url(url) => url,
        Source::Cvs { root, .. } => root,
    };
    // What logs say of a source is what people are shown of it.
    assert_eq!(redact(text), redact(shown));
    assert!(source.host().is_empty() || source.host_and_port().is_some(), "{source:?}");
}

/// Names: what is read is written as it came, and is what the database takes.
fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let is_plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
            && text.len() <= 100
    };
    assert_eq!(
        text.parse::<PersonName>().map(|it| it.to_string()).ok().as_deref(),
        is_plain(text).then_some(text)
    );
    assert_eq!(text.parse::<Hostname>().is_ok(), is_plain(text));
    if let Ok(name) = text.parse::<UniqueName>() {
        assert_eq!(name.to_string(), text);
        let parts: Vec<&str> = text.split('/').collect();
        assert!(parts.len() == 3 && text.len() <= 200 && text.starts_with('~'), "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"~/+._-".contains(&b)), "{text}");
    }
}

/// Logs, in which a secret stands somewhere: the first two bytes say where.
fn log(data: &[u8]) {
    let Some((place, text)) = data.split_first_chunk::<2>() else { return };
    let text = String::from_utf8_lossy(text).into_owned();
    // It stands where it is put: a secret in the midst of a text is one only for those who know it.
    if text.contains(SECRET) {
        return;
    }
    let mut at = usize::from(u16::from_le_bytes(*place)).min(text.len());
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    let (before, after) = text.split_at(at);
    let redacted = redact(&text);
    assert_eq!(redact(&redacted), redacted, "what is redacted stays so");
    let shown = redact(&format!("{before} https://me:{SECRET}@a.org/b {after}"));
    assert!(!shown.contains(SECRET), "{shown}");

    let tail = LogTail::new(&Source::Url(format!("https://me:{SECRET}@a.org/b")));
    for line in format!("{before}{SECRET}{after}").split('\n') {
        tail.push(line);
    }
    let shown = tail.text();
    assert!(!shown.contains(SECRET) && shown.len() <= 1024 && !shown.contains('\0'), "{shown}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What fuzzing has found worth keeping; nothing in it may panic. A target without any is a mistake.
    #[test]
    fn whatever_the_corpus_holds_is_borne() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            let mut count = 0;
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let data = std::fs::read(&path).unwrap();
                let ran = std::panic::catch_unwind(|| target(&data));
                assert!(ran.is_ok(), "{}", path.display());
                count += 1;
            }
            assert!(count > 0, "{} is empty", folder.display());
        }
    }
}
