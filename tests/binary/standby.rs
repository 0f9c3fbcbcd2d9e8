//! What a synchronous standby promises, where it does not answer.

use serde_json::json;

use crate::audit::Audit;
use crate::server::Server;
use crate::talker::{Talker, message};
use crate::world::{NAME, USER, World};

/// The COMMIT of an event waits for the standby and is cut short: others see the event, but a standby that is promoted
/// now has never heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_on_the_standby_is_not_published() {
    let database = Server::postgresql().await;
    let world = World::on(Some(&database), None).await;
    Audit::bind(&world.amqp_url).await;
    let coordinator = world.serve("coordinator", "");
    coordinator.ready().await;
    let sql = world.sql().await;
    sql.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let is_set =
        "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'nobody'";
    world.at_least(1, is_set).await;

    let body = json!({"type": "register", "import": NAME, "rcs_type": "GIT", "url": "https://example.org/x.git",
        "user": USER});
    Talker::new(&world.amqp_url).await.publish(&message("command", &body)).await.unwrap();
    world.at_least(1, &waiting("count(*)", "command")).await;
    sql.batch_execute(&waiting("pg_cancel_backend(pid)", "command")).await.unwrap();
    world.at_least(1, "SELECT count(*) FROM events").await;
    world.at_least(1, &waiting("count(*)", "relay")).await;
    assert_eq!(Audit::unread(&world.amqp_url).await, 0);
    assert_eq!(coordinator.process.lines("command lost its session: PostgreSQL warned at COMMIT").len(), 1);

    sql.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    Audit::read(&world.amqp_url).await.wait_for(&format!("CREATE {NAME} {USER}")).await;
    coordinator.ready().await;
    coordinator.process.terminate().await;
}

/// Something of the sessions of a role that wait for the standby.
fn waiting(what: &str, role: &str) -> String {
    format!(
        "SELECT {what} FROM pg_stat_activity
            WHERE wait_event = 'SyncRep' AND application_name LIKE 'code-imports {role} %'"
    )
}
