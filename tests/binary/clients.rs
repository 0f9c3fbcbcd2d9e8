//! Workers that are not ours: one in another language, and the one that our documentation shows.

use std::path::Path;
use std::process::Command;

use crate::audit::Audit;
use crate::common::setting;
use crate::process::Running;
use crate::upstream::{Upstream, refs};
use crate::world::{NAME, World};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_nothing_but_amqp_and_json_does_a_whole_run() {
    let mut tools = Command::new(format!("{ROOT}/scripts/tools"));
    tools.arg("pika").envs(std::env::vars_os());
    assert_eq!(Running::start("tools", &tools).end().await.code, Some(0));

    let world = World::new().await;
    let mut worker = Command::new(format!("{ROOT}/.tools/python/bin/python"));
    worker.arg(format!("{ROOT}/tests/plain_worker/worker.py")).args([&world.amqp_url, "plain-worker", "."]);
    whole_run(&world, &worker, "plain-worker", "").await;
    let query = "SELECT count(*) FROM results WHERE log_excerpt LIKE '%[new tag]%'";
    assert_eq!(world.count(query).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_worker_does_a_whole_run() {
    let world = World::new().await;
    // Tests and examples are built into folders side by side, whenever all of them are built.
    let program = std::env::current_exe().unwrap().with_file_name("../examples/minimal_worker");
    assert!(program.exists(), "type `cargo build --examples`");
    let mut worker = Command::new(program);
    worker.env("AMQP_URL", &world.amqp_url).env("MACHINE", "example");
    whole_run(&world, &worker, "example", "mirrors").await;
}

/// With `--verify-machines`: a shared account does not count, and is told so; the one that `machine add` makes does.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_believed_by_the_account_of_its_machine() {
    let mut world = World::new().await;
    let upstream = Upstream::serve(&world).await;
    let coordinator = world.serve("coordinator", "--verify-machines");
    coordinator.ready().await;
    let machine = format!("m-{}", uuid::Uuid::new_v4().simple());
    let shared = world.work(&machine);
    let refused =
        format!("a heartbeat was refused: The account coordinator may not speak for the machine {machine}");
    shared.line(&refused).await;
    shared.terminate().await;
    assert_eq!(world.count("SELECT count(*) FROM machines").await, 0);

    let console = setting("AMQP_CONSOLE_URL");
    let added = world.json(&format!("machine add {machine} --console-url {console}")).await;
    let login = format!("{machine}:{}@", added["password"].as_str().unwrap());
    let everybodys = std::mem::take(&mut world.amqp_url);
    world.amqp_url = everybodys.replace("coordinator:coordinator@", &login);
    assert_ne!(world.amqp_url, everybodys);
    let worker = world.work(&machine);
    world.amqp_url = everybodys;
    world.register(NAME, &upstream.url()).await;
    world.at_least(1, "SELECT count(*) FROM results WHERE status = 'SUCCESS'").await;
    world.run(&format!("machine remove {machine} --force --console-url {console}")).await;
    worker.line("the session with the broker is over: ").await;
    assert_eq!(world.ready_messages("rejected").await, 0);
    coordinator.process.terminate().await;
}

/// Starts a worker against a coordinator, and sees an import through its first run into this folder.
async fn whole_run(world: &World, worker: &Command, machine: &str, targets: &str) {
    let upstream = Upstream::serve(world).await;
    Audit::bind(&world.amqp_url).await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let coordinator = world.serve("coordinator", "");
    let (import, _) = world.register(NAME, &upstream.url()).await;
    let _worker = Running::start(machine, &in_directory(worker, world.directory.path()));
    audit.wait_for(&format!("ONLINE {machine}")).await;
    audit.wait_for(&format!("START {NAME} {machine}")).await;
    let event = audit.wait_for(&format!("FINISH {NAME} {machine}")).await;
    assert_eq!(event.data["STATUS"], "SUCCESS");
    let target = world.directory.path().join(targets).join(format!("{import}.git"));
    assert_eq!(refs(&target), upstream.refs());
    world.check_invariants().await;
    assert_eq!(world.ready_messages("rejected").await, 0);
    assert_eq!(world.ready_messages("work.git").await, 0);
    coordinator.process.terminate().await;
}

/// The same command in a directory, with the little environment that it needs.
fn in_directory(command: &Command, directory: &Path) -> Command {
    let mut here = Command::new(command.get_program());
    here.args(command.get_args()).current_dir(directory).env("PATH", std::env::var_os("PATH").unwrap());
    here.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    here
}
