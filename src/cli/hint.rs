//! What to type next, said below what went wrong.

use std::fmt;

use super::session::Session;
use crate::domain::machine::MachineStateName;
use crate::domain::{Person, ReviewStatus, UniqueName};
use crate::workflow::{Act, KillTarget, Rejection};

/// Of so many names the similar ones are looked for.
const MAX_LOOKED: i64 = 200;

/// So many similar names are offered.
const MAX_OFFERED: usize = 3;

/// How alike two names must be, from 0 to 1.
const ALIKE: f64 = 0.7;

/// What to type next.
#[derive(Debug)]
pub(super) struct Hint(String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The error, and below it what to type next.
pub(super) fn below(error: anyhow::Error, hint: Option<String>) -> anyhow::Error {
    match hint {
        Some(hint) => error.context(Hint(hint)),
        None => error,
    }
}

/// What to type about an import. A shell takes a bare `~` for a person's home.
pub(super) fn typable(verb: &str, name: &UniqueName) -> String {
    format!("code-imports import {verb} '{name}'")
}

/// What to type after an act was refused.
pub(super) async fn of(session: &mut Session, rejection: &Rejection, act: &Act) -> Option<String> {
    let viewer = session.viewer_if_known().await;
    match (rejection, &viewer) {
        (Rejection::UnknownPerson(name), _) => similar_person(session, name.as_str()).await,
        (Rejection::UnknownImport(name), Some(viewer)) => similar_import(session, viewer, name).await,
        (Rejection::UnknownMachine(name), Some(viewer)) => {
            similar_machine(session, viewer, name.as_str()).await
        }
        _ => typed(rejection, act),
    }
}

/// What to type where no name is wrong.
fn typed(rejection: &Rejection, act: &Act) -> Option<String> {
    let name = import_of(act);
    let next = |verb: &str| name.map(|name| typable(verb, name));
    let hint = match rejection {
        Rejection::NotRequestable(ReviewStatus::Failing) => {
            format!("Once it is mended, type: {}", next("try-again")?)
        }
        Rejection::NotFailing(ReviewStatus::Reviewed) => {
            format!("It runs by itself; to let it run now, type: {}", next("request")?)
        }
        Rejection::NotRequestable(_) | Rejection::NotFailing(_) => {
            format!("To let it run, an operator types: {}", next("approve")?)
        }
        Rejection::ImportIsRunning => format!("To watch it, type: {}", next("show")?),
        Rejection::NotRunning { name, .. } => {
            format!("There is nothing to stop. To keep it from running, type: {}", typable("suspend", name))
        }
        Rejection::NoRun(name) => format!("There is nothing to stop. Type: {}", typable("show", name)),
        Rejection::UnknownJob(_) => "Jobs that run or are due: code-imports job list".to_owned(),
        Rejection::NameTaken(name) | Rejection::SourceTaken { by: Some(name) } => {
            format!("To look at it, type: {}", typable("show", name))
        }
        Rejection::WrongMachineState { machine, state: MachineStateName::Offline } => {
            format!("Only a machine that is ONLINE can quiesce. Type: code-imports machine show {machine}")
        }
        Rejection::WrongMachineState { machine, .. } => {
            format!("To look at it, type: code-imports machine show {machine}")
        }
        Rejection::NotAllowed { .. } => {
            "Who has that right: code-imports team members vcs-imports; team members admins".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

/// The import that an act is about.
fn import_of(act: &Act) -> Option<&UniqueName> {
    match act {
        Act::Update { import, .. }
        | Act::Request { import }
        | Act::TryAgain { import }
        | Act::Delete { import }
        | Act::Kill(KillTarget::Import(import)) => Some(import),
        _ => None,
    }
}

/// Imports of similar names that the viewer may see. They are looked for among the neighbours: the same project,
/// else the same owner, else the same first letters, so that a catalogue of any size costs the same.
pub(super) async fn similar_import(session: &mut Session, viewer: &Person, name: &str) -> Option<String> {
    let until = |end: Option<usize>| end.map(|end| &name[..=end]);
    let project = until(name.rfind('/'));
    let owner = until(name.find('/'));
    let first = name.get(..name.len().min(3));
    for begin in [project, owner, first].into_iter().flatten() {
        let names = session.store.import_names_from(viewer, begin, MAX_LOOKED).await.ok()?;
        let names = names.iter().map(ToString::to_string).collect();
        if let Some(similar) = similar(name, names) {
            return Some(similar);
        }
    }
    Some("To see which there are, type: code-imports import list".to_owned())
}

/// People and teams of similar names.
pub(super) async fn similar_person(session: &mut Session, name: &str) -> Option<String> {
    let names = session.store.people_names_from(first_letter(name), MAX_LOOKED).await.ok()?;
    let otherwise = "To see who is known, type: code-imports person list; an admin adds people: person add";
    Some(similar(name, names).unwrap_or_else(|| otherwise.to_owned()))
}

/// Machines of similar names.
pub(super) async fn similar_machine(session: &mut Session, viewer: &Person, name: &str) -> Option<String> {
    let names = session.store.machine_names_from(viewer, first_letter(name), MAX_LOOKED).await.ok()?;
    let otherwise = "To see which there are, type: code-imports machine list";
    Some(similar(name, names).unwrap_or_else(|| otherwise.to_owned()))
}

fn first_letter(name: &str) -> &str {
    name.get(..1).unwrap_or_default()
}

/// `Did you mean …?`, the most alike first.
fn similar(name: &str, names: Vec<String>) -> Option<String> {
    let alike = |other: &str| strsim::normalized_damerau_levenshtein(name, other);
    let mut alike: Vec<(f64, String)> = names.into_iter().map(|other| (alike(&other), other)).collect();
    alike.retain(|(alike, _)| *alike >= ALIKE);
    alike.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let offered: Vec<String> = alike.into_iter().take(MAX_OFFERED).map(|(_, name)| name).collect();
    (!offered.is_empty()).then(|| format!("Did you mean {}?", offered.join(", or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_are_most_alike_are_offered_first() {
        #[track_caller]
        fn check(name: &str, expected: Option<&str>) {
            let names = ["bazaar-importer", "bazaar-importer2", "crab"].map(str::to_owned).to_vec();
            assert_eq!(similar(name, names).as_deref(), expected);
        }
        check("bazar-importer", Some("Did you mean bazaar-importer, or bazaar-importer2?"));
        check("carb", Some("Did you mean crab?"));
        check("elsewhere", None);
    }
}
