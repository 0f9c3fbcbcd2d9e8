//! Servers that are restarted while everything runs.

use std::time::Duration;

use code_imports::broker::publish::Outgoing;
use rustix::process::Signal;
use serde_json::json;

use crate::audit::Audit;
use crate::door::Door;
use crate::process::Running;
use crate::server::Server;
use crate::simulation::{Simulation, check_results};
use crate::talker::{Talker, message};
use crate::upstream::Upstream;
use crate::world::{Coordinator, USER, World};

/// First stopped and started, then killed. (RabbitMQ 3.10 may forget a quorum queue that was declared within the
/// second before a kill; this way they are older.)
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_restarted_and_killed_loses_nothing() {
    let broker = Server::rabbitmq().await;
    let world = World::on(None, Some(&broker)).await;
    let upstream = Upstream::serve(&world).await;
    Audit::bind(&world.amqp_url).await;
    let coordinator = world.serve("coordinator", "");
    let worker = world.work("bazaar-importer");

    outage(&world, &upstream, &coordinator, &worker, 0, async || broker.stop().await).await;
    broker.start_again().await;
    check_round(&world, &coordinator, 0).await;
    outage(&world, &upstream, &coordinator, &worker, 1, async || broker.kill(Signal::KILL).await).await;
    broker.start_again().await;
    check_round(&world, &coordinator, 1).await;

    world.check_invariants().await;
    assert_eq!(world.ready_messages("rejected").await, 0);
    let last = world.count("SELECT next_id - 1 FROM event_counter").await;
    Audit::read(&world.amqp_url).await.hears_all_up_to(last).await;
    worker.terminate().await;
    coordinator.process.terminate().await;
}

/// So many commands lie in the queue when the broker ends.
const COMMANDS: usize = 30;

/// Ends the broker while a run is under way, and while what it confirmed lies in its queues.
async fn outage(
    world: &World,
    upstream: &Upstream,
    coordinator: &Coordinator,
    worker: &Running,
    round: usize,
    end: impl AsyncFnOnce(),
) {
    let door = Door::held_to(upstream.port).await;
    let (_, job) =
        world.register(&format!("~vcs-imports/run-{round}/import"), &Upstream::url_at(door.port)).await;
    worker.line(&format!("started job {job} ")).await;

    coordinator.process.send(Signal::STOP);
    let talker = Talker::new(&world.amqp_url).await;
    for n in 0..COMMANDS {
        talker.publish(&registration(round * COMMANDS + n)).await.unwrap();
    }
    end().await;
    coordinator.process.send(Signal::CONT);
    coordinator.until_ready_says("unreadiness", |code, _| code == 503).await;
    // The run goes on without the broker, and ends.
    door.open();
    worker.line(&format!("job {job} has ended: SUCCESS")).await;
}

/// What the broker had confirmed is applied, and what ended without it is reported.
async fn check_round(world: &World, coordinator: &Coordinator, round: usize) {
    let rounds = i64::try_from(round + 1).unwrap();
    let registered = "SELECT count(*) FROM imports WHERE review_status = 'SUSPENDED'";
    world.at_least(rounds * i64::try_from(COMMANDS).unwrap(), registered).await;
    world.at_least(rounds, "SELECT count(*) FROM results WHERE status = 'SUCCESS'").await;
    coordinator.ready().await;
}

/// A command that registers an import which does not run.
fn registration(n: usize) -> Outgoing {
    let body = json!({"type": "register", "import": format!("~vcs-imports/project-{n}/import"), "rcs_type": "GIT",
        "url": format!("https://example.org/{n}.git"), "review_status": "SUSPENDED", "user": USER});
    message("command", &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_breaks_down_loses_nothing() {
    let database = Server::postgresql().await;
    let world = World::on(Some(&database), None).await;
    Audit::bind(&world.amqp_url).await;
    // A mark whose COMMIT was not answered any more was made all the same, and its job is handed out again after this.
    let coordinator = world.serve("coordinator", "--dispatch-timeout 10s");
    coordinator.ready().await;
    let talker = Talker::new(&world.amqp_url).await;
    for n in 0..40 {
        let body = json!({"type": "register", "import": format!("~vcs-imports/project-{n}/import"),
            "rcs_type": "GIT", "url": format!("https://example.org/{n}.git"), "user": USER});
        talker.publish(&message("command", &body)).await.unwrap();
    }
    let worker = Simulation::begin(&world.amqp_url, "simulated-1", 4, Duration::from_millis(200));
    world.at_least(8, "SELECT count(*) FROM results").await;
    // What `pg_ctl stop --mode immediate` sends: nobody says goodbye, and nothing is written any more.
    database.kill(Signal::QUIT).await;
    coordinator.until_ready_says("unreadiness", |code, _| code == 503).await;
    database.start_again().await;

    let imported = "SELECT count(*) FROM imports WHERE date_last_successful IS NOT NULL";
    world.at_least(40, imported).await;
    coordinator.ready().await;
    check_results(&world, worker.leave().await).await;
    world.check_invariants().await;
    assert_eq!(world.ready_messages("rejected").await, 0);
    let last = world.count("SELECT next_id - 1 FROM event_counter").await;
    Audit::read(&world.amqp_url).await.hears_all_up_to(last).await;
    coordinator.process.terminate().await;
}

/// What was killed may listen for a moment longer, though it is no process any more (seed 102 of the chaos: its broker
/// came back elsewhere).
#[test]
fn a_port_that_is_let_go_in_a_moment_is_kept() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // Whoever looks first finds it taken, and whoever looks again finds it free.
    let let_go = std::thread::spawn(move || drop(listener.accept()));
    let script = format!(
        "ROOT=.; say() {{ :; }}; . scripts/lib/server.sh; taken=' ' PORT={port}; port_choose PORT; echo \"$PORT\""
    );
    let mut choosing = std::process::Command::new("bash");
    let chosen =
        choosing.args(["-euc", &script]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap().stdout;
    let_go.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&chosen).trim(), port);
}
