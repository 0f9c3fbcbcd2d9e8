//! `status`.

use code_imports::broker::Broker;
use code_imports::domain::Status;
use serde_json::{Value, json};

use crate::common::Vhost;
use crate::world::{Started, World, program};

struct Seen {
    world: World,
    vhost: Vhost,
}

impl Seen {
    /// One machine that ran one import, which failed; another import is due.
    async fn new() -> Self {
        let (mut world, vhost) = (World::new().await, Vhost::new());
        Broker::new(vhost.url.parse().unwrap(), "code-imports", "test").declare().await.unwrap();
        world.speak().await;
        let job = world.register();
        world.start_job(job).await;
        world.finish(job, Status::FailureForbidden, "not allowed").await;
        world.run("david", "import register ~gnome/other/import --rcs git --url https://a.org/c").text();
        Self { world, vhost }
    }

    fn command(&self, user: &str, words: &str) -> std::process::Command {
        let mut program = program(&format!("status {words}"));
        program.env("DATABASE_URL", &self.world.database.url).env("AMQP_URL", &self.vhost.url);
        program.env("CODE_IMPORTS_USER", user);
        program
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_system_is_on_one_screen() {
    let seen = Seen::new().await;
    let run = |user: &str, words: &str| -> crate::world::Ended {
        seen.command(user, words).output().unwrap().into()
    };
    let screen = run("david", "").text();
    for expected in [
        "Due:              1, the latest since ",
        "Running:          0",
        "Machines:         1 online, 0 quiescing, 0 silent",
        "Results:          1 in the last minute, 1 of them failures: FAILURE_FORBIDDEN 1",
        "Failing:          1 imports: FAILURE_FORBIDDEN 1",
        "Rejected:         0",
        "Heard ourselves:  never",
        "bazaar-importer  ONLINE  0",
        "work.git 0",
    ] {
        assert!(screen.contains(expected), "{expected} is not in\n{screen}");
    }
    let status = run("david", "--json").json();
    let expected = [("due", 1), ("running", 0), ("machines_online", 1), ("failing", 1), ("rejected", 0)];
    for (name, count) in expected {
        assert_eq!(status[name], count, "{name} of {status}");
    }
    assert_eq!(status["results_by_status"], json!({"FAILURE_FORBIDDEN": 1}));
    assert_eq!(status["machines"][0]["machine"], "bazaar-importer");
    assert_eq!(status["queues"].as_array().unwrap().len(), 10);
    assert!(run("olga", "").wrong(1).contains("olga may not see the status"));
    assert!(run("david", "--interval 1s").wrong(2).contains("--watch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_is_watched_until_somebody_interrupts() {
    let seen = Seen::new().await;
    let mut watching = Started::of(seen.command("david", "--watch --interval 1s --json"));
    let first: Value = serde_json::from_str(&watching.line()).unwrap();
    assert_eq!(first["due"], 1);
    seen.world.run("david", "import register ~gnome/third/import --rcs git --url https://a.org/d").text();
    let mut status = first;
    while status["due"] != 2 {
        status = serde_json::from_str(&watching.line()).unwrap();
    }
    assert_eq!(watching.interrupt().code, 0);
}
