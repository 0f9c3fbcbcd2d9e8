//! Three nodes of RabbitMQ, of which any one may die.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::audit::Audit;
use crate::load::{Load, SERVE, leave};
use crate::process::Running;
use crate::server::{kill_recorded, script};
use crate::world::{Coordinator, World};

/// Every node, after the one on which everybody is at that moment.
const NODES: [usize; 3] = [1, 2, 3];

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_nothing_whichever_it_is() {
    let cluster = Cluster::start().await;
    let (world, coordinators) = cluster.world().await;
    let load = Load::begin(&world).await;
    for node in NODES {
        cluster.kill(node).await;
        for coordinator in &coordinators {
            let next = cluster.port(node % NODES.len() + 1);
            coordinator.process.line(&format!("went over to RabbitMQ at 127.0.0.1:{next}: ")).await;
        }
        load.goes_on(&world).await;
        cluster.start_again(node).await;
        load.goes_on(&world).await;
    }
    load.end(&world).await;
    leave(coordinators).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_restarted_one_after_the_other_lose_nothing() {
    let cluster = Cluster::start().await;
    let (world, coordinators) = cluster.world().await;
    let load = Load::begin(&world).await;
    for node in NODES {
        cluster.stop(node).await;
        cluster.start_again(node).await;
    }
    load.goes_on(&world).await;
    load.end(&world).await;
    leave(coordinators).await;
}

/// A cluster of a test's own.
struct Cluster {
    urls: String,
    directory: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let mut cluster = Self { urls: String::new(), directory: tempfile::tempdir().unwrap() };
        let lines = cluster.cluster("start", "").await;
        let urls = lines.iter().find_map(|line| line.strip_prefix("export AMQP_URL="));
        urls.unwrap().clone_into(&mut cluster.urls);
        cluster
    }

    /// A world on it, with a subscriber and two coordinators.
    async fn world(&self) -> (World, [Coordinator; 2]) {
        let world = World::at(None, Some(self.urls.clone())).await;
        Audit::bind(&world.amqp_url).await;
        let coordinators = ["first", "second"].map(|name| world.serve(name, SERVE));
        (world, coordinators)
    }

    fn port(&self, node: usize) -> u16 {
        crate::door::port_of(self.urls.split(',').nth(node - 1).unwrap())
    }

    async fn kill(&self, node: usize) {
        kill_recorded(&self.directory.path().join(format!("{node}/rabbitmq.pid")), Signal::KILL).await;
    }

    async fn stop(&self, node: usize) {
        self.cluster("stop", &node.to_string()).await;
    }

    async fn start_again(&self, node: usize) {
        self.cluster("start", &node.to_string()).await;
    }

    async fn cluster(&self, verb: &str, node: &str) -> Vec<String> {
        let ended = Running::start("cluster", &self.command(&[verb, node])).end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended.lines
    }

    fn command(&self, words: &[&str]) -> Command {
        script("cluster", words, "CLUSTER_DIR", self.directory.path())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A panic here would hide the test's own.
        drop(self.command(&["stop"]).output());
    }
}
