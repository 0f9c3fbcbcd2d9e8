//! What goes on while servers die: imports that run again and again, and an operator who registers more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use code_imports::broker::publish::Outgoing;
use code_imports::protocol::event::EventBody;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::process::{until, within};
use crate::simulation::{Simulation, check_results};
use crate::talker::{Talker, message};
use crate::world::{Coordinator, USER, World};

/// So many imports run once a second.
const IMPORTS: usize = 20;

/// What a coordinator is told for that.
pub(crate) const SERVE: &str = "--update-interval 1s";

const RESULTS: &str = "SELECT count(*) FROM results";

const REGISTERED: &str = "SELECT count(*) FROM imports WHERE review_status = 'SUSPENDED'";

pub(crate) struct Load {
    workers: [Simulation; 2],
    stop: CancellationToken,
    /// Tells how many commands the broker has confirmed.
    operator: JoinHandle<i64>,
}

impl Load {
    /// Begins, in a world in which a coordinator runs.
    pub(crate) async fn begin(world: &World) -> Self {
        Self::begin_with(world, |n| format!("https://example.org/import-{n}.git")).await
    }

    /// The same, with imports of these addresses.
    pub(crate) async fn begin_with(world: &World, url: impl Fn(usize) -> String) -> Self {
        // What the workers say is shown when the test fails.
        let log = tracing_subscriber::fmt().with_test_writer().with_env_filter("code_imports=debug");
        drop(log.try_init());
        let talker = Talker::new(&world.amqp_url).await;
        for n in 0..IMPORTS {
            talker.publish(&registration(&format!("import-{n}"), &url(n), "REVIEWED")).await.unwrap();
        }
        let begin = |machine| Simulation::begin(&world.amqp_url, machine, 6, Duration::from_millis(100));
        let workers = [begin("simulated-1"), begin("simulated-2")];
        let stop = CancellationToken::new();
        let operator = tokio::spawn(register(world.amqp_url.clone(), stop.clone()));
        let load = Self { workers, stop, operator };
        load.goes_on(world).await;
        load
    }

    /// Waits until every import could have run twice, and the operator has been heard.
    pub(crate) async fn goes_on(&self, world: &World) {
        let count = async |query| until(query, async || count(world, query).await).await;
        let (results, registered) = (count(RESULTS).await, count(REGISTERED).await);
        let have_run = async || count(RESULTS).await >= results + 2 * i64::try_from(IMPORTS).unwrap();
        until("more results", async || have_run().await.then_some(())).await;
        until("more imports", async || (count(REGISTERED).await > registered).then_some(())).await;
    }

    /// Ends it all; what was answered and what was confirmed is there, once, and was told to subscribers in order.
    pub(crate) async fn end(self, world: &World) {
        self.stop.cancel();
        let confirmed = within("the operator", self.operator).await.unwrap();
        world.at_least(confirmed, REGISTERED).await;
        let mut reported = BTreeSet::new();
        for worker in self.workers {
            reported.extend(worker.leave().await);
        }
        check_results(world, reported).await;
        assert_eq!(world.count(REGISTERED).await, confirmed);
        assert_eq!(world.ready_messages("rejected").await, 0);
        world.check_invariants().await;
        check_events(world).await;
    }
}

/// A number, if the database can be asked at all.
async fn count(world: &World, query: &str) -> Option<i64> {
    let sql = world.try_sql().await?;
    Some(sql.query_one(query, &[]).await.ok()?.get(0))
}

/// Registers one import after the other. A command that was not confirmed is sent again: it is the same one.
async fn register(amqp_url: String, stop: CancellationToken) -> i64 {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let mut talker = None;
    let nth = |n: i64| {
        let project = format!("more-{n}");
        registration(&project, &format!("https://example.org/{project}.git"), "SUSPENDED")
    };
    let (mut next, mut confirmed) = (nth(0), 0);
    while !stop.is_cancelled() {
        ticks.tick().await;
        let Some(connected) = &talker else {
            talker = Talker::connect(&amqp_url).await.ok();
            continue;
        };
        if connected.publish(&next).await.is_ok() {
            confirmed += 1;
            next = nth(confirmed);
        } else {
            talker = None;
        }
    }
    confirmed
}

fn registration(project: &str, url: &str, status: &str) -> Outgoing {
    let body = json!({"type": "register", "import": format!("~vcs-imports/{project}/import"), "rcs_type": "GIT",
        "url": url, "review_status": status, "user": USER});
    message("command", &body)
}

/// Every event of the log has come, none before one of a lower id, and no id said two things.
async fn check_events(world: &World) {
    let last = world.count("SELECT next_id - 1 FROM event_counter").await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let mut heard: BTreeMap<i64, EventBody> = BTreeMap::new();
    while heard.len() < usize::try_from(last).unwrap() {
        let event = audit.next().await;
        let next = heard.last_key_value().map_or(1, |(last, _)| last + 1);
        assert!(event.id <= next, "event {} came when {next} was the next", event.id);
        let before = heard.entry(event.id).or_insert_with(|| event.clone());
        assert_eq!(*before, event);
    }
    let query = "SELECT id, date_created::text FROM events ORDER BY id";
    for row in world.sql().await.query(query, &[]).await.unwrap() {
        let id: i64 = row.get(0);
        assert!(heard.contains_key(&id), "event {id} is in the log and was not told");
    }
    assert_eq!(world.count("SELECT count(*) FROM events").await, last);
}

/// All are well, and go.
pub(crate) async fn leave(coordinators: [Coordinator; 2]) {
    for coordinator in coordinators {
        coordinator.ready().await;
        coordinator.process.terminate().await;
    }
}
