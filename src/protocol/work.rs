//! What the coordinator hands to workers.

use serde::{Deserialize, Serialize};

use crate::domain::{Import, ImportId, JobId, PersonName, RcsType, Source, Status, Timestamp, UniqueName};

/// `work`: a job that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The job.
    pub job: JobId,
    /// Its import, its source without user-info: the answer to `start` carries it in full.
    pub import: ImportBody,
    /// Who asked for it.
    pub requested_by: Option<PersonName>,
    /// Since when it is due.
    pub date_due: Timestamp,
    /// How often a heartbeat is expected, in seconds.
    pub heartbeat_interval_s: u64,
    /// After how much silence the job is reclaimed, in seconds.
    pub heartbeat_timeout_s: u64,
    /// How the run before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// An import as workers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportBody {
    /// Its id.
    pub id: ImportId,
    /// The name of its target.
    pub unique_name: UniqueName,
    /// What its source speaks.
    pub rcs_type: RcsType,
    /// Where it comes from, unless it is CVS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The CVS root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvs_root: Option<String>,
    /// The CVS module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvs_module: Option<String>,
}

/// How the run before ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its status.
    pub status: Status,
    /// When it ended.
    pub date: Timestamp,
}

impl ImportBody {
    /// The import with its full source, user-info and all.
    #[must_use]
    pub fn full(import: &Import) -> Self {
        Self::with(import, import.source.clone())
    }

    /// The import for every eye: without user-info.
    #[must_use]
    pub fn redacted(import: &Import) -> Self {
        Self::with(import, import.source.redacted())
    }

    /// Its source, if the fields that are there make one.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Source::from_columns(self.url.clone(), self.cvs_root.clone(), self.cvs_module.clone())
    }

    fn with(import: &Import, source: Source) -> Self {
        let (url, cvs_root, cvs_module) = match source {
            Source::Url(url) => (Some(url), None, None),
            Source::Cvs { root, module } => (None, Some(root), Some(module)),
        };
        let unique_name = import.unique_name.clone();
        Self { id: import.id, unique_name, rcs_type: import.rcs_type, url, cvs_root, cvs_module }
    }
}
