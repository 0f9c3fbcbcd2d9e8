//! A run, as the importer sees it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::log_tail::LogTail;
use crate::domain::{ImportId, JobId, PersonName, RcsType, RunId, Source, UniqueName};
use crate::protocol::work::Previous;

/// What is to be imported, and all that the importer needs meanwhile.
#[derive(Clone)]
pub struct Run {
    /// The job: a higher one is newer, and fences off every lower one in the target.
    pub job: JobId,
    /// The attempt.
    pub id: RunId,
    /// The import.
    pub import: ImportId,
    /// The name of its target.
    pub unique_name: UniqueName,
    /// What its source speaks.
    pub rcs_type: RcsType,
    /// Where it comes from, user-info and all.
    pub source: Source,
    /// How the run before ended.
    pub previous: Option<Previous>,
    /// Who asked for it.
    pub requested_by: Option<PersonName>,
    /// Takes the run's output; heartbeats show its end.
    pub log_tail: LogTail,
    /// Whether refs of the target may be changed now.
    pub lease: Lease,
    /// Whether it must stop.
    pub stop: Stop,
}

/// Tells a run that it must stop, and why.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

/// Why a run must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum StopReason {
    /// It is not current any more: killed, reclaimed, or its import deleted. What it reports is not heard.
    #[strum(serialize = "superseded")]
    Superseded,
    /// The worker leaves. It reports INTERNAL_FAILURE, and another machine begins anew.
    #[strum(serialize = "interrupted")]
    Interrupted,
}

impl Stop {
    /// Is cancelled when the run must stop.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Why the run must stop, if it must.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// Waits until the run must stop.
    pub async fn stopped(&self) -> StopReason {
        self.token.cancelled().await;
        self.reason().unwrap_or_else(|| unreachable!("the reason is set before the token is cancelled"))
    }

    /// Stops the run; the first reason stands.
    pub(super) fn stop(&self, reason: StopReason) {
        self.reason.get_or_init(|| reason);
        self.token.cancel();
    }
}

/// Without the source, whose user-info is for nobody's eyes.
impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, id, unique_name, .. } = self;
        f.debug_struct("Run")
            .field("job", job)
            .field("id", id)
            .field("unique_name", unique_name)
            .finish_non_exhaustive()
    }
}
