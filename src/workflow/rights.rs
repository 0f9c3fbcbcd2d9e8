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

/// Refuses unless the person may deal with rejected messages, to look at them or more.
pub fn check_handles_rejected(person: &Person) -> Result<(), Rejection> {
    check_operates(person, "deal with rejected messages")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::fixtures::{import, member_of, person, refusal};

    /// An import of registrant `ann` and owner, the team `gnome`.
    fn theirs() -> Import {
        Import { registrant: person("ann"), owner: person("gnome"), ..import() }
    }

    // covers: CI-10 CI-65 CI-66
    #[test]
    fn each_may_what_section_6_says_and_no_more() {
        /// May see; change the source; do all else; register for the team `gnome`.
        #[track_caller]
        fn check(person: &Person, [sees, owns, operates, registers]: [bool; 4]) {
            let gnome = Person { is_team: true, ..member_of("gnome", &[]) };
            assert_eq!(may_see(person, &theirs()), sees);
            assert_eq!(check_sees(person, &theirs(), "request").is_ok(), sees);
            assert_eq!(check_owns(person, &theirs(), "change the source of").is_ok(), owns);
            assert_eq!(check_operates(person, "act").is_ok(), operates);
            assert_eq!(check_registers(person, &gnome).is_ok(), registers);
        }

        check(&member_of("no-priv", &[]), [false, false, false, false]);
        check(&member_of("no-priv", &["kde"]), [false, false, false, false]);
        check(&member_of("ann", &[]), [true, false, false, false]); // its registrant
        check(&member_of("bob", &["gnome"]), [true, true, false, true]); // its owner
        check(&member_of("david.allouche", &["vcs-imports"]), [true, true, true, true]);
        check(&member_of("root", &["admins"]), [true, true, true, true]);
    }

    #[test]
    fn anyone_may_register_for_themselves() {
        let ann = member_of("ann", &[]);
        assert_eq!(check_registers(&ann, &ann), Ok(()));
    }

    #[test]
    fn a_team_never_acts_by_itself() {
        let team = Person { is_team: true, ..member_of("vcs-imports", &["admins"]) };
        let expected = "vcs-imports may not act: that needs to be a person; a team's members act.";
        assert_eq!(refusal(check_acts(&team)), expected);
        assert_eq!(check_acts(&member_of("ann", &[])), Ok(()));
    }

    #[test]
    fn a_refusal_says_which_right_is_missing() {
        let ann = member_of("ann", &[]);
        let expected = "ann may not change the source of ~vcs-imports/gnome-terminal/import: that needs to be its \
                        owner, or a member of vcs-imports or admins.";
        assert_eq!(refusal(check_owns(&ann, &theirs(), "change the source of")), expected);
        let expected = "ann may not delete it: that needs to be a member of vcs-imports or admins.";
        assert_eq!(refusal(check_operates(&ann, "delete it")), expected);
    }
}
