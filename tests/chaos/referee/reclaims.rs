//! Whoever is well and speaks keeps its run, whatever we suffer.

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::Harm;
use crate::evidence::{Evidence, ResultRow};
use crate::history::{At, Facts, Span};
use crate::settings::HEARTBEAT_TIMEOUT;

/// A disturbance shorter than this leaves its machine time enough to speak.
const MATTERS: TimeDelta = TimeDelta::seconds(2);

/// So long a machine may need to notice that a connection is dead, and to open another.
const NOTICES: TimeDelta = TimeDelta::seconds(20);

pub(super) fn healthy_runs_are_left_alone(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let reclaimed = evidence.results.iter().filter(|result| result.status == "RECLAIMED");
    let healthy = reclaimed.filter(|result| is_healthy(facts, result));
    let tell = |result: &ResultRow| {
        let ResultRow { run, machine, job, ended, .. } = result;
        (Harm::Wrong, format!("job {job} of {machine} was reclaimed at {ended} ({run})"))
    };
    healthy.map(tell).collect()
}

/// Whether its worker lived and spoke of it all the time that counts.
fn is_healthy(facts: &Facts, result: &ResultRow) -> bool {
    let timeout = TimeDelta::from_std(HEARTBEAT_TIMEOUT).unwrap();
    let counts = Span { from: result.ended - timeout - NOTICES, until: result.ended };
    let is_silent = match facts.runs.get(&result.run) {
        // Whoever is answered has nothing more to say; an answer that came when the run was gone excuses nothing.
        Some(story) => {
            let answered = story.finish_answer.as_ref().map(|answer| answer.at);
            [story.silent, answered].into_iter().flatten().any(|since| since < result.ended)
        }
        // A worker told us nothing of it: a real one that has not ended it, one of the library that had not begun.
        None => false,
    };
    let is_disturbed = facts.disturbed.iter().any(|(machine, span)| {
        let overlap = span.until.min(counts.until) - span.from.max(counts.from);
        result.machine.starts_with(machine.as_str()) && overlap > MATTERS
    });
    // Its start may lie in a queue for longer than its worker lives.
    let began = began(result.run).map_or(result.started, |began| began.min(result.started));
    let was_killed = facts
        .disturbed
        .iter()
        .any(|(machine, span)| *machine == result.machine && span.until > began && span.from < result.ended);
    !is_silent && !is_disturbed && !was_killed
}

/// When a worker made up a run: its id says so.
fn began(run: Uuid) -> Option<At> {
    let (seconds, nanoseconds) = run.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}
