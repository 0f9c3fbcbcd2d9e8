//! `job`.

use code_imports::domain::Status;
use serde_json::Value;

use crate::world::{MACHINE, NAME, World};

/// `name STATE` of each job.
fn states(listed: &Value) -> Vec<String> {
    let jobs = listed["jobs"].as_array().unwrap().iter();
    let state = |job: &Value| format!("{} {}", job["import"]["unique_name"], job["state"]).replace('"', "");
    jobs.map(state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_run_come_first_then_those_that_are_due() {
    let mut world = World::new().await;
    let register = |n: usize, more: &str| {
        let words = format!("import register ~david/p/i{n} --rcs hg --url https://a.org/{n} {more}");
        world.run("david", &words).text();
    };
    register(0, "");
    register(1, "");
    let job = world.register();
    world.start_job(job).await;
    let client = world.database.client().await;
    client.execute("UPDATE jobs SET date_due = now() + interval '1 h' WHERE id = 1", &[]).await.unwrap();
    client.execute("UPDATE jobs SET date_dispatched = now() WHERE id = 2", &[]).await.unwrap();

    let running = "~gnome/gnome-terminal/import RUNNING";
    let (due, scheduled) = ("~david/p/i1 PENDING", "~david/p/i0 PENDING");
    let list = |words: &str| states(&world.run("david", &format!("job list --json {words}")).json());
    assert_eq!(list(""), [running, due]);
    assert_eq!(list("--limit 1"), [running]);
    assert_eq!(list("--state running"), [running]);
    assert_eq!(list("--state pending"), [due, scheduled]);
    assert_eq!(list("--rcs hg"), [due]);
    assert_eq!(list(&format!("--machine {MACHINE}")), [running]);
    assert_eq!(list("--machine elsewhere"), Vec::<String>::new());

    let own = states(&world.run("olga", "job list --json").json());
    assert_eq!(own, [running]);
    assert_eq!(states(&world.run("no-priv", "job list --json").json()), Vec::<String>::new());
    let table = world.run("david", "job list").text();
    assert!(table.starts_with("JOB  IMPORT"), "{table}");
    assert!(table.contains(" started ") && table.contains(" due "), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_shown_and_once_it_is_gone_its_result() {
    let mut world = World::new().await;
    let job = world.register();
    let show = format!("job show {job}");
    let text = world.run("olga", &show).text();
    assert!(text.contains("PENDING, runs as soon as possible"), "{text}");
    world.start_job(job).await;
    world.beat(job, "some interesting log output").await;
    let shown = world.run("david", &format!("{show} --json")).json();
    assert_eq!((&shown["job"], &shown["state"]), (&job.0.into(), &"RUNNING".into()));
    assert_eq!(shown["import"]["unique_name"], NAME);

    world.finish(job, Status::FailureRemoteBroken, "it answers nonsense").await;
    let shown = world.run("david", &format!("{show} --json")).json();
    assert_eq!((&shown["job"], &shown["status"]), (&job.0.into(), &"FAILURE_REMOTE_BROKEN".into()));
    let text = world.run("olga", &show).text();
    assert!(text.contains("which is gone") && text.contains("it answers nonsense"), "{text}");
    assert!(text.contains("some interesting log output"), "{text}");

    let hidden = world.run("no-priv", &show).wrong(1);
    assert!(hidden.contains(&format!("There is no job {job} that no-priv may see")), "{hidden}");
    let gone = world.run("david", "job show 99").wrong(1);
    assert!(gone.starts_with("refused: There is no job 99.\n") && gone.contains("job list"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_stopped_by_its_job_or_its_import() {
    let mut world = World::new().await;
    let job = world.register();
    let pending = world.run("david", &format!("job kill {job}")).wrong(1);
    assert!(pending.contains("is PENDING. (not-running)"), "{pending}");
    assert!(pending.ends_with(&format!("type: code-imports import suspend '{NAME}'\n")), "{pending}");
    world.start_job(job).await;
    let refused = world.run("olga", &format!("job kill {job}")).wrong(1);
    assert!(refused.contains("(not-allowed)"), "{refused}");
    assert_eq!(
        world.run("david", &format!("job kill {job}")).text(),
        format!("The run of job {job} is stopped.\n")
    );

    let shown = world.run("david", &format!("import show {NAME} --json")).json();
    assert_eq!(shown["results"][0]["status"], "KILLED");
    let next = code_imports::domain::JobId(shown["job"]["job"].as_i64().unwrap());
    world.start_job(next).await;
    let made = world.run("david", &format!("job kill {NAME} --json")).json();
    assert_eq!((&made["outcome"], &made["job"]), (&"accepted".into(), &next.0.into()));
    let gone = world.run("david", "job kill 99").wrong(1);
    assert!(gone.starts_with("refused: There is no job 99. (unknown-job)\n"), "{gone}");
    assert!(gone.ends_with("code-imports job list\n"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_by_who_asked_how_late_they_are_and_page_by_page() {
    let mut world = World::new().await;
    let job = world.register();
    world.start_job(job).await;
    for n in 0..3 {
        let words = format!("import register ~david/p/i{n} --rcs git --url https://a.org/{n}");
        world.run("david", &words).text();
    }
    let client = world.database.client().await;
    let late = "UPDATE jobs SET date_due = date_due - interval '2 h' WHERE id = 3";
    client.execute(late, &[]).await.unwrap();
    world.run("david", "import request ~david/p/i2").text();

    let list = |words: &str| world.run("david", &format!("job list {words}"));
    assert_eq!(states(&list("--requested --json").json()), ["~david/p/i2 PENDING"]);
    assert_eq!(states(&list("--late 1h --json").json()), ["~david/p/i1 PENDING"]);
    assert_eq!(list("--late 3h").text(), "No matching jobs found.\n");

    // Page by page, the same as at once.
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("--limit 1 --json{after}")).json();
        pages.extend(states(&page));
        match page["next"].as_i64() {
            Some(next) => after = format!(" --after {next}"),
            None => break,
        }
    }
    assert_eq!(pages, states(&list("--json").json()));
    assert_eq!(pages.len(), 4);
    assert!(list("--after 99").wrong(1).contains("begin again without --after"));
    assert_eq!(list("-o name").text(), format!("{job}\n3\n2\n4\n"));
    assert!(list("-o wide").text().lines().next().unwrap().ends_with("LAST LINE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_followed_to_its_end() {
    let mut world = World::new().await;
    let job = world.register();
    world.start_job(job).await;
    let mut following = world.start("olga", &format!("job show {job} --follow"));
    while following.line() != format!("Job {job} is running on {MACHINE}.") {}
    assert_eq!(following.interrupt().code, 130, "how it ends is not known");

    let mut following = world.start("olga", &format!("job show {job} --follow"));
    while following.line() != format!("Job {job} is running on {MACHINE}.") {}
    world.beat(job, "one\ntwo").await;
    assert_eq!((following.line(), following.line()), ("one".to_owned(), "two".to_owned()));
    world.finish(job, Status::FailureInvalid, "nothing is there").await;
    let ended = following.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("Reason:  nothing is there"), "{ended:?}");

    // One that is gone has ended.
    let ended = world.run("olga", &format!("job show {job} --follow --json"));
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &result["status"]), (1, &"FAILURE_INVALID".into()));
    assert!(world.run("david", "job show 99 -f").wrong(1).contains("There is no job 99."));
}
