//! Lists of hosts: whoever loses one goes over to another that answers.

use crate::audit::Audit;
use crate::door::{Door, port_of};
use crate::upstream::Upstream;
use crate::world::{NAME, World};

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_and_worker_go_over_to_the_node_that_answers() {
    let mut world = World::new().await;
    let upstream = Upstream::serve(&world).await;
    Audit::bind(&world.amqp_url).await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let direct = world.amqp_url.clone();
    let port = port_of(&direct);
    let (lost, hung) = (Door::open_to(port).await, Door::held_to(port).await);
    world.amqp_url = [lost.instead_of(&direct), hung.instead_of(&direct), direct].join(",");
    let coordinator = world.serve("coordinator", "");
    let worker = world.work("bazaar-importer");
    audit.wait_for("ONLINE bazaar-importer").await;
    coordinator.ready().await;

    lost.shut();
    let over = format!("went over to RabbitMQ at 127.0.0.1:{port}: 127.0.0.1:{}: ", lost.port);
    for process in [&coordinator.process, &worker] {
        let line = process.line(&over).await;
        assert!(line.contains(&format!("127.0.0.1:{}: no answer within 5s", hung.port)), "{line}");
    }
    world.register(NAME, &upstream.url()).await;
    let event = audit.wait_for(&format!("FINISH {NAME} bazaar-importer")).await;
    assert_eq!(event.data["STATUS"], "SUCCESS");
    coordinator.ready().await;
    for process in [&coordinator.process, &worker] {
        assert_eq!(process.lines("went over to").len(), 1);
    }
    worker.terminate().await;
    coordinator.process.terminate().await;
}
