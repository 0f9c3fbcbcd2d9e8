//! Real repositories: nobody moves a ref once a later run has begun.

use super::Harm;
use crate::evidence::{Evidence, Moved};
use crate::history::Facts;

pub(super) fn no_late_moves(_: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let claims: Vec<&Moved> = evidence.moved.iter().filter(|moved| moved.is_claim).collect();
    let late = evidence.moved.iter().filter_map(|moved| {
        let later = |claim: &&&Moved| {
            claim.repository == moved.repository && claim.job > moved.job && claim.ended < moved.begun
        };
        let claim = claims.iter().find(later)?;
        let Moved { repository, job, .. } = moved;
        Some((Harm::Wrong, format!("{repository}: job {job} moved refs after job {} had begun", claim.job)))
    });
    late.collect()
}
