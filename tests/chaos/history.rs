//! What the harness knows by itself: what was done to them, what each worker said and was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A moment by this host's clock, which is the servers' too.
pub(crate) type At = DateTime<Utc>;

pub(crate) fn now() -> At {
    SystemTime::now().into()
}

/// A time from one moment to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: At,
    pub(crate) until: At,
}

/// What was answered, and when that was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) at: At,
    /// `accepted`, or the code of the refusal.
    pub(crate) outcome: String,
}

impl Answer {
    pub(crate) fn is_accepted(&self) -> bool {
        self.outcome == "accepted"
    }
}

/// What its worker knows of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunStory {
    pub(crate) machine: String,
    pub(crate) job: i64,
    pub(crate) import: i64,
    /// When the broker confirmed its finish.
    pub(crate) finish_confirmed: Option<At>,
    /// What its worker reported.
    pub(crate) status: String,
    /// What its finish was answered: the first answer, but `accepted` if it ever was.
    pub(crate) finish_answer: Option<Answer>,
    /// Since when its worker does as if it had died, or does not know it any more.
    pub(crate) silent: Option<At>,
    /// Whether nobody knows it any more who could repeat its finish.
    pub(crate) is_forgotten: bool,
}

impl RunStory {
    /// Its finish was answered, perhaps once more.
    pub(crate) fn finish_was_answered(&mut self, at: At, outcome: &str) {
        let answer = Answer { at, outcome: outcome.to_owned() };
        let is_news =
            self.finish_answer.as_ref().is_none_or(|old| answer.is_accepted() && !old.is_accepted());
        if is_news {
            self.finish_answer = Some(answer);
        }
    }
}

/// A message that asks for nothing that could be applied, or a command of an operator.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) what: String,
    /// The queue that it lies in.
    pub(crate) queue: &'static str,
    pub(crate) confirmed: At,
    /// Whether somebody waited for an answer: then a refusal leaves no copy.
    pub(crate) is_asking: bool,
    /// The run that it names. When that has a result already, it is a repeat, whatever else it says.
    pub(crate) run: Option<Uuid>,
}

/// What the subscriber heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) id: i64,
    pub(crate) epoch: Uuid,
    pub(crate) at: At,
}

/// A message of the rejected queue.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) message_id: Option<String>,
    /// Our reason, or the broker's.
    pub(crate) reason: Option<String>,
    /// The run that it is about.
    pub(crate) run: Option<Uuid>,
}

/// What was done to them.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    pub(crate) span: Span,
    /// Whether it came to that.
    pub(crate) came_about: bool,
}

/// How long it took until a job that was dispatched afterwards was started.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) kind: &'static str,
    /// From when: the servers were back, or the leader dead.
    pub(crate) since: At,
    /// None if it did not come in any time.
    pub(crate) seconds: Option<f64>,
}

/// How all calmed down after the last fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calm {
    /// Jobs that were due then and have not begun within their bound.
    pub(crate) waiting: Vec<String>,
    /// Runs that were under way then and have not ended within theirs.
    pub(crate) running: Vec<String>,
    /// Coordinators that were not ready in the end.
    pub(crate) unready: Vec<String>,
    /// Workers to whom not all was answered.
    pub(crate) undrained: Vec<String>,
}

/// Everything, while it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) runs: BTreeMap<Uuid, RunStory>,
    pub(crate) commands: BTreeMap<String, Sent>,
    pub(crate) poison: BTreeMap<String, Sent>,
    /// Commands that were answered, or whose copies were found.
    pub(crate) answered: BTreeSet<String>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) rejected: Vec<Rejected>,
    /// When the subscriber's binding may have been missing.
    pub(crate) unbound: Vec<Span>,
    pub(crate) injected: Vec<Injected>,
    pub(crate) recoveries: Vec<Recovery>,
    /// When a queue was purged or deleted, by its name without the prefix.
    pub(crate) destroyed: Vec<(&'static str, At)>,
    /// When a machine could not speak, or was not alive, for which nobody of ours is to blame.
    pub(crate) disturbed: Vec<(String, Span)>,
    pub(crate) behaviours: BTreeMap<&'static str, usize>,
    pub(crate) messages: u64,
    /// Where the database was seen not to be as section 3 says.
    pub(crate) broken: BTreeSet<String>,
    /// How coordinators ended that nobody had ended.
    pub(crate) ended: Vec<String>,
    pub(crate) calm: Calm,
    /// How often the invariants were looked at.
    pub(crate) looks: u64,
}

/// All of them write it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Facts>>);

impl History {
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    /// Changes what is known of a run.
    pub(crate) fn run(&self, run: Uuid, change: impl FnOnce(&mut RunStory)) {
        change(self.facts().runs.entry(run).or_default());
    }

    /// Something misbehaved, once more.
    pub(crate) fn behaved(&self, how: &'static str) {
        *self.facts().behaviours.entry(how).or_default() += 1;
    }

    pub(crate) fn published(&self) {
        self.facts().messages += 1;
    }

    pub(crate) fn destroyed(&self, queue: &'static str) {
        self.facts().destroyed.push((queue, now()));
    }

    pub(crate) fn disturbed(&self, machine: &str, from: At) {
        self.facts().disturbed.push((machine.to_owned(), Span { from, until: now() }));
    }
}
