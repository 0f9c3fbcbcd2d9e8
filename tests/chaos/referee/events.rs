//! The audit trail: whole, in order, and heard.

use std::collections::{BTreeMap, BTreeSet};

use super::Harm;
use crate::evidence::Evidence;
use crate::history::Facts;

pub(super) fn ids_have_no_gap(_: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let mut wrong = Vec::new();
    for pair in evidence.events.windows(2) {
        if pair[0].id + 1 != pair[1].id {
            wrong.push((Harm::Lost, format!("after event {} comes {}", pair[0].id, pair[1].id)));
        }
        if pair[0].date > pair[1].date && pair[0].import == pair[1].import {
            wrong.push((Harm::Wrong, format!("event {} is older than {}", pair[1].id, pair[0].id)));
        }
    }
    let last = evidence.events.last().map_or(0, |event| event.id);
    if last + 1 != evidence.next_event {
        wrong.push((Harm::Lost, format!("the last event is {last}, the next id {}", evidence.next_event)));
    }
    wrong
}

/// Each event was heard, but for those that were published while the subscriber's binding was deleted.
pub(super) fn all_are_heard(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let heard: BTreeSet<_> = facts.heard.iter().map(|heard| (heard.epoch, heard.id)).collect();
    // Of what came while it was not bound: from the last one heard before to the first new one heard after. (Older ones
    // may come again first, those that were not acknowledged.)
    let excused: Vec<(i64, i64)> = facts
        .unbound
        .iter()
        .map(|span| {
            let before = facts.heard.iter().filter(|heard| heard.at < span.from).map(|heard| heard.id).max();
            let before = before.unwrap_or(0);
            let after = facts.heard.iter().filter(|heard| heard.at > span.until).map(|heard| heard.id);
            (before, after.filter(|id| *id > before).min().unwrap_or(i64::MAX))
        })
        .collect();
    let is_excused = |id: i64| excused.iter().any(|(before, after)| (*before..=*after).contains(&id));
    let missing = evidence.events.iter().filter(|event| !heard.contains(&(event.epoch, event.id)));
    let missing: Vec<i64> = missing.map(|event| event.id).filter(|id| !is_excused(*id)).collect();
    missing.into_iter().map(|id| (Harm::Lost, format!("event {id} was never heard"))).collect()
}

/// Whoever takes only the next one, and waits when one is missing for it and all after it, has all in the end. What came
/// while it was not bound it cannot wait for.
pub(super) fn all_can_be_taken(facts: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let last = evidence.events.last().map_or(0, |event| event.id);
    let mut taken = 0;
    let mut unbound = facts.unbound.iter().peekable();
    for heard in &facts.heard {
        if unbound.next_if(|span| span.until < heard.at).is_some() {
            taken = taken.max(heard.id - 1);
        }
        if heard.id == taken + 1 {
            taken = heard.id;
        }
    }
    // One that was never heard is another check's.
    let is_heard = facts.heard.iter().any(|heard| heard.id == taken + 1);
    let is_wrong = taken < last && is_heard;
    is_wrong
        .then(|| (Harm::Lost, format!("after event {taken} the next ones did not come again")))
        .into_iter()
        .collect()
}

/// As many FINISH, RECLAIM and KILL events as results that say so, import by import.
pub(super) fn results_have_events(_: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let mut balance: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    let deleted: BTreeSet<Option<i64>> =
        evidence.events.iter().filter(|event| event.kind == "DELETE").map(|event| event.import).collect();
    for event in evidence.events.iter().filter(|event| !deleted.contains(&event.import)) {
        if matches!(event.kind.as_str(), "FINISH" | "RECLAIM" | "KILL") {
            *balance.entry((event.import.unwrap_or(0), &event.kind)).or_default() += 1;
        }
    }
    for result in evidence.results.iter().filter(|result| !deleted.contains(&Some(result.import))) {
        let kind = match result.status.as_str() {
            "RECLAIMED" => "RECLAIM",
            "KILLED" => "KILL",
            _ => "FINISH",
        };
        *balance.entry((result.import, kind)).or_default() -= 1;
    }
    let wrong = balance.into_iter().filter(|(_, count)| *count != 0);
    let harm = |count: i64| if count > 0 { Harm::Lost } else { Harm::Wrong };
    let tell = |(import, kind), count| format!("import {import}: {count} more events {kind} than results");
    wrong.map(|(of, count)| (harm(count), tell(of, count))).collect()
}
