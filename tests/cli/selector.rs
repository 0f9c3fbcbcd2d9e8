//! Which imports, in what order, page by page.

use crate::world::World;

/// Imports of two owners, on several hosts, of every kind of address.
async fn world() -> World {
    let world = World::new().await;
    for words in [
        "~david/p/a --rcs git --url https://user:pw@GitHub.com:8443/a",
        "~david/p/b --rcs svn --url svn://b.example.org/b --status suspended",
        "~gnome/q/c --rcs git --url https://[2a00:1450::1]/c --owner gnome --status failing",
        "~gnome/q/d --rcs cvs --cvs-root :pserver:anon@cvs.example.org:/srv --cvs-module d --owner gnome",
        "~gnome/qq/e --rcs git --url https://github.com/e",
    ] {
        world.run("david", &format!("import register {words}")).text();
    }
    world
}

/// The names without what they all have.
fn names(world: &World, words: &str) -> String {
    let listed = world.run("david", &format!("import list --output name {words}")).text();
    listed.lines().map(|name| &name[name.len() - 1..]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_selected_by_what_they_are() {
    let world = world().await;
    let client = world.database.client().await;
    let succeeded = "UPDATE imports SET date_last_successful = now() - id * interval '1 day' WHERE id <= 3";
    client.execute(succeeded, &[]).await.unwrap();
    for (words, expected) in [
        ("", "abcde"),
        ("--status failing", "c"),
        ("--status FAILING,suspended", "bc"),
        ("--host GITHUB.com", "ae"),
        ("--host 2A00:1450::1", "c"),
        ("--host cvs.example.org", "d"),
        ("--host example.org", ""),
        ("--owner gnome", "cd"),
        ("--registrant david --rcs git", "ace"),
        ("--name-prefix ~gnome/q/", "cd"),
        ("--name-prefix ~gnome/q", "cde"),
        ("--name-prefix ~gnome_q", ""),
        ("--stale 36h", "bcde"),
        ("--stale 36h --status reviewed", "de"),
        ("--stale 36h --host github.com", "e"),
        ("--last-result success", ""),
    ] {
        assert_eq!(names(&world, words), expected, "{words}");
    }
    assert!(world.run("david", "import list --host https://a.org").wrong(2).contains("a host alone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_sorted_and_read_page_by_page() {
    let world = world().await;
    let client = world.database.client().await;
    let past = "UPDATE imports SET consecutive_failure_count = 5 - id,
                date_last_successful = CASE WHEN id <> 3 THEN now() - id % 2 * interval '1 day' END";
    client.execute(past, &[]).await.unwrap();
    client.execute("UPDATE jobs SET date_due = date_due - id * interval '1 h'", &[]).await.unwrap();
    for (key, expected) in [
        ("registered", "abcde"),
        ("name", "abcde"),
        ("failures", "edcba"),
        ("date_last_successful", "caebd"),
        ("date_due", "edabc"),
        ("date_last_result", "abcde"),
    ] {
        assert_eq!(names(&world, &format!("--sort {key}")), expected, "{key}");
        let backward: String = expected.chars().rev().collect();
        assert_eq!(backward, names(&world, &format!("--sort -{key}")).replace(' ', ""), "-{key}");
        let (mut pages, mut after) = (String::new(), String::new());
        loop {
            let words = format!("import list --json --limit 2 --sort {key}{after}");
            let page = world.run("david", &words).json();
            for import in page["imports"].as_array().unwrap() {
                pages.push_str(import["unique_name"].as_str().unwrap().rsplit('/').next().unwrap());
            }
            match page["next"].as_i64() {
                Some(next) => after = format!(" --after {next}"),
                None => break,
            }
        }
        assert_eq!(pages, expected, "{key}, page by page");
    }
    let gone = world.run("david", "import list --sort name --after 99").wrong(1);
    assert!(gone.contains("begin again without --after"), "{gone}");
    assert!(world.run("david", "import list --sort colour").wrong(2).contains("date_last_successful"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_has_the_host_of_every_source() {
    let world = world().await;
    let client = world.database.client().await;
    let query = "SELECT source_host(coalesce(url, cvs_root)), url, cvs_root, cvs_module FROM imports";
    for row in client.query(query, &[]).await.unwrap() {
        let source = code_imports::domain::Source::from_columns(row.get(1), row.get(2), row.get(3)).unwrap();
        let host: String = row.get(0);
        assert_eq!(host.trim_matches(['[', ']']), source.host());
    }
    client.batch_execute("SET enable_seqscan = off; SET enable_sort = off").await.unwrap();
    for (condition, index) in [
        ("source_host(coalesce(imports.url, imports.cvs_root)) = 'a.org' ORDER BY id", "imports_host"),
        ("unique_name LIKE '~gnome/%' ORDER BY unique_name USING ~<~", "imports_name"),
    ] {
        let query = format!("EXPLAIN SELECT * FROM imports WHERE {condition} LIMIT 9");
        let plan = client.query(&query, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_says_how_to_select_less() {
    let world = world().await;
    let mut client = world.database.client().await;
    // Somebody holds the table, so that the question takes as long as it may.
    let holding = client.transaction().await.unwrap();
    holding.batch_execute("LOCK TABLE imports IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let url = format!("{}?options=-c%20statement_timeout%3D300ms", world.database.url);
    let mut program = crate::world::program("import list --stale 2d --as david");
    let ended: crate::world::Ended = program.env("DATABASE_URL", url).output().unwrap().into();
    let wrong = ended.wrong(1);
    assert!(wrong.contains("statement timeout") && wrong.contains("--name-prefix have an index"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_wide_or_names_or_a_document() {
    let world = world().await;
    let list = |words: &str| world.run("david", &format!("import list --limit 2 {words}"));
    let wide = list("-o wide").text();
    assert!(wide.lines().next().unwrap().ends_with("LAST RESULT AT"), "{wide}");
    let named = list("-o name");
    assert_eq!((named.code, named.stdout.as_str()), (0, "~david/p/a\n~david/p/b\n"));
    assert_eq!(named.stderr, "There are more: --after 2\n");
    assert_eq!(list("-o json").json(), list("--json").json());
    assert!(list("--json -o wide").wrong(2).contains("say one"));
    // A pipe gets whole lines, however long.
    let long = format!("https://a.org/{}", "long/".repeat(60));
    world.run("david", &format!("import register ~david/p/f --rcs git --url {long}x")).text();
    assert!(world.run("david", "import list").text().contains(&format!("{long}x")));
}
