//! People and teams, as far as rights depend on them.

use std::collections::BTreeSet;

use super::PersonName;

/// The team whose members operate the fleet.
pub const OPERATORS: &str = "vcs-imports";

/// The team whose members administer the installation.
pub const ADMINS: &str = "admins";

/// A person or a team, and every team it belongs to, directly or through another team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What it is called, everywhere.
    pub name: PersonName,
    /// A team has members and never acts by itself.
    pub is_team: bool,
    /// The teams it belongs to.
    pub teams: BTreeSet<PersonName>,
}

impl Person {
    /// Whether this person is `owner`, or a member of the team `owner`.
    #[must_use]
    pub fn is_in(&self, owner: &PersonName) -> bool {
        self.name == *owner || self.teams.contains(owner)
    }

    /// Whether this person operates the fleet: a member of `vcs-imports` or `admins` (section 6).
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.is_admin() || self.teams.iter().any(|team| team.as_str() == OPERATORS)
    }

    /// Whether this person is a member of `admins`.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.teams.iter().any(|team| team.as_str() == ADMINS)
    }
}
