//! `event`.

use serde_json::Value;

use crate::world::{MACHINE, NAME, World};

fn types(listed: &Value) -> Vec<String> {
    let events = listed["events"].as_array().unwrap().iter();
    events.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_newest_last() {
    let mut world = World::new().await;
    world.speak().await;
    let job = world.register();
    world.run("olga", &format!("import request {NAME}")).text();
    world.start_job(job).await;
    let list =
        |user: &str, words: &str| types(&world.run(user, &format!("event list --json {words}")).json());

    assert_eq!(list("david", ""), ["ONLINE", "CREATE", "REQUEST", "START"]);
    assert_eq!(list("david", "--limit 2"), ["REQUEST", "START"]);
    assert_eq!(list("david", "--after 1 --limit 2"), ["CREATE", "REQUEST"]);
    assert_eq!(list("david", &format!("--import {NAME}")), ["CREATE", "REQUEST", "START"]);
    assert_eq!(list("david", &format!("--machine {MACHINE}")), ["ONLINE", "START"]);
    assert_eq!(list("david", "--type request"), ["REQUEST"]);
    // Of their own imports, and of nothing else.
    assert_eq!(list("olga", ""), ["CREATE", "REQUEST", "START"]);
    assert_eq!(list("no-priv", ""), Vec::<String>::new());

    let table = world.run("david", "event list").text();
    assert!(table.contains("REVIEW_STATUS: REVIEWED"), "{table}");
    assert!(!table.contains("secret"), "{table}");
    let hidden = world.run("no-priv", &format!("event list --import {NAME}")).wrong(1);
    assert!(hidden.contains("that no-priv may see"), "{hidden}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_deleted_import_stay() {
    let world = World::new().await;
    world.register();
    world.run("david", &format!("import delete --yes {NAME}")).text();
    let events = world.run("david", "event list --json --import 1").json();
    assert_eq!(types(&events), ["CREATE", "DELETE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_until_somebody_interrupts() {
    let world = World::new().await;
    world.register();
    let mut following = world.start("david", "event follow --json --after 0");
    let first: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!(
        (&first["id"], &first["type"], &first["epoch_first"]),
        (&1.into(), &"CREATE".into(), &1.into())
    );
    assert_eq!(first["summary"], format!("CREATE {NAME} david"));
    world.run("olga", &format!("import request {NAME}")).text();
    let second: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&second["id"], &second["person"]), (&2.into(), &"olga".into()));
    assert_eq!(following.interrupt().text(), "");

    let mut following = world.start("olga", "event follow --after 0 --type request");
    let line = following.line();
    assert!(line.starts_with("2 ") && line.ends_with(&format!("Z REQUEST {NAME} olga")), "{line}");
    assert_eq!(following.interrupt().text(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_by_when_and_by_whom() {
    let world = World::new().await;
    world.register();
    for n in 0..5 {
        let words = format!("import register ~olga/p/i{n} --rcs git --url https://a.org/{n}");
        world.run("olga", &words).text();
    }
    let list = |words: &str| world.run("david", &format!("event list -o name {words}")).text();
    assert_eq!(list("--person david"), "1\n");
    assert_eq!(list("--person olga --limit 2"), "5\n6\n");
    assert_eq!(list("--since 1h"), "1\n2\n3\n4\n5\n6\n");
    let client = world.database.client().await;
    let past = "UPDATE events SET date_created = date_created - interval '2 h' WHERE id <= 4";
    client.execute(past, &[]).await.unwrap();
    assert_eq!(list("--since 1h"), "5\n6\n");
    assert_eq!(list("--since 3h --limit 1"), "6\n");
    client.execute("UPDATE events SET date_created = date_created - interval '2 h'", &[]).await.unwrap();
    assert_eq!(list("--since 1h"), "");
}
