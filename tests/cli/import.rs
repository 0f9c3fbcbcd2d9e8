//! `import`.

use code_imports::domain::Status;

use crate::world::{MACHINE, NAME, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_registered_and_shown() {
    let mut world = World::new().await;
    let job = world.register();
    world.start_job(job).await;
    world.beat(job, "one\ntwo of https://u:pw@a.org/b").await;

    let shown = world.run("david", &format!("import show {NAME} --json")).json();
    assert_eq!(shown["unique_name"], NAME);
    assert_eq!((&shown["rcs_type"], &shown["url"]), (&"GIT".into(), &"https://***@a.org/b".into()));
    assert_eq!((&shown["owner"], &shown["registrant"]), (&"gnome".into(), &"david".into()));
    assert_eq!(
        (&shown["update_interval_s"], &shown["effective_update_interval_s"]),
        (&().into(), &21_600.into())
    );
    assert_eq!((&shown["job"]["state"], &shown["job"]["machine"]), (&"RUNNING".into(), &MACHINE.into()));
    assert_eq!(shown["job"]["log_tail"], "one\ntwo of https://***@a.org/b");
    assert_eq!(shown["results"], serde_json::json!([]));

    let text = world.run("david", &format!("import show {NAME}")).text();
    assert!(text.contains("The next import is running on bazaar-importer, started "), "{text}");
    assert!(text.contains("  two of https://***@a.org/b\n"), "{text}");
    assert!(text.contains("Interval:      6h (the default)"), "{text}");
    assert!(text.contains("It has never run."), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_shown_newest_first_and_the_next_job_in_words() {
    let mut world = World::new().await;
    let first = world.register();
    world.start_job(first).await;
    world.finish(first, Status::SuccessPartial, "the first half").await;
    let text = world.run("david", &format!("import show {NAME}")).text();
    assert!(text.contains("The next import runs as soon as possible."), "{text}");

    world.run("olga", &format!("import request {NAME}")).text();
    let text = world.run("david", &format!("import show {NAME}")).text();
    assert!(text.contains("runs as soon as possible (requested by olga)."), "{text}");

    let shown = world.run("david", &format!("import show {NAME} --json")).json();
    let second = code_imports::domain::JobId(shown["job"]["job"].as_i64().unwrap());
    assert_eq!(shown["job"]["requested_by"], "olga");
    world.start_job(second).await;
    world.finish(second, Status::Success, "all of it").await;
    let shown = world.run("david", &format!("import show {NAME} --json")).json();
    let statuses: Vec<_> =
        shown["results"].as_array().unwrap().iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, ["SUCCESS", "SUCCESS_PARTIAL"]);
    assert_eq!(
        (&shown["results"][0]["reason"], &shown["results"][0]["requested_by"]),
        (&"all of it".into(), &"olga".into())
    );
    let text = world.run("david", &format!("import show {NAME}")).text();
    assert!(text.contains("The next import is scheduled to run in 6 h ("), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_listed_by_pages_and_filters() {
    let world = World::new().await;
    for n in 0..3 {
        let more = if n == 1 { "--status suspended --owner gnome" } else { "" };
        let words = format!("import register ~david/p/i{n} --rcs svn --url svn://a.org/{n} {more}");
        world.run("david", &words).text();
    }
    let cvs =
        "import register ~david/p/cvs --rcs CVS --cvs-root :pserver:u@a.org:/c --cvs-module m --interval 90s";
    world.run("david", cvs).text();
    let names = |words: &str| -> Vec<String> {
        let listed = world.run("david", words).json();
        let imports = listed["imports"].as_array().unwrap().iter();
        imports.map(|import| import["unique_name"].as_str().unwrap().replace("~david/p/", "")).collect()
    };
    assert_eq!(names("import list --json"), ["i0", "i1", "i2", "cvs"]);
    assert_eq!(names("import list --json --status SUSPENDED"), ["i1"]);
    assert_eq!(names("import list --json --status reviewed --rcs svn"), ["i0", "i2"]);
    assert_eq!(names("import list --json --owner gnome"), ["i1"]);

    let page = world.run("david", "import list --json --limit 3").json();
    assert_eq!(page["imports"].as_array().unwrap().len(), 3);
    let next = page["next"].as_i64().unwrap();
    assert_eq!(names(&format!("import list --json --limit 3 --after {next}")), ["cvs"]);
    assert!(world.run("david", "import list --json").json()["next"].is_null());

    let table = world.run("david", "import list --limit 3").text();
    assert!(table.contains(&format!("There are more: --after {next}")), "{table}");
    assert!(table.starts_with("NAME "), "{table}");
    let none = world.run("david", "import list --rcs bzr").text();
    assert_eq!(none, "No matching code imports found.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_changed_and_people_are_told_in_words() {
    let world = World::new().await;
    world.register();
    let update = |user: &str, words: &str| world.run(user, &format!("import update {NAME} {words}"));

    assert_eq!(update("david", "--status suspended").text(), "The code import has been suspended.\n");
    assert_eq!(update("david", "--status suspended").text(), "No changes made.\n");
    assert_eq!(update("david", "--status reviewed").text(), "The code import has been approved.\n");
    assert_eq!(update("olga", "--url https://a.org/c").text(), "The code import URL has been updated.\n");
    assert_eq!(update("david", "--interval 2h").text(), "The code import has been updated.\n");
    let shown = world.run("david", &format!("import show {NAME} --json")).json();
    assert_eq!((&shown["update_interval_s"], &shown["url"]), (&7_200.into(), &"https://a.org/c".into()));
    let made = update("david", "--interval default --owner david --json").json();
    assert_eq!((&made["outcome"], &made["changed"]), (&"accepted".into(), &true.into()));
    let shown = world.run("david", &format!("import show {NAME} --json")).json();
    assert_eq!((&shown["update_interval_s"], &shown["owner"]), (&().into(), &"david".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_gave_up_says_what_to_type() {
    let mut world = World::new().await;
    let job = world.register();
    world.start_job(job).await;
    world.finish(job, Status::FailureForbidden, "it is ours").await;
    let text = world.run("olga", &format!("import show {NAME}")).text();
    assert!(text.contains(&format!("type: code-imports import try-again '{NAME}'")), "{text}");
    assert!(text.contains("FAILURE_FORBIDDEN"), "{text}");

    let again = world.run("olga", &format!("import try-again {NAME}")).text();
    assert_eq!(again, "Import will be tried again as soon as possible.\n");
    let refused = world.run("olga", &format!("import try-again {NAME}")).wrong(1);
    let expected = format!(
        "refused: review_status is REVIEWED not FAILING (not-failing)\n\
         It runs by itself; to let it run now, type: code-imports import request '{NAME}'\n"
    );
    assert_eq!(refused, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_who_asked_first() {
    let world = World::new().await;
    world.register();
    let request = format!("import request {NAME}");
    assert_eq!(world.run("olga", &request).text(), "Import will run as soon as possible.\n");
    assert_eq!(world.run("david", &request).text(), "The import has already been requested by olga.\n");
    world.run("david", &format!("import update {NAME} --status suspended")).text();
    let refused = world.run("david", &request).wrong(1);
    assert!(refused.contains("This code import is SUSPENDED, and must be Reviewed"), "{refused}");
    assert!(refused.contains("(not-reviewed)"), "{refused}");
    assert!(refused.ends_with(&format!("code-imports import approve '{NAME}'\n")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_deleted_only_when_it_is_meant() {
    let world = World::new().await;
    world.register();
    let wrong = world.run("david", &format!("import delete {NAME}")).wrong(2);
    assert!(wrong.contains("say --yes"), "{wrong}");
    let gone = world.run("david", &format!("import delete {NAME} --yes")).text();
    assert_eq!(gone, format!("The code import {NAME} has been deleted.\n"));
    let wrong = world.run("david", &format!("import show {NAME}")).wrong(1);
    assert!(wrong.starts_with(&format!("refused: There is no code import {NAME}.\n")), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_registration_is_refused() {
    let world = World::new().await;
    let register = |user: &str, words: &str| world.run(user, &format!("import register {words}"));
    let bad = register("david", "~a/b/c --rcs git --url ftp://a.org/b").wrong(1);
    assert!(bad.contains("The URI scheme \"ftp\" is not allowed."), "{bad}");
    assert!(bad.ends_with("(bad-source)\n"), "{bad}");
    let bad = register("david", "~a/b/c --rcs git --url https://localhost/b").wrong(1);
    assert!(bad.contains("localhost"), "{bad}");
    let allowed = register("david", "~a/b/c --rcs git --url file:///srv/b --extra-schemes file");
    assert_eq!(allowed.text(), "New code import created. The code import will start shortly.\n");
    let bad = register("no-priv", "~a/b/d --rcs git --url https://a.org/b --owner gnome").wrong(1);
    assert!(bad.contains("no-priv may not register an import for gnome"), "{bad}");

    // A program is told in a document, too.
    let ended = register("david", "~a/b/c --rcs git --url https://a.org/b --json");
    let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &answer["outcome"], &answer["code"]), (1, &"refused".into(), &"conflict".into()));
    assert_eq!(answer["reason"], "There is already a code import ~a/b/c.");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_hidden_from_those_whose_it_is_not() {
    let world = World::new().await;
    world.register();
    for user in ["david", "ann", "olga"] {
        let listed = world.run(user, "import list --json").json();
        assert_eq!(listed["imports"].as_array().unwrap().len(), 1, "{user}");
        world.run(user, &format!("import show {NAME}")).text();
    }
    let listed = world.run("no-priv", "import list --json").json();
    assert_eq!(listed["imports"], serde_json::json!([]));
    let hidden = world.run("no-priv", &format!("import show {NAME}")).wrong(1);
    assert!(hidden.contains(&format!("There is no code import {NAME} that no-priv may see")), "{hidden}");
    for words in ["request", "try-again", "delete --yes"] {
        let refused = world.run("no-priv", &format!("import {words} {NAME}")).wrong(1);
        assert!(refused.contains("(not-allowed)"), "{refused}");
    }
    let refused = world.run("olga", &format!("import update {NAME} --status invalid")).wrong(1);
    assert!(refused.contains("to be a member of vcs-imports or admins"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_happen_next_is_said_with_its_reason() {
    let mut world = World::new().await;
    let shown = |world: &World| world.run("david", &format!("import show {NAME}")).text();
    let next_job = async |world: &World| {
        let job = world.run("david", &format!("import show {NAME} --json")).json()["job"]["job"].as_i64();
        code_imports::domain::JobId(job.unwrap())
    };
    let job = world.register();
    world.start_job(job).await;
    let text = shown(&world);
    assert!(text.contains(&format!("To watch it, type: code-imports job show {job} --follow")), "{text}");
    world.run("david", &format!("import suspend {NAME}")).text();
    let text = shown(&world);
    assert!(text.contains("nothing follows, since the import is SUSPENDED."), "{text}");
    world.run("david", &format!("import approve {NAME}")).text();

    world.finish(job, Status::Failure, "it stuttered").await;
    let text = shown(&world);
    assert!(text.contains("The next import is scheduled to run in 6 h ("), "{text}");
    assert!(
        text.contains("after 1 failure in a row, later each time; after 4 more it will be FAILING."),
        "{text}"
    );
    assert!(
        text.contains(&format!("To let it run now, type: code-imports import request '{NAME}'")),
        "{text}"
    );
    assert!(text.contains("it stuttered"), "{text}");

    let job = next_job(&world).await;
    world.start_job(job).await;
    world.finish(job, Status::InternalFailure, "our disk is full").await;
    let text = shown(&world);
    assert!(text.contains("It is tried again after 1 failure of our own in a row."), "{text}");
    let job = next_job(&world).await;
    world.start_job(job).await;
    world.finish(job, Status::Success, "12 revisions").await;
    let text = shown(&world);
    assert!(text.contains("That is 6h after the start of the last run."), "{text}");

    world.run("david", &format!("import suspend {NAME}")).text();
    let text = shown(&world);
    assert!(text.contains("Nothing will happen, since the import is SUSPENDED."), "{text}");
    assert!(text.contains(&format!("an operator types: code-imports import approve '{NAME}'")), "{text}");
}
