//! What `git` prints, most of which a remote has written.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::classify::{Phase, classify};
use super::fence::State;
use super::refs::{Advertised, Changes, RefName, Refs};
use crate::domain::{Source, Status};
use crate::worker::LogTail;
use crate::worker::importer::lines::Lines;
use crate::worker::importer::process::Output;

/// What it prints on standard error: the first byte says in what pieces it comes.
pub(crate) fn git_errors(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let mut whole = Lines::default();
    whole.push(text);
    whole.finish();
    let mut pieces = Lines::default();
    text.chunks(usize::from(*size).max(1)).for_each(|piece| pieces.push(piece));
    pieces.finish();
    let lines: Vec<_> = std::iter::from_fn(|| whole.next()).collect();
    assert_eq!(lines, std::iter::from_fn(|| pieces.next()).collect::<Vec<_>>());

    let log = LogTail::new(&Source::Url("https://me:s3cr3tpass@a.org/b".to_owned()));
    for line in &lines {
        log.push(&line.text);
    }
    for phase in [Phase::Probe, Phase::Fetch, Phase::Local] {
        let errors = lines.iter().filter(|line| !line.is_progress).map(|line| line.text.clone()).collect();
        let failure =
            classify(phase, &Output { status: ExitStatus::from_raw(1 << 8), stdout: Vec::new(), errors });
        assert!(!failure.status.is_success() && failure.status.is_reported_by_workers());
        assert!(phase != Phase::Local || failure.status == Status::InternalFailure);
        let reason = failure.report(&log).reason.unwrap_or_default();
        assert!(reason.len() <= 1024 && !reason.contains(char::is_control) && !reason.contains("s3cr3tpass"));
    }
}

/// What it prints of refs: what a remote has, and after an empty line what we hold.
pub(crate) fn git_refs(data: &[u8]) {
    let middle = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (theirs, ours) = data.split_at(middle);
    let advertised = Advertised::of(theirs);
    let (wanted, held) = (&advertised.refs, Advertised::of(ours).refs);
    wanted.keys().for_each(check_name);
    assert_eq!(&Advertised::of(&printed(wanted, b"\t")).refs, wanted);
    assert_eq!(&State::of(&printed(wanted, b"   ")).refs, wanted);
    State::of(data).refs.keys().for_each(check_name);
    let new_head = advertised.new_head(wanted, held.keys().next());
    assert!(new_head.is_none_or(|branch| wanted.contains_key(&branch)));

    let changes = Changes::between(&held, wanted);
    let in_the_way = changes.in_the_way().len();
    assert!(in_the_way <= changes.deleted.len());
    let mut moved = held;
    for (name, old) in changes.deleted {
        assert_eq!(moved.remove(&name), Some(old));
    }
    for (name, new) in changes.created {
        assert_eq!(moved.insert(name, new), None);
    }
    for (name, old, new) in changes.updated {
        assert_eq!(moved.insert(name, new), Some(old));
    }
    assert_eq!(&moved, wanted);
}

/// No name of a remote can say anything to `git update-ref --stdin` but itself.
fn check_name(name: &RefName) {
    let full = name.below("refs/");
    assert!(full.starts_with(b"refs/heads/") || full.starts_with(b"refs/tags/"));
    assert!(!full.iter().any(|byte| *byte <= b' ' || *byte == 0x7f), "{name}");
    assert_eq!(RefName::of(&full).as_ref(), Some(name));
}

fn printed(refs: &Refs, between: &[u8]) -> Vec<u8> {
    let line = |(name, oid): (&RefName, &super::refs::Oid)| {
        [oid.as_str().as_bytes(), between, &name.below("refs/"), b"\n"].concat()
    };
    refs.iter().flat_map(line).collect()
}
