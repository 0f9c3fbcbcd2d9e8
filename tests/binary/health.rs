//! What a load balancer and an operator's log see of an outage.

use serde_json::{Value, json};

use crate::door::{Door, port_of};
use crate::talker::{Talker, message};
use crate::world::{Coordinator, NAME, USER, World};

/// So many come to a door in vain: each of those four has tried several times.
const TRIES: usize = 12;

/// So many messages come while the database is away.
const MESSAGES: usize = 30;

/// Those that are always in touch with the broker.
const CONSUMERS: [&str; 4] = ["start", "heartbeat", "finish", "command"];

/// Those that are always in touch with the database.
const LEADERS: [&str; 4] = ["dispatcher", "relay", "reaper", "housekeeping"];

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_is_not_ready_while_the_broker_is_away() {
    let mut world = World::new().await;
    let door = Door::open_to(port_of(&world.amqp_url)).await;
    world.amqp_url = door.instead_of(&world.amqp_url);
    let coordinator = world.serve("coordinator", "");
    outage(&coordinator, &door, &CONSUMERS, "cannot connect to RabbitMQ", async || {}).await;
    coordinator.process.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_is_not_ready_while_the_database_is_away() {
    let mut world = World::new().await;
    let door = Door::open_to(port_of(&world.database_url)).await;
    world.database_url = door.instead_of(&world.database_url);
    let coordinator = world.serve("coordinator", "");
    let talker = Talker::new(&world.amqp_url).await;
    let talk = async || {
        let status = json!({"type": "status", "import": NAME, "user": USER});
        for _ in 0..MESSAGES {
            talker.publish(&message("command", &status)).await.unwrap();
        }
    };
    let roles = [LEADERS.as_slice(), &["command"]].concat();
    outage(&coordinator, &door, &roles, "cannot connect to PostgreSQL", talk).await;
    coordinator.process.terminate().await;
}

/// Shuts the door for a while, in which something may be said, and looks at what is told of it. The other roles notice when they need the
/// server, which in an idle coordinator may be never.
async fn outage(
    coordinator: &Coordinator,
    door: &Door,
    roles: &[&str],
    reason: &str,
    talk: impl AsyncFnOnce(),
) {
    coordinator.ready().await;
    assert_eq!(coordinator.get("healthz").await.unwrap().0, 200);
    door.shut();
    talk().await;
    let why = |body: &Value, role| body["troubles"][role].as_str().unwrap_or_default().contains(reason);
    let is_known = |code, body: &Value| code == 503 && roles.iter().all(|role| why(body, role));
    let said = coordinator.until_ready_says("unreadiness", is_known).await;
    assert_eq!(said["ready"], false);
    assert_eq!(coordinator.get("healthz").await.unwrap().0, 200);
    door.sees(TRIES).await;
    door.open();
    coordinator.ready().await;

    let log = &coordinator.process;
    for role in CONSUMERS.iter().chain(&LEADERS) {
        let lost = log.lines(&format!("{role} lost its session"));
        let again = log.lines(&format!("{role} works again"));
        let is_told_once = if roles.contains(role) { lost.len() == 1 } else { lost.len() <= 1 };
        assert!(is_told_once, "one line per incident, not per try or message: {lost:?}");
        assert_eq!(again.len(), lost.len(), "{again:?}");
    }
    assert_eq!(log.lines("ERROR"), Vec::<String>::new());
}
