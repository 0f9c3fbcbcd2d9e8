//! Work goes on soon, and in the end all is as it was.

use super::Harm;
use crate::evidence::Evidence;
use crate::history::{Facts, Recovery};
use crate::settings::RECOVERY;

/// Servers that are back, and leaders that are gone: work must go on soon. Only the network has times of its own: a
/// connection that is dead and says so to nobody is found by its heartbeats.
pub(crate) fn is_bounded(kind: &str) -> bool {
    !kind.starts_with("network")
}

pub(super) fn work_goes_on(facts: &Facts, _: &Evidence) -> Vec<(Harm, String)> {
    let late = facts.recoveries.iter().filter(|recovery| match recovery.seconds {
        Some(seconds) => is_bounded(recovery.kind) && seconds > RECOVERY.as_secs_f64(),
        // Whatever was done, it goes on one day.
        None => true,
    });
    let tell = |Recovery { kind, since, seconds }: &Recovery| {
        let how = seconds.map_or("not at all".to_owned(), |seconds| format!("after {seconds:.1} s"));
        (Harm::Wrong, format!("{kind}, back at {since}: {how}"))
    };
    late.map(tell).collect()
}

pub(super) fn all_due_has_begun(facts: &Facts, _: &Evidence) -> Vec<(Harm, String)> {
    let waiting = facts.calm.waiting.iter().map(|job| format!("not begun: {job}"));
    let running = facts.calm.running.iter().map(|job| format!("not ended: {job}"));
    waiting.chain(running).map(|what| (Harm::Wrong, what)).collect()
}

pub(super) fn all_are_well(facts: &Facts, _: &Evidence) -> Vec<(Harm, String)> {
    let all = facts.calm.unready.iter().chain(&facts.calm.undrained).chain(&facts.ended);
    all.map(|who| (Harm::Wrong, who.clone())).collect()
}
