//! Coordinators and workers that come and go while there is much to do.

use std::time::Duration;

use serde_json::json;

use crate::audit::Audit;
use crate::simulation::{Simulation, check_results};
use crate::talker::{Talker, message};
use crate::upstream::Upstream;
use crate::world::{USER, World};

const IMPORTS: usize = 200;

const RESULTS: &str = "SELECT count(*) FROM results";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_coordinators_and_workers_come_and_go() {
    let world = World::new().await;
    let upstream = Upstream::serve(&world).await;
    Audit::bind(&world.amqp_url).await;
    let first = world.serve("first", "");
    first.ready().await;
    register_and_request(&world, &upstream).await;
    world.at_least(50, "SELECT count(*) FROM imports").await;
    first.process.terminate().await;
    let second = world.serve("second", "");

    let begin = |machine| Simulation::begin(&world.amqp_url, machine, 8, Duration::from_millis(300));
    let (one, two) = (begin("simulated-1"), begin("simulated-2"));
    world.at_least(40, RESULTS).await;
    second.process.kill().await;
    let third = world.serve("third", "");
    let real = world.work("real-1");
    world.at_least(80, RESULTS).await;
    let mut reported = two.leave().await;
    third.process.terminate().await;
    let fourth = world.serve("fourth", "");
    let three = begin("simulated-3");
    world.at_least(120, RESULTS).await;
    real.terminate().await;
    let real = world.work("real-2");
    let imports = i64::try_from(IMPORTS).unwrap();
    let imported = "SELECT count(*) FROM imports WHERE date_last_successful IS NOT NULL";
    world.at_least(imports, imported).await;

    real.terminate().await;
    reported.extend(one.leave().await);
    reported.extend(three.leave().await);
    fourth.process.terminate().await;
    check_results(&world, reported).await;
    let requests = "SELECT count(*) FROM events WHERE event_type = 'REQUEST'";
    assert_eq!(world.count(requests).await, imports);
    world.check_invariants().await;
    assert_eq!(world.ready_messages("rejected").await, 0);
    let last = world.count("SELECT next_id - 1 FROM event_counter").await;
    Audit::read(&world.amqp_url).await.hears_all_up_to(last).await;
}

/// Registers every import and asks for its run, by AMQP; the broker has it all when this returns.
async fn register_and_request(world: &World, upstream: &Upstream) {
    let talker = Talker::new(&world.amqp_url).await;
    for n in 0..IMPORTS {
        let name = format!("~vcs-imports/project-{n}/import");
        let url = upstream.another_url(n);
        let register =
            json!({"type": "register", "import": name, "rcs_type": "GIT", "url": url, "user": USER});
        let request = json!({"type": "request", "import": name, "user": USER});
        for command in [register, request] {
            talker.publish(&message("command", &command)).await.unwrap();
        }
    }
}
