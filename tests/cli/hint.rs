//! What is said to type next.

use crate::world::{MACHINE, NAME, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_nearly_right_is_offered() {
    let mut world = World::new().await;
    world.register();
    world.speak().await;
    let wrong = |user: &str, words: &str| world.run(user, words).wrong(1);
    let last = |text: String| text.lines().last().unwrap().to_owned();
    let meant = format!("Did you mean {NAME}?");
    for words in [
        "import show ~gnome/gnome-terminal/imprt",
        "import request ~gnome/gnome-termnal/import",
        "import try-again ~gnmoe/gnome-terminal/import",
        "event list --import ~gnome/gnome-terminal/import2",
    ] {
        assert_eq!(last(wrong("david", words)), meant, "{words}");
    }
    for words in ["machine show bazar-importer", "machine quiesce bazaar-import"] {
        assert_eq!(last(wrong("david", words)), format!("Did you mean {MACHINE}?"), "{words}");
    }
    assert_eq!(last(wrong("davdi", "import list")), "Did you mean david?");
    let words = format!("import update {NAME} --owner gnom");
    assert_eq!(last(wrong("david", &words)), "Did you mean gnome?");
    let bare = world.run("david", "job kill gnome/gnome-terminal/import").wrong(2);
    assert!(bare.contains(&format!("Did you mean '{NAME}'?")), "{bare}");
    // Nobody is told a name that is hidden from them.
    let hidden = wrong("no-priv", "import show ~gnome/gnome-terminal/imprt");
    assert!(!hidden.contains(NAME) && hidden.ends_with("code-imports import list\n"), "{hidden}");
    assert!(!wrong("olga", "machine show bazar-importer").contains(MACHINE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_type_instead() {
    let mut world = World::new().await;
    let job = world.register();
    let wrong = |world: &World, user: &str, words: &str| {
        let text = world.run(user, words).wrong(1);
        text.lines().nth(1).unwrap_or_default().to_owned()
    };
    let taken = format!("import register {NAME} --rcs git --url https://a.org/c");
    let show = format!("To look at it, type: code-imports import show '{NAME}'");
    assert_eq!(wrong(&world, "david", &taken), show);
    let taken = "import register ~a/b/c --rcs git --url https://a.org/b";
    assert_eq!(wrong(&world, "david", taken), show);
    let rights = "Who has that right: code-imports team members vcs-imports; team members admins";
    assert_eq!(wrong(&world, "olga", &format!("import suspend {NAME}")), rights);

    world.start_job(job).await;
    let request = format!("import request {NAME}");
    let watch = format!("To watch it, type: code-imports import show '{NAME}'");
    assert_eq!(wrong(&world, "david", &request), watch);
    world.run("david", &format!("job kill {job}")).text();
    world.run("david", &format!("import update {NAME} --status failing")).text();
    let again = format!("Once it is mended, type: code-imports import try-again '{NAME}'");
    assert_eq!(wrong(&world, "david", &request), again);
    let no_run = format!("There is nothing to stop. Type: code-imports import show '{NAME}'");
    assert_eq!(wrong(&world, "david", &format!("job kill {NAME}")), no_run);
}
