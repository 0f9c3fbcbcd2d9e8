//! One import, from registered to imported, through real PostgreSQL and RabbitMQ and the services of one process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::Duration;

use code_imports::broker::publish::Outgoing;
use code_imports::broker::{AmqpUrls, Broker, Exchange};
use code_imports::service::{Settings, serve};
use code_imports::store::Retention;
use code_imports::workflow::Policy;
use common::{Database, Vhost};
use tokio_util::sync::CancellationToken;

fn settings(database: &Database, vhost: &Vhost) -> Settings {
    Settings {
        database: database.database_url(),
        amqp: vhost.url.parse().unwrap(),
        prefix: "code-imports".to_owned(),
        policy: Policy::default(),
        heartbeat_interval: Duration::from_secs(30),
        retention: Retention::default(),
        window_min: 10,
        window_max: 5000,
        echo_interval: Duration::from_secs(10),
        http: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_registered_is_heard_of_by_a_subscriber() {
    let (database, vhost) = (Database::new().await, Vhost::new());
    let client = database.client().await;
    client
        .batch_execute(
            "INSERT INTO people (name, display_name) VALUES ('david.allouche', 'David');
             INSERT INTO team_members VALUES ('vcs-imports', 'david.allouche')",
        )
        .await
        .unwrap();
    let urls: AmqpUrls = vhost.url.parse().unwrap();
    let broker = Broker::new(urls, "code-imports", "test");
    broker.declare().await.unwrap();
    let mut events = broker.subscribe().await.unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(settings(&database, &vhost), shutdown.clone()));

    let publisher = broker.publisher().await.unwrap();
    let body = serde_json::json!({
        "type": "register", "import": "~vcs-imports/gnome-terminal/import", "rcs_type": "GIT",
        "url": "https://gitlab.gnome.org/GNOME/gnome-terminal.git", "user": "david.allouche",
    });
    let message = Outgoing {
        routing_key: "command".to_owned(),
        message_id: "1".to_owned(),
        kind: "register",
        body: body.to_string().into_bytes(),
        ..Outgoing::default()
    };
    publisher.publish_all(&broker.topology.exchange(Exchange::Commands), &[message]).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap().unwrap();
    assert_eq!(event.summary, "CREATE ~vcs-imports/gnome-terminal/import david.allouche");
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}
