//! Whether there is anything to judge: a check that had nothing before it holds, and says nothing.

use std::collections::BTreeMap;

use super::Harm;
use crate::evidence::Evidence;
use crate::history::{Answer, Facts};
use crate::settings::DECLARED;

/// How much of everything there was.
pub(crate) struct Seen(BTreeMap<&'static str, usize>);

impl Seen {
    pub(crate) fn of(facts: &Facts, evidence: &Evidence) -> Self {
        let claims = evidence.moved.iter().filter(|moved| moved.is_claim).count();
        let accepted = |prefix: &str| {
            let of_these = facts.runs.values().filter(|story| story.machine.starts_with(prefix));
            of_these.filter(|story| story.finish_answer.as_ref().is_some_and(Answer::is_accepted)).count()
        };
        let reported = facts.runs.values().filter(|story| story.finish_confirmed.is_some()).count();
        Self(BTreeMap::from([
            ("results", evidence.results.len()),
            ("events", evidence.events.len()),
            ("events heard", facts.heard.len()),
            ("finishes confirmed", reported),
            ("finishes of simulated workers accepted", accepted("simulated-")),
            ("finishes of real workers accepted", accepted("real-")),
            ("finishes of the library's workers accepted", accepted("library-")),
            ("faults done", facts.injected.iter().filter(|injected| injected.came_about).count()),
            ("commands confirmed", facts.commands.len()),
            ("claims of repositories", claims),
            ("moves of refs", evidence.moved.len() - claims),
            ("looks at section 3", usize::try_from(facts.looks).unwrap_or(usize::MAX)),
        ]))
    }

    /// What was counted, and how much of it.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.0
    }
}

pub(super) fn there_is_something(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let Seen(counts) = Seen::of(facts, evidence);
    let nothing = counts.into_iter().filter(|(_, count)| *count == 0).map(|(what, _)| format!("no {what}"));
    let queues = DECLARED.iter().filter(|queue| !evidence.queues.contains_key(**queue));
    let queues = queues.map(|queue| format!("no queue {queue}"));
    nothing.chain(queues).map(|what| (Harm::Wrong, what)).collect()
}
