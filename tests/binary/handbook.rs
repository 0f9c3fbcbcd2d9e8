//! `docs/operators.md`, typed line by line against a system that runs: what is seen is what it says.
//!
//! Numbers and times may differ. With `WRITE_HANDBOOK=1` the document gets the answers of this run where they differ
//! from what it says; read them before you commit them.

mod pages;
mod units;

use std::process::Command;
use std::time::{Duration, Instant};

use code_imports::broker::publish::Outgoing;
use serde_json::{Value, json};

use crate::common::{authorization, console};
use crate::door::{Door, port_of};
use crate::process::{PATIENCE, Running, until};
use crate::talker::{Talker, message};
use crate::upstream::Upstream;
use crate::world::World;
use pages::{Step, path, sections, with_answers};
use units::Units;

/// Who is on call.
const PERSON: &str = "david";

/// How often a command that only looks is typed until it shows what it should.
const LOOKS: Duration = Duration::from_secs(1);

/// For how long, where what it shows is written down else.
const WRITING_PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn every_procedure_of_the_handbook_runs_as_written() {
    let mut tools = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tools"));
    tools.arg("curl").envs(std::env::vars_os());
    assert_eq!(Running::start("tools", &tools).end().await.code, Some(0));

    let text = std::fs::read_to_string(path()).unwrap();
    let desk = Desk::new().await;
    let mut answers = Vec::new();
    for section in sections(&text) {
        desk.prepare(&section.heading).await;
        if !section.commands.is_empty() {
            desk.publish(&section.commands).await;
            desk.prepare(&section.heading).await;
        }
        for step in section.steps {
            let answer = desk.follow(&step).await;
            answers.push((step, answer));
        }
    }
    if is_writing() {
        std::fs::write(path(), with_answers(&text, &answers)).unwrap();
    }
    desk.world.check_invariants().await;
}

fn is_writing() -> bool {
    std::env::var_os("WRITE_HANDBOOK").is_some()
}

/// Accounts are the broker's, not the virtual host's, so they do not end with it.
fn forget_accounts() {
    for account in ["lorry-1", "lorry-2"] {
        let request =
            ureq::delete(console(&format!("users/{account}"))).header("Authorization", &authorization());
        // It may not be there.
        drop(request.call());
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        forget_accounts();
    }
}

