//! Runs: one at a time, and each ends once.

use std::collections::BTreeMap;

use super::Harm;
use crate::evidence::Evidence;
use crate::history::{At, Facts};

pub(super) fn section_3_holds(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let during = facts.broken.iter().map(|broken| (Harm::Wrong, format!("during: {broken}")));
    let after = evidence.broken.iter().map(|broken| (Harm::Wrong, format!("after: {broken}")));
    during.chain(after).collect()
}

pub(super) fn no_run_ends_twice(_: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let mut ends: BTreeMap<_, usize> = BTreeMap::new();
    for result in &evidence.results {
        *ends.entry(result.run).or_default() += 1;
    }
    let twice = ends.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(run, count)| (Harm::Doubled, format!("the run {run} has {count} results"))).collect()
}

pub(super) fn no_runs_overlap(_: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let ended =
        evidence.results.iter().map(|result| (result.import, result.started, result.ended, result.run));
    let running = evidence.running.iter().map(|run| (run.import, run.started, At::MAX_UTC, run.run));
    let mut spans: Vec<_> = ended.chain(running).collect();
    spans.sort();
    let overlap = |pair: &[(i64, At, At, uuid::Uuid)]| {
        let ((import, _, end, first), (other, start, _, second)) = (pair[0], pair[1]);
        let is_wrong = import == other && start < end;
        is_wrong.then(|| {
            let what = format!("import {import}: the run {second} began at {start}, {first} ended at {end}");
            (Harm::Doubled, what)
        })
    };
    spans.windows(2).filter_map(overlap).collect()
}
