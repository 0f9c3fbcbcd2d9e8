//! What a failure of `git` means: its exit code says next to nothing, its words say it all.
//!
//! The words were collected from git 2.39 and 2.47 with `LC_ALL=C`. A row that no longer matches makes a
//! failure less precise (`FAILURE · failed`), never a success.

use std::os::unix::process::ExitStatusExt;

use crate::domain::Status;
use crate::worker::importer::failure::Failure;
use crate::worker::importer::process::Output;

/// What `git` was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It asked the remote for its refs.
    Probe,
    /// It got what is new.
    Fetch,
    /// It worked on the repository alone.
    Local,
}

/// Texts, the status they mean, and the word for it.
type Row = (&'static [&'static str], Status, &'static str);

/// Our own side. What the remote says (`remote: …`) is not looked at: it could say so, too.
const OURS: &[Row] = &[
    (
        &["No space left on device", "Disk quota exceeded", "File too large", "Read-only file system"],
        Status::InternalFailure,
        "disk",
    ),
    (
        &["ut of memory", "unable to create thread", "Resource temporarily unavailable", "cannot fork"],
        Status::InternalFailure,
        "memory",
    ),
    (&["Too many open files"], Status::InternalFailure, "files"),
    (&["cannot lock ref", "unable to lock", ".lock': File exists"], Status::InternalFailure, "locked"),
    (
        &["insufficient permission for adding", "unable to write", "unable to create temporary file"],
        Status::InternalFailure,
        "disk",
    ),
    (&["remote helper 'http", "is not a git command"], Status::InternalFailure, "git"),
];

/// The remote's side, the more telling rows first: a server's error 500 may be followed by an early end.
const THEIRS: &[Row] = &[
    (
        &[
            "could not read Username",
            "could not read Password",
            "Authentication failed",
            "Permission denied (pub",
        ],
        Status::FailureInvalid,
        "auth",
    ),
    (&["returned error: 403"], Status::FailureInvalid, "denied"),
    (&["returned error: 410", "returned error: 451"], Status::FailureInvalid, "gone"),
    (
        &[
            "returned error: 301",
            "returned error: 302",
            "returned error: 303",
            "returned error: 307",
            "returned error: 308",
        ],
        Status::FailureInvalid,
        "moved",
    ),
    (&["returned error: 429"], Status::Failure, "rate_limited"),
    (&["returned error: 5"], Status::Failure, "http_5xx"),
    (
        &[
            "returned error: 404",
            "' not found",
            "access denied or repository not exported",
            "does not appear to be a git repository",
            "epository not found",
        ],
        Status::FailureInvalid,
        "not_found",
    ),
    (&["returned error: 4"], Status::Failure, "http_4xx"),
    (
        &["transport '", "strange hostname", "strange pathname", "strange port"],
        Status::FailureForbidden,
        "forbidden",
    ),
    (
        &["mismatched algorithms", "dumb http transport does not support", "unknown object format"],
        Status::FailureUnsupportedFeature,
        "not_representable",
    ),
    (
        &[
            "Could not resolve host",
            "unable to look up",
            "Name or service not known",
            "Temporary failure in name resolution",
        ],
        Status::Failure,
        "dns",
    ),
    (
        &["gnutls_handshake", "certificate", "SSL_", "SSL routines", "OpenSSL", "GnuTLS", "TLS connect"],
        Status::Failure,
        "tls",
    ),
    (&["Operation too slow", "Operation timed out", "imeout was reached"], Status::Failure, "timeout"),
    (
        &[
            "Failed to connect",
            "unable to connect",
            "Couldn't connect",
            "Connection refused",
            "Connection timed out",
            "No route to host",
            "Network is unreachable",
            "Host key verification failed",
        ],
        Status::Failure,
        "connect",
    ),
    (
        &[
            "info/refs not valid",
            "protocol error: bad line length",
            "invalid server response",
            "invalid content-type",
        ],
        Status::FailureInvalid,
        "not_a_repository",
    ),
    (&["couldn't find remote ref"], Status::Failure, "changed"),
    (
        &[
            "possible repository corruption on the remote side",
            "not our ref",
            "error: object ",
            "fsck error",
            "did not send all necessary objects",
            "unresolved delta",
            "inflate: data stream error",
            "inflate returned",
            "bad object",
            "invalid object",
            "missing necessary objects",
            "is corrupt",
            "Failed to traverse parents",
            "hash mismatch",
            "ref is at",
        ],
        Status::FailureRemoteBroken,
        "corrupt",
    ),
    (
        &[
            "curl 18",
            "curl 56",
            "bad pack header",
            "early EOF",
            "unexpected disconnect",
            "hung up unexpectedly",
            "Connection reset",
            "RPC failed",
            "invalid index-pack output",
            "transfer closed",
            "premature end of pack",
            "expected flush after",
            "Empty reply from server",
        ],
        Status::Failure,
        "truncated",
    ),
];

/// What the failure means that `output` tells of.
pub(super) fn classify(phase: Phase, output: &Output) -> Failure {
    if let Some(signal) = output.status.signal() {
        // Not ours: those end as an interruption. The kernel's, when memory is short.
        return Failure::internal("killed", format!("git was killed by signal {signal}"));
    }
    let is_ours = |line: &&str| !line.starts_with("remote:") && !line.contains("remote error:");
    let lines: Vec<&str> = output.errors.iter().map(String::as_str).collect();
    let ours: Vec<&str> = lines.iter().copied().filter(is_ours).collect();
    if let Some(failure) = look_up(OURS, &ours) {
        return failure;
    }
    let summary = ours.last().or(lines.last()).copied().unwrap_or("git failed without a word");
    if phase == Phase::Local {
        return Failure::internal("git", summary);
    }
    look_up(THEIRS, &lines).unwrap_or_else(|| {
        let fatal = lines.iter().copied().find(|line| line.starts_with("fatal:"));
        Failure::new(Status::Failure, "failed", fatal.unwrap_or(summary))
    })
}

