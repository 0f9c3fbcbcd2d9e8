//! What was confirmed is applied, or kept with its reason.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use uuid::Uuid;

use super::Harm;
use crate::evidence::{Evidence, ResultRow};
use crate::history::{Answer, At, Facts, RunStory, Sent};

/// Imports whose history went with them.
fn deleted(evidence: &Evidence) -> BTreeSet<i64> {
    let deletions = evidence.events.iter().filter(|event| event.kind == "DELETE");
    deletions.filter_map(|event| event.import).collect()
}

fn by_run(evidence: &Evidence) -> BTreeMap<Uuid, Vec<&ResultRow>> {
    let mut results: BTreeMap<Uuid, Vec<&ResultRow>> = BTreeMap::new();
    for result in &evidence.results {
        results.entry(result.run).or_default().push(result);
    }
    results
}

/// A message that was not applied for so long was not in its queue any more.
const LINGERS: TimeDelta = TimeDelta::seconds(90);

/// Whether the harness itself destroyed a queue while this may have been in it.
fn was_destroyed(facts: &Facts, queue: &str, since: At) -> bool {
    let margin = TimeDelta::seconds(1);
    facts
        .destroyed
        .iter()
        .any(|(destroyed, at)| *destroyed == queue && *at + margin >= since && *at - since < LINGERS)
}

/// A finish that was answered `accepted` is in the results exactly once, with what was reported.
pub(super) fn answered_are_results(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let (deleted, results) = (deleted(evidence), by_run(evidence));
    let is_accepted = |story: &RunStory| story.finish_answer.as_ref().is_some_and(Answer::is_accepted);
    let answered = facts.runs.iter().filter(|(_, story)| is_accepted(story));
    let wrong = answered.filter(|(_, story)| !deleted.contains(&story.import)).filter_map(|(run, story)| {
        let found = results.get(run).map_or(&[][..], Vec::as_slice);
        let reported = found.iter().filter(|result| result.status == story.status && result.job == story.job);
        let what = format!("{} of job {} on {} was answered", story.status, story.job, story.machine);
        match reported.count() {
            0 => Some((Harm::Lost, format!("{what}, and has no result ({run})"))),
            1 => None,
            count => Some((Harm::Doubled, format!("{what}, and has {count} results ({run})"))),
        }
    });
    wrong.collect()
}

/// A finish that was confirmed is in the results or in the rejected queue, unless its queue was destroyed and its
/// worker died.
pub(super) fn confirmed_are_kept(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let (deleted, results) = (deleted(evidence), by_run(evidence));
    let rejected: BTreeSet<Uuid> =
        facts.rejected.iter().filter(|rejected| rejected.reason.is_some()).filter_map(|it| it.run).collect();
    let lost = facts.runs.iter().filter_map(|(run, story)| {
        let confirmed = story.finish_confirmed?;
        let is_result =
            results.get(run).is_some_and(|found| found.iter().any(|result| result.status == story.status));
        // Its worker repeats it until it is refused, unless it died; a copy of what was refused goes when that queue is
        // purged.
        let (is_refused, is_dead) = (story.finish_answer.is_some(), story.is_forgotten);
        let is_excused = (was_destroyed(facts, "rejected", confirmed) && (is_refused || is_dead))
            || (was_destroyed(facts, "finish", confirmed) && is_dead);
        let is_kept = is_result || rejected.contains(run) || deleted.contains(&story.import) || is_excused;
        (!is_kept).then(|| {
            let what = format!("{} of job {} on {} ({run})", story.status, story.job, story.machine);
            let answer = story.finish_answer.as_ref().map_or("nothing", |answer| &answer.outcome);
            (Harm::Lost, format!("{what}, confirmed at {confirmed}, answered {answer}"))
        })
    });
    lost.collect()
}

/// A command that was confirmed is applied, answered, or rejected.
pub(super) fn commands_are_kept(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let is_settled = |id: &String, sent: &Sent| {
        evidence.applied_commands.contains(id) || facts.answered.contains(id) || sent.is_asking
    };
    kept(facts, &facts.commands, is_settled)
}

/// What cannot be applied is rejected. Another machine's word about a run that has ended is a repeat; a result may be gone
/// with its import.
pub(super) fn poison_is_kept(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let (deleted, results) = (deleted(evidence), by_run(evidence));
    let is_gone = |run: Uuid| facts.runs.get(&run).is_some_and(|story| deleted.contains(&story.import));
    kept(facts, &facts.poison, |_, sent| {
        sent.run.is_some_and(|run| results.contains_key(&run) || is_gone(run))
    })
}

fn kept(
    facts: &Facts,
    sent: &BTreeMap<String, Sent>,
    is_settled: impl Fn(&String, &Sent) -> bool,
) -> Vec<(Harm, String)> {
    let rejected: BTreeSet<&str> = facts
        .rejected
        .iter()
        .filter(|rejected| rejected.reason.is_some())
        .filter_map(|rejected| rejected.message_id.as_deref())
        .collect();
    let lost = sent.iter().filter(|(id, sent)| {
        let is_destroyed = was_destroyed(facts, sent.queue, sent.confirmed)
            || was_destroyed(facts, "rejected", sent.confirmed);
        !is_settled(id, sent) && !rejected.contains(id.as_str()) && !is_destroyed
    });
    lost.map(|(id, sent)| (Harm::Lost, format!("{} ({id}), confirmed at {}", sent.what, sent.confirmed)))
        .collect()
}
