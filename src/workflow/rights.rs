//! Who may do what (section 6). Permissions exist here and nowhere else.

use super::Rejection;
use crate::domain::{Import, Person};

/// Whether a person may see an import: imports are hidden from everybody but operators, admins, and
/// its own registrant and owner.
pub fn may_see(person: &Person, import: &Import) -> bool {
    person.is_operator() || person.is_in(&import.registrant) || person.is_in(&import.owner)
}

/// Refuses unless the person may see the import.
pub(super) fn check_sees(person: &Person, import: &Import, act: &str) -> Result<(), Rejection> {
    let right = "to be its registrant or owner, or a member of vcs-imports or admins";
    check(may_see(person, import), person, &format!("{act} {}", import.unique_name), right)
}

/// Refuses unless the person owns the import or operates the fleet.
pub(super) fn check_owns(person: &Person, import: &Import, act: &str) -> Result<(), Rejection> {
    let owns = person.is_operator() || person.is_in(&import.owner);
    let right = "to be its owner, or a member of vcs-imports or admins";
    check(owns, person, &format!("{act} {}", import.unique_name), right)
}

/// Refuses unless the person operates the fleet.
pub fn check_operates(person: &Person, act: &str) -> Result<(), Rejection> {
    check(person.is_operator(), person, act, "to be a member of vcs-imports or admins")
}

/// Refuses unless the person may register an import for this owner.
pub(super) fn check_registers(person: &Person, owner: &Person) -> Result<(), Rejection> {
    let may = person.is_operator() || person.is_in(&owner.name);
    let act = format!("register an import for {}", owner.name);
    check(may, person, &act, "to be that person or a member of that team, or of vcs-imports or admins")
}

/// Refuses a team: it has members, who act.
pub fn check_acts(person: &Person) -> Result<(), Rejection> {
    check(!person.is_team, person, "act", "to be a person; a team's members act")
}

fn check(may: bool, person: &Person, act: &str, right: &'static str) -> Result<(), Rejection> {
    if may {
        Ok(())
    } else {
        Err(Rejection::NotAllowed { user: person.name.clone(), act: act.to_owned(), right })
    }
}
