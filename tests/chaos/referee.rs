//! The referee: what was promised, held against what was done and what is found. Each check is a function of both,
//! and each has a test that it can fail.

mod calm;
#[cfg(test)]
mod doctored;
mod events;
mod finishes;
mod reclaims;
mod refs;
mod runs;
mod seen;
mod usage;

pub(crate) use calm::is_bounded;
pub(crate) use seen::Seen;

use std::fmt;

use crate::evidence::Evidence;
use crate::history::Facts;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Something that was promised is not there.
    Lost,
    /// Something is there twice.
    Doubled,
    /// Something else is not as it should be.
    Wrong,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) check: &'static str,
    pub(crate) harm: Harm,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.harm, self.check, self.what)
    }
}

/// A check: what it is called, and what it finds.
type Check = (&'static str, fn(&Facts, &Evidence) -> Vec<(Harm, String)>);

/// All checks.
const CHECKS: &[Check] = &[
    ("the harness saw what it judges", seen::there_is_something),
    ("section 3 holds, during and after", runs::section_3_holds),
    ("an answered finish is in the results, once", finishes::answered_are_results),
    ("a confirmed finish is in the results, or rejected with a reason", finishes::confirmed_are_kept),
    ("a confirmed command is applied, or rejected with a reason", finishes::commands_are_kept),
    ("what cannot be applied is rejected with a reason", finishes::poison_is_kept),
    ("no run has two results", runs::no_run_ends_twice),
    ("no two runs of one import overlap", runs::no_runs_overlap),
    ("every result has its event", events::results_have_events),
    ("no run moves a ref after a later one has begun", refs::no_late_moves),
    ("event ids have no gap", events::ids_have_no_gap),
    ("every event is delivered", events::all_are_heard),
    ("a subscriber can take the events in order", events::all_can_be_taken),
    ("no healthy job is reclaimed", reclaims::healthy_runs_are_left_alone),
    ("work goes on soon", calm::work_goes_on),
    ("every job that is due is started, and every run ends", calm::all_due_has_begun),
    ("everybody is well, and ends only when it is ended", calm::all_are_well),
    ("queues, memory and connections return to normal", usage::all_is_normal),
];

/// Every promise that was not kept.
pub(crate) fn judge(facts: &Facts, evidence: &Evidence) -> Vec<Violation> {
    let found = |(name, check): &Check| {
        let name = *name;
        check(facts, evidence).into_iter().map(move |(harm, what)| Violation { check: name, harm, what })
    };
    CHECKS.iter().flat_map(found).collect()
}
