//! Which jobs go out, and in which order (section 9).

use std::collections::BTreeSet;

use crate::store::DueJob;

/// So many places go to requested jobs before one goes to the job that has been due longest.
const REQUESTED_IN_A_ROW: usize = 4;

/// The first `n` of requested jobs and of all, each by `date_due`, then id.
///
/// Requested ones go first; but every fifth place goes to the job that has been due longest, so that neither
/// starves the other.
///
/// `place` is how many places were given before, in earlier rounds: so a round of one job is fair, too.
pub(super) fn merge(requested: &[DueJob], all: &[DueJob], n: usize, place: usize) -> Vec<DueJob> {
    let mut requested = requested.iter().peekable();
    let mut all = all.iter().peekable();
    let mut taken = BTreeSet::new();
    let mut order = Vec::with_capacity(n.min(requested.len() + all.len()));
    while order.len() < n {
        while requested.next_if(|job| taken.contains(&job.id)).is_some() {}
        while all.next_if(|job| taken.contains(&job.id)).is_some() {}
        let is_fifth = (place + order.len()) % (REQUESTED_IN_A_ROW + 1) == REQUESTED_IN_A_ROW;
        let next = if is_fifth {
            all.next().or_else(|| requested.next())
        } else {
            requested.next().or_else(|| all.next())
        };
        let Some(job) = next else { break };
        taken.insert(job.id);
        order.push(*job);
    }
    order
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::JobId;

    /// Jobs by the second that they are due, which is their id too.
    fn jobs(seconds: impl IntoIterator<Item = i64>) -> Vec<DueJob> {
        let job =
            |second| DueJob { date_due: DateTime::from_timestamp(second, 0).unwrap(), id: JobId(second) };
        seconds.into_iter().map(job).collect()
    }

    #[track_caller]
    fn check(requested: &[i64], all: &[i64], n: usize, expected: &[i64]) {
        let order = merge(&jobs(requested.iter().copied()), &jobs(all.iter().copied()), n, 0);
        assert_eq!(order.iter().map(|job| job.id.0).collect::<Vec<_>>(), expected);
    }

    // covers: CIJ-47 CIJ-48 CIJ-49
    #[test]
    fn requested_jobs_go_first_and_each_group_goes_by_its_due_date() {
        check(&[], &[2, 5, 10], 10, &[2, 5, 10]);
        check(&[7, 9], &[2, 5, 7, 9, 10], 10, &[7, 9, 2, 5, 10]);
        check(&[7, 9], &[2, 5, 7, 9], 1, &[7]);
    }

    #[test]
    fn every_fifth_place_goes_to_the_job_that_has_been_due_longest() {
        check(&[11, 12, 13, 14, 15, 16], &[1, 2, 11, 12], 8, &[11, 12, 13, 14, 1, 15, 16, 2]);
    }

    #[test]
    fn neither_group_starves_the_other() {
        let requested: Vec<i64> = (1000..2000).collect();
        let order = merge(&jobs(requested.iter().copied()), &jobs(1..100), 100, 0);
        assert_eq!(order.iter().filter(|job| job.id.0 < 1000).count(), 20);
    }

    #[test]
    fn places_are_counted_across_rounds_of_one_job_each() {
        let (mut requested, mut all) = (jobs(100..120), jobs(1..20));
        let mut order = Vec::new();
        for place in 0..15 {
            let job = merge(&requested, &all, 1, place)[0];
            requested.retain(|other| *other != job);
            all.retain(|other| *other != job);
            order.push(job.id.0);
        }
        assert_eq!(order, [100, 101, 102, 103, 1, 104, 105, 106, 107, 2, 108, 109, 110, 111, 3]);
    }

    #[test]
    fn no_job_goes_out_twice() {
        check(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], 10, &[1, 2, 3, 4, 5]);
        check(&[], &[], 10, &[]);
        check(&[1], &[1], 0, &[]);
    }
}
