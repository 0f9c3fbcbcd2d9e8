//! Acts on many imports.

use serde_json::json;

use crate::world::World;

/// Twelve imports on a host that is down, which gave up, and one elsewhere.
async fn world() -> World {
    let world = World::new().await;
    world.many("gnome", "down.example.org", "FAILING", 12).await;
    world.run("david", "import register ~david/p/up --rcs git --url https://up.example.org/a").text();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_selected_is_shown_and_must_be_confirmed() {
    let world = world().await;
    let wrong = world.run("david", "import try-again --host down.example.org").wrong(2);
    assert!(wrong.starts_with("  ~gnome/m/i1\n"), "{wrong}");
    assert!(wrong.contains("… and 2 more; --dry-run --output name prints all"), "{wrong}");
    assert!(wrong.contains("Try again 12 imports? Nobody is there to confirm it: say --yes"), "{wrong}");

    let dry = world.run("david", "import try-again --host down.example.org --dry-run").text();
    assert!(dry.starts_with("12 imports would be told to try again.\n  ~gnome/m/i1\n"), "{dry}");
    let dry = world.run("david", "import try-again --host down.example.org --dry-run --json").json();
    assert_eq!((&dry["dry_run"], dry["imports"].as_array().unwrap().len()), (&true.into(), 12));
    let failing = world.run("david", "import list --status FAILING --json").json();
    assert_eq!(failing["imports"].as_array().unwrap().len(), 12);

    let done = world.run("david", "import try-again --status FAILING --host down.example.org --yes").text();
    assert_eq!(done, "12 imports were told to try again.\n");
    // Each has its job and its events, as if it had been named.
    let jobs = world.run("david", "job list --requested --json").json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 12);
    let events = world.run("david", "event list --type request --person david --json").json();
    assert_eq!(events["events"].as_array().unwrap().len(), 12);
    // So it can be repeated: nothing is left to do.
    let again = world.run("david", "import try-again --host down.example.org --yes").text();
    assert_eq!(again, "0 imports were told to try again.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_selects_everything_must_say_so() {
    let world = world().await;
    for verb in ["request", "try-again", "approve", "suspend", "invalidate", "delete"] {
        let wrong = world.run("david", &format!("import {verb} --yes")).wrong(2);
        assert!(wrong.contains("or --all"), "{verb}: {wrong}");
    }
    let both = world.run("david", "import suspend ~david/p/up --host a.org --yes").wrong(2);
    assert!(both.contains("not both"), "{both}");
    let done = world.run("david", "import suspend --all --yes --json").json();
    let expected = json!({"chosen": 13, "changed": 13, "unchanged": 0, "refused": [], "more": false});
    assert_eq!(done, expected);
    let again = world.run("david", "import suspend --all --yes").text();
    assert_eq!(again, "0 imports were suspended.\n");
    // A run that takes some leaves the others to the next one.
    for (changed, more) in [(10, true), (3, false), (0, false)] {
        let done = world.run("david", "import invalidate --limit 10 --all --yes --json").json();
        assert_eq!((&done["changed"], &done["more"]), (&json!(changed), &json!(more)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_by_name_and_reason() {
    let world = world().await;
    let ended = world.run("olga", "import suspend --host down.example.org --limit 2 --yes");
    assert_eq!((ended.code, ended.stdout.lines().next()), (1, Some("0 imports were suspended, 2 refused.")));
    let refused = "refused: ~gnome/m/i1: olga may not change ~gnome/m/i1: that needs to be a member of \
                   vcs-imports or admins. (not-allowed)\n";
    assert!(ended.stderr.starts_with(refused), "{ended:?}");

    // The right to see is the right to try again; and nobody selects what is hidden from them.
    let ended = world.run("olga", "import try-again --all --yes");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "12 imports were told to try again.\n"));
    let none = world.run("no-priv", "import try-again --all --yes").text();
    assert_eq!(none, "0 imports were told to try again.\n");

    let ended = world.run("david", "import request ~gnome/m/i1 ~gnome/m/i99 ~david/p/up --json");
    let done: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &done["changed"]), (1, &2.into()));
    let reason = "There is no code import ~gnome/m/i99.";
    let expected = json!([{"import": "~gnome/m/i99", "code": "unknown-import", "reason": reason}]);
    assert_eq!(done["refused"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_are_named_are_changed_and_deleted() {
    let world = world().await;
    let done = world.run("david", "import update ~gnome/m/i1 ~gnome/m/i2 --interval 2h --owner david");
    assert_eq!(done.text(), "2 imports were changed.\n");
    let list = |words: &str| world.run("david", &format!("import list -o name {words}")).text();
    assert_eq!(list("--owner david"), "~gnome/m/i1\n~gnome/m/i2\n~david/p/up\n");
    let wrong = world.run("david", "import update ~gnome/m/i1 ~gnome/m/i2 --url https://a.org/b").wrong(2);
    assert!(wrong.contains("a source is imported once"), "{wrong}");
    assert!(world.run("david", "import update ~gnome/m/i1").wrong(2).contains("--interval"));

    let wrong = world.run("david", "import delete ~gnome/m/i1 ~gnome/m/i2").wrong(2);
    assert!(wrong.contains("Delete 2 imports?"), "{wrong}");
    let done = world.run("david", "import delete ~gnome/m/i1 ~gnome/m/i2 --yes").text();
    assert_eq!(done, "2 imports were deleted.\n");
    assert!(world.run("david", "import request --all --wait --yes").wrong(2).contains("one import"));
    for (verb, told) in [("suspend", "suspended"), ("invalidate", "set as invalid"), ("approve", "approved")]
    {
        let done = world.run("david", &format!("import {verb} ~gnome/m/i3")).text();
        assert_eq!(done, format!("The code import has been {told}.\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_batch_is_done_whole() {
    let world = world().await;
    world.many("david", "many.org", "NEW", 450).await;
    let done = world.run("david", "import approve --host many.org --yes").text();
    assert_eq!(done, "450 imports were approved.\n");
    let client = world.database.client().await;
    let count = "SELECT count(*) FROM jobs JOIN imports ON imports.id = import_id WHERE owner = 'david'";
    assert_eq!(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 451);
}
