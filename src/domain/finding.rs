//! What a look at the system's health finds.

/// One thing that was looked at, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Examination {
    /// What is examined, in a word.
    pub check: &'static str,
    /// What was looked at, and how much of it where that was not all.
    pub looked_at: String,
    /// What was found; nothing is the only good answer.
    pub findings: Vec<Finding>,
}

/// Something that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub gravity: Gravity,
    /// What is the matter.
    pub what: String,
    /// What to type.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gravity {
    /// Something is broken, or will be.
    Wrong,
    /// It may be meant so.
    Note,
}

impl Examination {
    /// A look at something, which has found nothing yet.
    pub fn of(check: &'static str, looked_at: impl Into<String>) -> Self {
        Self { check, looked_at: looked_at.into(), findings: Vec::new() }
    }

    /// Notes something that is broken, and what mends it.
    pub fn wrong(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding { gravity: Gravity::Wrong, what: what.into(), remedy: remedy.into() });
    }

    /// Notes something that may be meant so, and what to do if not.
    pub fn note(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding { gravity: Gravity::Note, what: what.into(), remedy: remedy.into() });
    }

    /// Whether something is broken.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.gravity == Gravity::Wrong)
    }
}
