//! `person` and `team`.

use crate::common::Database;
use crate::world::{Ended, World, program};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_is_made_by_whoever_has_the_database() {
    let database = Database::new().await;
    let run =
        |words: &str| -> Ended { program(words).env("DATABASE_URL", &database.url).output().unwrap().into() };
    let listed = run("person list --json").json();
    assert_eq!(
        listed["people"][0],
        serde_json::json!({"name": "admins", "display_name": "Administrators", "is_team": true})
    );
    assert_eq!(run("person add ann --display-name Ann").text(), "The person ann was added.\n");
    assert_eq!(run("team add-member admins ann").text(), "ann is a member of admins now.\n");

    let refused = run("person add bob").wrong(1);
    assert!(refused.contains("--as NAME"), "{refused}");
    assert!(run("person list").wrong(2).contains("say who acts: --as NAME, or set CODE_IMPORTS_USER"));
    assert_eq!(run("person add bob --as ann").text(), "The person bob was added.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_have_members() {
    let world = World::new().await;
    assert_eq!(world.run("ann", "person add kde --team").text(), "The team kde was added.\n");
    assert_eq!(world.run("olga", "team members kde").text(), "kde has no members.\n");
    assert_eq!(world.run("ann", "team add-member kde olga --json").json()["outcome"], "accepted");
    let members = world.run("no-priv", "team members kde --json").json();
    assert_eq!(members, serde_json::json!({"team": "kde", "members": ["olga"]}));
    assert_eq!(
        world.run("ann", "team remove-member kde olga").text(),
        "olga is no member of kde any more.\n"
    );
    let refused = world.run("ann", "team remove-member kde olga").wrong(1);
    assert_eq!(refused, "refused: olga is no member of kde.\n");
    assert!(world.run("olga", "person list").text().contains("person  Ann Admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_change_people_and_only_people_act() {
    let world = World::new().await;
    for user in ["olga", "david"] {
        let refused = world.run(user, "person add bob").wrong(1);
        assert!(refused.contains("that needs to be a member of admins"), "{refused}");
        let refused = world.run(user, "team add-member vcs-imports bob").wrong(1);
        assert!(refused.contains("that needs to be a member of admins"), "{refused}");
    }
    let unknown = world.run("nobody", "import list").wrong(1);
    assert!(unknown.starts_with("refused: There is no person nobody. (unknown-person)\n"), "{unknown}");
    assert!(world.run("nobody", "person list").wrong(1).contains("There is no person nobody."));
    let team = world.run("vcs-imports", "import list").wrong(1);
    assert!(team.contains("a team's members act"), "{team}");
    let bad = world.run("No Priv", "import list").wrong(2);
    assert!(bad.contains("--as: person \"No Priv\" is not a name"), "{bad}");
}
