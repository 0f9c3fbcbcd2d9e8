//! An import: what is to be kept up to date, and from where.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use strum::{Display, EnumString, VariantArray};

use super::event::ImportRef;
use super::{ImportId, JobId, PersonName, RunId, Source, Status, Timestamp, UniqueName};

/// The revision control system that a source speaks.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    VariantArray,
    serde::Serialize,
    serde::Deserialize,
)]
#[strum(serialize_all = "UPPERCASE")]
#[serde(rename_all = "UPPERCASE")]
pub enum RcsType {
    /// Concurrent Versions System: the only one whose source is a root and a module.
    Cvs,
    /// Subversion.
    Svn,
    /// Git.
    Git,
    /// Mercurial.
    Hg,
    /// Bazaar.
    Bzr,
}

impl RcsType {
    /// The routing key of its work, and the end of its work queue's name.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Cvs => "cvs",
            Self::Svn => "svn",
            Self::Git => "git",
            Self::Hg => "hg",
            Self::Bzr => "bzr",
        }
    }
}

/// Whether an import runs, and if not, why (section 2).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    VariantArray,
    serde::Serialize,
    serde::Deserialize,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewStatus {
    /// Filed; nobody looked.
    New,
    /// Approved; it runs.
    Reviewed,
    /// Paused by an operator.
    Suspended,
    /// Refused.
    Invalid,
    /// Gave up by itself.
    Failing,
}

/// What is to be kept up to date, and from where, with all that the rules need to know of its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Names it for ever.
    pub id: ImportId,
    /// The name of its target.
    pub unique_name: UniqueName,
    /// Who asked for it.
    pub registrant: PersonName,
    /// Who may change its source; a person or a team.
    pub owner: PersonName,
    /// What its source speaks.
    pub rcs_type: RcsType,
    /// Where it is imported from.
    pub source: Source,
    /// Whether it runs.
    pub review_status: ReviewStatus,
    /// How long from one run's start to the next; none means the default for its RCS.
    pub update_interval: Option<TimeDelta>,
    /// When it was registered.
    pub date_created: Timestamp,
    /// When a run last ended with SUCCESS or SUCCESS_NOCHANGE.
    pub date_last_successful: Option<Timestamp>,
    /// When its source was last changed.
    pub date_source_changed: Option<Timestamp>,
    /// Its latest result.
    pub last_result: Option<LastResult>,
    /// Failures since the latest success, review or change of source (section 5).
    pub consecutive_failure_count: u32,
    /// RECLAIMED and INTERNAL_FAILURE in a row (section 5).
    pub consecutive_infrastructure_failure_count: u32,
}

/// The latest result of an import, as far as rules need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastResult {
    /// The job that ended with it.
    pub job_id: JobId,
    /// The run that ended with it.
    pub run: RunId,
    /// How it ended.
    pub status: Status,
    /// When the run began.
    pub date_job_started: Timestamp,
    /// When the run ended.
    pub date_created: Timestamp,
}

impl Import {
    /// How an event names it.
    #[must_use]
    pub fn to_ref(&self) -> ImportRef {
        ImportRef { id: self.id, unique_name: self.unique_name.clone() }
    }

    /// Whether the source changed after a run that began at `date_started`: then that run says nothing of it.
    #[must_use]
    pub fn source_changed_after(&self, date_started: Timestamp) -> bool {
        self.date_source_changed.is_some_and(|changed| changed > date_started)
    }

    /// All that an audit entry says of it: every value as text, the source without its user-info (section 6).
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, String> {
        let interval = self.update_interval;
        let interval =
            interval.map_or("default".to_owned(), |interval| format!("{} s", interval.num_seconds()));
        let source = match self.source.redacted() {
            Source::Url(url) => vec![("URL", url)],
            Source::Cvs { root, module } => vec![("CVS_ROOT", root), ("CVS_MODULE", module)],
        };
        let items = [
            ("CODE_IMPORT", self.id.to_string()),
            ("REVIEW_STATUS", self.review_status.to_string()),
            ("OWNER", self.owner.to_string()),
            ("UPDATE_INTERVAL", interval),
        ];
        items.into_iter().chain(source).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
