//! Whether every role is well, and if not, why not.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a role does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Its session is being set up.
    Starting,
    /// It does its work.
    Working,
    /// Another process leads; this one is ready to.
    Standby,
    /// Its session ended in an error; it tries again.
    Failed(String),
}

/// How the roles of this process do.
#[derive(Debug, Default)]
pub(super) struct Health {
    roles: Mutex<BTreeMap<&'static str, State>>,
}

impl Health {
    /// A session begins. A failure stays to be seen until it works again.
    pub(super) fn starting(&self, role: &'static str) {
        self.roles().entry(role).or_insert(State::Starting);
    }

    /// The role does its work.
    pub(super) fn working(&self, role: &'static str) {
        let before = self.roles().insert(role, State::Working);
        if let Some(State::Failed(reason)) = before {
            tracing::info!(role, reason, "{role} works again");
        }
    }

    /// Another process leads.
    pub(super) fn standby(&self, role: &'static str) {
        let before = self.roles().insert(role, State::Standby);
        if let Some(State::Failed(reason)) = before {
            tracing::info!(role, reason, "{role} is ready again");
        }
    }

    /// The session ended in an error. True if that is news: one line is logged for an incident.
    pub(super) fn failed(&self, role: &'static str, reason: &str) -> bool {
        let failed = State::Failed(reason.to_owned());
        let before = self.roles().insert(role, failed);
        !matches!(before, Some(State::Failed(_)))
    }

    /// The role is done.
    pub(super) fn forget(&self, role: &'static str) {
        self.roles().remove(role);
    }

    /// What is wrong, by role; nothing is the only good answer.
    pub(super) fn troubles(&self) -> BTreeMap<&'static str, String> {
        let trouble = |state: &State| match state {
            State::Starting => Some("starting".to_owned()),
            State::Failed(reason) => Some(reason.clone()),
            State::Working | State::Standby => None,
        };
        self.roles().iter().filter_map(|(role, state)| Some((*role, trouble(state)?))).collect()
    }

    /// How each role does, in a word.
    pub(super) fn words(&self) -> BTreeMap<&'static str, &'static str> {
        let word = |state: &State| match state {
            State::Starting => "starting",
            State::Working => "working",
            State::Standby => "standby",
            State::Failed(_) => "failed",
        };
        self.roles().iter().map(|(role, state)| (*role, word(state))).collect()
    }

    fn roles(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_news_once() {
        let health = Health::default();
        health.starting("relay");
        assert_eq!(health.troubles()["relay"], "starting");
        assert!(health.failed("relay", "no broker"));
        health.starting("relay");
        assert!(!health.failed("relay", "still no broker"));
        assert_eq!(health.troubles()["relay"], "still no broker");
        health.working("relay");
        assert!(health.troubles().is_empty());
        assert!(health.failed("relay", "no broker"));
    }
}
