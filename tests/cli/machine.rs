//! `machine`.

use crate::world::{MACHINE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_listed_and_shown() {
    let mut world = World::new().await;
    let none = world.run("david", "machine list").text();
    assert!(none.contains("code-imports worker"), "{none}");
    let job = world.register();
    world.speak().await;
    world.start_job(job).await;

    let listed = world.run("ann", "machine list --json").json();
    let machine = &listed["machines"][0];
    assert_eq!((&machine["machine"], &machine["state"]), (&MACHINE.into(), &"ONLINE".into()));
    assert_eq!((&machine["offline_reason"], &machine["running_jobs"]), (&().into(), &1.into()));

    let shown = world.run("david", &format!("machine show {MACHINE} --json")).json();
    assert_eq!((&shown["running_jobs"], &shown["jobs"][0]["job"]), (&1.into(), &job.0.into()));
    // The start of a job is no event of the machine itself.
    let events: Vec<_> =
        shown["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(events, ["ONLINE"]);
    let text = world.run("david", &format!("machine show {MACHINE}")).text();
    assert!(text.contains("State:      ONLINE") && text.contains("RUNNING"), "{text}");
    let table = world.run("david", "machine list").text();
    assert!(table.contains("RUNNING JOBS") && table.contains(MACHINE), "{table}");
    assert_eq!(world.run("david", "machine list --state online -o name").text(), format!("{MACHINE}\n"));
    for words in ["--state offline", "--silent 1h"] {
        let none = world.run("david", &format!("machine list {words}")).text();
        assert_eq!(none, "No matching machines found.\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_set_to_a_state_where_that_makes_sense() {
    let mut world = World::new().await;
    world.speak().await;
    let set = |user: &str, state: &str| world.run(user, &format!("machine {state} {MACHINE}"));
    assert_eq!(set("david", "quiesce").text(), "The machine bazaar-importer is QUIESCING now.\n");
    let refused = set("david", "quiesce").wrong(1);
    let expected = "refused: State of machine bazaar-importer was QUIESCING. (wrong-machine-state)\n\
                    To look at it, type: code-imports machine show bazaar-importer\n";
    assert_eq!(refused, expected);
    assert_eq!(set("ann", "offline --message moved").text(), "The machine bazaar-importer is OFFLINE now.\n");
    let listed = world.run("david", "machine list --json").json();
    assert_eq!(listed["machines"][0]["offline_reason"], "STOPPED");
    assert_eq!(set("david", "online").text(), "The machine bazaar-importer is ONLINE now.\n");
    let events = world.run("david", &format!("event list --json --machine {MACHINE} --type offline")).json();
    assert_eq!(events["events"][0]["data"]["MESSAGE"], "moved");
    assert_eq!(events["events"][0]["person"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_for_operators() {
    let mut world = World::new().await;
    world.speak().await;
    for words in ["list", "show bazaar-importer", "online bazaar-importer"] {
        let refused = world.run("olga", &format!("machine {words}")).wrong(1);
        assert!(refused.contains("to be a member of vcs-imports or admins. (not-allowed)"), "{refused}");
    }
    let unknown = world.run("david", "machine show elsewhere").wrong(1);
    let expected = "refused: There is no machine elsewhere. (unknown-machine)\n\
                    To see which there are, type: code-imports machine list\n";
    assert_eq!(unknown, expected);
}
