//! PostgreSQL with a synchronous standby, which is promoted while everything runs.

use rustix::process::Signal;
use tokio_postgres::NoTls;

use crate::audit::Audit;
use crate::door::{Door, port_of};
use crate::load::{Load, SERVE, leave};
use crate::process::until;
use crate::server::Server;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_dies_takes_nothing_with_it_that_was_answered() {
    let (primary, standby) = pair().await;
    let world = World::at(Some(both(port_of(&primary.url), &standby)), None).await;
    Audit::bind(&world.amqp_url).await;
    let coordinators = ["first", "second"].map(|name| world.serve(name, SERVE));
    let load = Load::begin(&world).await;
    primary.kill(Signal::QUIT).await;
    run(&standby, "SELECT pg_promote()").await;
    load.goes_on(&world).await;
    load.end(&world).await;
    leave(coordinators).await;
}

/// The standby is promoted while the old primary lives, and one coordinator goes on talking to that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_at_the_old_primary_does_no_harm() {
    let (primary, standby) = pair().await;
    let door = Door::open_to(port_of(&primary.url)).await;
    let mut world = World::at(Some(both(door.port, &standby)), None).await;
    Audit::bind(&world.amqp_url).await;
    let sane = world.serve("sane", SERVE);
    let both = std::mem::replace(&mut world.database_url, primary.url.clone());
    let stale = world.serve("stale", SERVE);
    world.database_url = both;
    let load = Load::begin(&world).await;
    stale.ready().await;

    run(&standby, "SELECT pg_promote()").await;
    until("a COMMIT that waits for ever", async || waits(&primary).await.then_some(())).await;
    door.shut();
    load.goes_on(&world).await;
    sane.ready().await;
    stale.until_ready_says("unreadiness", |code, _| code == 503).await;
    load.goes_on(&world).await;
    // Somebody looks at the old primary, and sets what hangs there free: it is seen there, and nowhere else.
    let free = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    run(&primary, free).await;
    load.goes_on(&world).await;
    load.end(&world).await;
    stale.process.terminate().await;
    // The network heals while the old primary still runs. It is behind, as after a restore, but it was none.
    run(&primary, free).await;
    until("nothing that waits", async || (!waits(&primary).await).then_some(())).await;
    door.open();
    let ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE 'code-imports%' AND pid <> pg_backend_pid()";
    run(&standby, ours).await;
    until("a COMMIT at the old primary", async || waits(&primary).await.then_some(())).await;
    door.shut();
    sane.ready().await;
    sane.process.terminate().await;
}

/// A primary and its standby, without which nothing is committed.
async fn pair() -> (Server, Server) {
    let primary = Server::postgresql().await;
    let mut standby = Server::place("postgresql");
    let copy =
        "pg_basebackup --pgdata=\"$PGDATA\" --write-recovery-conf --checkpoint=fast --dbname=\"$PRIMARY\"";
    standby.script(copy, &[("PRIMARY", &primary.url)]).await;
    standby.begin().await;
    run(&primary, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    run(&primary, "SELECT pg_reload_conf()").await;
    let is_synchronous = async || {
        let query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        (count(&primary, query).await == 1).then_some(())
    };
    until("a synchronous standby", is_synchronous).await;
    (primary, standby)
}

/// The URL of a primary at a port, and of its standby.
fn both(port: u16, standby: &Server) -> String {
    let standby = port_of(&standby.url);
    let hosts = format!("127.0.0.1:{port},127.0.0.1:{standby}");
    format!("postgres://code_imports@{hosts}/code_imports?target_session_attrs=read-write")
}

/// Whether a COMMIT waits at a server.
async fn waits(server: &Server) -> bool {
    count(server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await > 0
}

async fn run(server: &Server, statement: &str) {
    connect(server).await.batch_execute(statement).await.unwrap();
}

async fn count(server: &Server, query: &str) -> i64 {
    connect(server).await.query_one(query, &[]).await.unwrap().get(0)
}

async fn connect(server: &Server) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&server.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