/// The first row of which a text is in a line; that line is the detail.
fn look_up(rows: &[Row], lines: &[&str]) -> Option<Failure> {
    rows.iter().find_map(|(texts, status, word)| {
        let line = lines.iter().find(|line| texts.iter().any(|text| line.contains(text)))?;
        let detail = line.trim_start_matches("fatal: ").trim_start_matches("error: ");
        Some(Failure::new(*status, word, format!("{detail}{}", remedy(word))))
    })
}

/// What the reader of a reason can do, where the tool's words do not tell.
fn remedy(word: &str) -> &'static str {
    match word {
        "moved" => " (redirects are not followed: change the source to the address that this one leads to)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[track_caller]
    fn check(phase: Phase, errors: &[&str], status: Status, word: &str) {
        let errors = errors.iter().map(|line| (*line).to_owned()).collect();
        let failure =
            classify(phase, &Output { status: ExitStatus::from_raw(128 << 8), stdout: Vec::new(), errors });
        assert_eq!((failure.status, failure.word), (status, word), "{}", failure.detail);
    }

    /// The table of B.7, its git column.
    #[test]
    fn each_condition_has_its_status_and_its_word() {
        #[track_caller]
        fn probe(error: &str, status: Status, word: &str) {
            check(Phase::Probe, &[error], status, word);
        }
        let (invalid, broken) = (Status::FailureInvalid, Status::FailureRemoteBroken);
        probe(
            "fatal: could not read Username for 'https://a.org': terminal prompts disabled",
            invalid,
            "auth",
        );
        probe("fatal: Authentication failed for 'https://a.org/b/'", invalid, "auth");
        probe(
            "fatal: unable to access 'https://a.org/': The requested URL returned error: 403",
            invalid,
            "denied",
        );
        probe("fatal: repository 'https://a.org/b/' not found", invalid, "not_found");
        probe("fatal: remote error: access denied or repository not exported: /b", invalid, "not_found");
        probe("fatal: '/srv/b' does not appear to be a git repository", invalid, "not_found");
        probe(
            "fatal: unable to access 'https://a.org/': The requested URL returned error: 410",
            invalid,
            "gone",
        );
        probe(
            "fatal: unable to access 'https://a.org/': The requested URL returned error: 301",
            invalid,
            "moved",
        );
        probe("fatal: The requested URL returned error: 429", Status::Failure, "rate_limited");
        probe("fatal: The requested URL returned error: 503", Status::Failure, "http_5xx");
        probe(
            "fatal: unable to access 'https://a.org/': Could not resolve host: a.org",
            Status::Failure,
            "dns",
        );
        probe("fatal: unable to access 'x': Failed to connect to a.org port 443", Status::Failure, "connect");
        probe("fatal: unable to connect to a.org:", Status::Failure, "connect");
        probe("fatal: unable to access 'x': Operation too slow. Less than 1 b", Status::Failure, "timeout");
        probe("fatal: unable to access 'x': gnutls_handshake() failed", Status::Failure, "tls");
        probe("fatal: unable to access 'x': server certificate verification failed", Status::Failure, "tls");
        probe("error: RPC failed; curl 18 transfer closed", Status::Failure, "truncated");
        probe("fatal: protocol error: bad pack header", Status::Failure, "truncated");
        probe(
            "fatal: https://a.org/b/info/refs not valid: is this a git repository?",
            invalid,
            "not_a_repository",
        );
        probe(
            "remote: aborting due to possible repository corruption on the remote side.",
            broken,
            "corrupt",
        );
        probe("fatal: remote error: upload-pack: not our ref 0123", broken, "corrupt");
        probe("error: object 0123: hasDotgit: contains '.git'", broken, "corrupt");
        probe("fatal: transport 'ext' not allowed", Status::FailureForbidden, "forbidden");
        probe("fatal: strange hostname '-oX' blocked", Status::FailureForbidden, "forbidden");
        let unsupported = Status::FailureUnsupportedFeature;
        probe("fatal: mismatched algorithms: client sha1; server sha256", unsupported, "not_representable");
        probe("fatal: write error: No space left on device", Status::InternalFailure, "disk");
        probe("error: cannot lock ref 'refs/heads/x'", Status::InternalFailure, "locked");
        probe("fatal: something new", Status::Failure, "failed");
    }

    #[test]
    fn a_remote_can_not_blame_us() {
        check(Phase::Fetch, &["fatal: remote error: No space left on device"], Status::Failure, "failed");
        check(Phase::Fetch, &["remote: cannot lock ref"], Status::Failure, "failed");
    }

    #[test]
    fn a_failure_on_our_repository_is_ours() {
        check(Phase::Local, &["fatal: repository 'x' not found"], Status::InternalFailure, "git");
    }

    #[test]
    fn the_telling_line_is_found_among_others() {
        let errors = [
            "error: RPC failed; HTTP 500 curl 22 The requested URL returned error: 500",
            "fatal: early EOF",
            "fatal: fetch-pack: invalid index-pack output",
        ];
        check(Phase::Fetch, &errors, Status::Failure, "http_5xx");
    }

    #[test]
    fn a_killed_git_is_our_fault() {
        let output = Output { status: ExitStatus::from_raw(9), stdout: Vec::new(), errors: Vec::new() };
        let failure = classify(Phase::Fetch, &output);
        assert_eq!((failure.status, failure.word), (Status::InternalFailure, "killed"));
    }
}