/// The system that the handbook is about, and a shell on it.
struct Desk {
    // Ended first: they work in the world's directory.
    units: Units,
    world: World,
    _upstream: Upstream,
    /// Behind it is a repository that never comes.
    _far: Door,
    /// Behind it is the broker, for the coordinator.
    broker: Door,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new().await;
        let person = format!(
            "INSERT INTO people (name, display_name) VALUES ('{PERSON}', 'David');
            INSERT INTO team_members VALUES ('vcs-imports', '{PERSON}'), ('admins', '{PERSON}')"
        );
        world.sql().await.batch_execute(&person).await.unwrap();
        let upstream = Upstream::serve(&world).await;
        let far = Door::held_to(upstream.port).await;
        let broker = Door::open_to(port_of(&world.amqp_url)).await;
        let mut units = Units::install(&world, PERSON);
        units.start("code-imports", Some(broker.instead_of(&world.amqp_url)));
        units.start("code-imports-worker@lorry-1", None);
        units.type_in("systemctl stop code-imports-worker@lorry-2").await;
        units.start("code-imports-worker@lorry-2", None);
        for (name, status, url) in [
            ("~vcs-imports/hello/import", "REVIEWED", upstream.url()),
            ("~gnome/terminal/import", "NEW", Upstream::url_at(far.port)),
            ("~kde/kate/import", "NEW", "http://git.example.org/kate".to_owned()),
            ("~kde/okular/import", "NEW", "http://git.example.org/okular".to_owned()),
        ] {
            units
                .type_in(&format!(
                    "code-imports import register '{name}' --rcs git --url {url} --status {status}"
                ))
                .await;
        }
        forget_accounts();
        units.type_in("code-imports machine add lorry-1").await;
        let desk = Self { world, units, _upstream: upstream, _far: far, broker };
        desk.world.at_least(1, "SELECT count(*) FROM results").await;
        desk
    }

    /// Brings about what a procedure is for.
    async fn prepare(&self, heading: &str) {
        match heading {
            "Stop one job" => self.run_for_long().await,
            "A host is down" => self.lose_a_host().await,
            "A poison message" => self.reject().await,
            "A worker machine died" => self.lose_a_machine().await,
            "Readiness is red" => self.broker.shut(),
            "Rotate a password" => self.broker.open(),
            _ => {}
        }
    }

    /// A run that goes on until it is stopped.
    async fn run_for_long(&self) {
        let name = "~gnome/terminal/import";
        self.world.run(&format!("import update {name} --status REVIEWED")).await;
        // The first run comes by itself, and may be there already: then this is refused.
        self.world.start("cli", &format!("import request {name}")).end().await;
        self.world.at_least(1, "SELECT count(*) FROM jobs WHERE state = 'RUNNING'").await;
    }

    /// Nothing answers there: both of its imports fail, and so often that they are given up.
    async fn lose_a_host(&self) {
        for name in ["~kde/kate/import", "~kde/okular/import"] {
            if self.world.json(&format!("import show {name}")).await["review_status"] == "NEW" {
                self.world.run(&format!("import update {name} --status REVIEWED")).await;
            }
        }
        self.world.at_least(2, "SELECT count(*) FROM imports WHERE review_status = 'FAILING'").await;
    }

    /// A command with a slip of the pen, and one that comes too early.
    async fn reject(&self) {
        if self.world.ready_messages("rejected").await > 0 {
            return;
        }
        let talker = Talker::new(&self.world.amqp_url).await;
        for body in [
            json!({"type": "reqest", "import": "~vcs-imports/hello/import", "user": PERSON}),
            json!({"type": "request", "import": "~gnome/weather/import", "user": PERSON}),
        ] {
            let silent = Outgoing { reply_to: None, ..message("command", &body) };
            talker.publish(&silent).await.unwrap();
        }
        let rejected = async || (self.world.ready_messages("rejected").await >= 2).then_some(());
        until("two rejected messages", rejected).await;
    }

    /// A machine is gone in the middle of a run.
    async fn lose_a_machine(&self) {
        self.run_for_long().await;
        self.units.kill("code-imports-worker@lorry-1").await;
        let is_lost = "SELECT count(*) FROM machines WHERE offline_reason = 'WATCHDOG'";
        self.world.at_least(1, is_lost).await;
    }

    /// Publishes what the handbook lets one type into the console's form; each is accepted.
    async fn publish(&self, commands: &[Value]) {
        let mut talker = Talker::new(&self.world.amqp_url).await;
        for command in commands {
            let answer = talker.ask("command", command).await;
            assert_eq!(answer["outcome"], "accepted", "{command}: {answer}");
        }
    }

    /// Types a command, one that only looks until it shows what it should; gives what is to be written below it.
    async fn follow(&self, step: &Step) -> Vec<String> {
        let patience = if is_writing() { WRITING_PATIENCE } else { PATIENCE };
        let deadline = Instant::now() + patience;
        let mut looks = tokio::time::interval(LOOKS);
        let seen = loop {
            looks.tick().await;
            let seen = self.units.type_in(&step.command).await;
            if step.expects(&seen) {
                return step.expected.clone();
            }
            if !step.only_looks() || Instant::now() > deadline {
                break seen;
            }
        };
        let (shown, expected) = (seen.join("\n"), step.expected.join("\n"));
        assert!(is_writing(), "`{}` shows\n{shown}\nand the handbook says\n{expected}", step.command);
        seen
    }
}
