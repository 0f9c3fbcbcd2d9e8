//! How words of the command line are read.

use std::fmt::Display;
use std::str::FromStr;

use chrono::TimeDelta;
use strum::VariantArray;

use crate::domain::{ImportId, JobId, UniqueName};
use crate::workflow::KillTarget;

/// Reads a name of an enumeration, in capitals or not, with `-` for `_`.
pub(super) fn one_of<T: FromStr + Display + VariantArray>(word: &str) -> Result<T, String> {
    let names = || T::VARIANTS.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    word.to_uppercase().replace('-', "_").parse().map_err(|_| format!("expected one of {}", names()))
}

/// The longest time that is read: a hundred years. The database cannot count back from now for ever.
const LONGEST: TimeDelta = TimeDelta::days(36_525);

/// Reads a time in whole seconds.
pub(super) fn interval(word: &str) -> Result<TimeDelta, String> {
    let time = humantime::parse_duration(word).ok().filter(|time| time.subsec_nanos() == 0);
    let interval = time.and_then(|time| TimeDelta::from_std(time).ok());
    let interval = interval.filter(|interval| *interval <= LONGEST);
    interval.ok_or_else(|| "expected whole seconds with their unit, like 6h or 90s, at most 100y".to_owned())
}

/// An interval of its own, or none: then that of its RCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnInterval(pub(super) Option<TimeDelta>);

/// Reads a time, or `default`.
pub(super) fn interval_or_default(word: &str) -> Result<OwnInterval, String> {
    match word {
        "default" => Ok(OwnInterval(None)),
        word => interval(word)
            .map(|interval| OwnInterval(Some(interval)))
            .map_err(|error| format!("{error}, or `default`")),
    }
}

/// Reads the id of a job.
pub(super) fn job(word: &str) -> Result<JobId, String> {
    word.parse().map(JobId).map_err(|_| "expected the number of a job".to_owned())
}

/// Reads the name of an import. A shell took its `~` away if there is a user of that name.
pub(super) fn name(word: &str) -> Result<UniqueName, String> {
    word.parse().map_err(|error| match format!("~{word}").parse::<UniqueName>() {
        Ok(name) => format!("names of imports begin with ~. Did you mean '{name}'?"),
        Err(_) if word.starts_with('/') => {
            format!("your shell took ~ for somebody's home: write the name in quotes, '~owner/project/name' ({error})")
        }
        Err(_) => format!("{error}"),
    })
}

/// Reads which run is to be stopped: the number of its job, or the name of its import.
pub(super) fn kill_target(word: &str) -> Result<KillTarget, String> {
    if word.contains(['~', '/']) {
        return name(word).map(KillTarget::Import);
    }
    job(word).map(KillTarget::Job).map_err(|error| format!("{error}, or the name of an import"))
}

/// An import by its name; or by its number, which is known of one that was deleted, too.
#[derive(Clone, Debug)]
pub(super) enum ImportWord {
    Name(UniqueName),
    Id(ImportId),
}

/// Reads which import is meant.
pub(super) fn import(word: &str) -> Result<ImportWord, String> {
    match word.parse() {
        Ok(id) => Ok(ImportWord::Id(ImportId(id))),
        Err(_) => name(word).map(ImportWord::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RcsType, ReviewStatus, Status};

    #[test]
    fn a_name_is_read_in_any_case() {
        assert_eq!(one_of("git"), Ok(RcsType::Git));
        assert_eq!(one_of("SUSPENDED"), Ok(ReviewStatus::Suspended));
        assert_eq!(one_of("internal-failure"), Ok(Status::InternalFailure));
        assert_eq!(one_of::<RcsType>("darcs").unwrap_err(), "expected one of CVS, SVN, GIT, HG, BZR");
    }

    #[test]
    fn an_interval_is_in_whole_seconds() {
        assert_eq!(interval("2h"), Ok(TimeDelta::hours(2)));
        assert_eq!(interval_or_default("default"), Ok(OwnInterval(None)));
        assert!(interval("1500ms").is_err());
        assert!(interval("100y").is_ok() && interval("300000y").is_err());
        assert!(interval_or_default("6").unwrap_err().ends_with("or `default`"));
    }

    #[test]
    fn a_run_is_named_by_its_job_or_its_import() {
        assert_eq!(kill_target("42"), Ok(KillTarget::Job(JobId(42))));
        assert!(matches!(kill_target("~a/b/c"), Ok(KillTarget::Import(_))));
        assert!(kill_target("abc").unwrap_err().contains("number of a job, or the name of an import"));
    }

    #[test]
    fn a_name_without_its_beginning_is_told_with_it() {
        assert_eq!(name("a/b/c").unwrap_err(), "names of imports begin with ~. Did you mean '~a/b/c'?");
        assert!(name("/home/a/b/c").unwrap_err().starts_with("your shell took ~"));
        assert!(name("~a/b").unwrap_err().contains("~owner/project/name"));
    }
}
