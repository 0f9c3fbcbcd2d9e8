//! Reports that the coordinator can read, whatever was reported.

use std::any::Any;

use crate::domain::{Report, Status};
use crate::protocol::worker::{check_stats, short_stats};
use crate::protocol::{MAX_LOG_TAIL_BYTES, MAX_TEXT_BYTES, beginning_of, end_of};

/// The report of a run that could not be ended as it should, and why.
pub(super) fn internal_failure(reason: &str) -> Report {
    Report { reason: Some(reason.to_owned()), ..Report::of(Status::InternalFailure) }
}

/// The report of a run that panicked: a bug of ours is not the import's fault.
pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Report {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    internal_failure(&format!("panicked: {text}"))
}

/// The same report, with nothing in it that the coordinator would refuse as malformed: a finish that is
/// refused is a result that is lost.
pub(super) fn readable(report: Report) -> Report {
    let report = if report.status.is_reported_by_workers() {
        report
    } else {
        internal_failure(&format!("reported {}, which is the coordinator's word", report.status))
    };
    Report {
        status: report.status,
        log_tail: report.log_tail.map(|tail| end_of(&tail, MAX_LOG_TAIL_BYTES).replace('\0', "\u{fffd}")),
        log_url: report.log_url.filter(|url| url.len() <= MAX_TEXT_BYTES && !url.contains('\0')),
        reason: report.reason.map(|reason| one_line(&reason)),
        stats: if check_stats(&report.stats).is_ok() {
            short_stats(report.stats)
        } else {
            serde_json::Map::new()
        },
    }
}

fn one_line(text: &str) -> String {
    beginning_of(&text.replace(['\r', '\n', '\0'], " "), MAX_TEXT_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Received;
    use crate::protocol::worker::Finish;

    #[test]
    fn whatever_is_reported_can_be_read() {
        let report = Report {
            status: Status::Failure,
            log_tail: Some("a\0".repeat(1000)),
            log_url: Some("x".repeat(3000)),
            reason: Some(format!("a\nb\0{}", "é".repeat(2000))),
            stats: [("x".to_owned(), "y".repeat(20_000).into())].into_iter().collect(),
        };
        for status in [Status::Failure, Status::Killed, Status::Reclaimed] {
            let report = readable(Report { status, ..report.clone() });
            let run = crate::domain::RunRef {
                job: crate::domain::JobId(1),
                import: crate::domain::ImportId(2),
                run: crate::domain::RunId(uuid::Uuid::nil()),
            };
            let body = serde_json::to_vec(&Finish::of(run, "m".parse().unwrap(), report)).unwrap();
            let finish = Finish::read(&Received { body, ..Received::default() }).unwrap();
            assert!(finish.reason.unwrap().len() <= MAX_TEXT_BYTES);
        }
    }

    #[test]
    fn a_panic_is_an_internal_failure_that_says_its_text_in_one_line() {
        let panic = std::panic::catch_unwind(|| panic!("first\nsecond {}", 3)).unwrap_err();
        let report = readable(of_panic(panic.as_ref()));
        assert_eq!(report.status, Status::InternalFailure);
        assert_eq!(report.reason.as_deref(), Some("panicked: first second 3"));
    }
}
