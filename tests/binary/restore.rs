//! Backup and restore as `docs/backup.md` tells it: its commands are run as they stand, while everything runs.

use std::collections::BTreeMap;

use code_imports::protocol::event::EventBody;
use rustix::process::Signal;

use crate::audit::Audit;
use crate::door::Door;
use crate::process::{Running, until};
use crate::server::Server;
use crate::upstream::{Upstream, refs};
use crate::world::{Coordinator, World};

const DOCUMENT: &str = include_str!("../../docs/backup.md");

/// A coordinator with whom everything comes round within seconds.
const QUICK: &str = "--update-interval 1s --dispatch-timeout 5s --heartbeat-interval 1s --heartbeat-timeout 5s \
    --machine-timeout 5s --echo-interval 1s";

/// Where all runs are.
const MACHINE: &str = "bazaar-importer";

/// So many imports run again and again.
const IMPORTS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_brings_back_the_moment_at_which_it_began() {
    let [take, restore] = &commands("A dump")[..] else { panic!("{DOCUMENT}") };
    let database = Server::postgresql().await;
    let mut life = Life::begin(&database).await;
    database.script(take, &[]).await;
    life.go_on().await;
    database.script(restore, &[]).await;
    life.recover().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_backup_and_the_log_bring_back_any_moment() {
    let [prepare, take, restore] = &commands("Any moment")[..] else { panic!("{DOCUMENT}") };
    let database = Server::postgresql().await;
    database.script(prepare, &[]).await;
    database.stop().await;
    database.start_again().await;
    let mut life = Life::begin(&database).await;
    database.script(take, &[]).await;
    life.runs_all_again().await;
    let moment = life.world.text("SELECT clock_timestamp()::text").await;
    life.go_on().await;
    database.kill(Signal::QUIT).await;
    database.script(restore, &[("MOMENT", &moment)]).await;
    database.start_again().await;
    let is_open = "SELECT (NOT pg_is_in_recovery())::int::bigint";
    life.world.at_least(1, is_open).await;
    life.recover().await;
}

/// The shell commands below a heading, block by block.
fn commands(heading: &str) -> Vec<String> {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// What goes on before, during and after.
struct Life {
    world: World,
    coordinator: Coordinator,
    worker: Running,
    upstream: Upstream,
    /// Where a run waits that has begun before the moment, and where one waits that begins after it.
    doors: [Door; 2],
    /// The jobs of those two runs.
    jobs: [i64; 2],
}

impl Life {
    /// Imports run again and again, but for one whose run waits.
    async fn begin(database: &Server) -> Self {
        let world = World::on(Some(database), None).await;
        let upstream = Upstream::serve(&world).await;
        let doors = [Door::held_to(upstream.port).await, Door::held_to(upstream.port).await];
        Audit::bind(&world.amqp_url).await;
        let coordinator = world.serve("coordinator", QUICK);
        let worker = world.start(MACHINE, &format!("worker --machine {MACHINE} --targets targets --slots 8"));
        for n in 0..IMPORTS {
            world.register(&format!("~vcs-imports/project-{n}/import"), &upstream.another_url(n)).await;
        }
        let (_, held) = world.register("~vcs-imports/held/import", &Upstream::url_at(doors[0].port)).await;
        worker.line(&format!("started job {held} ")).await;
        let mut life = Self { world, coordinator, worker, upstream, doors, jobs: [held, 0] };
        life.runs_all_again().await;
        life
    }

    /// Waits until every import has run once more.
    async fn runs_all_again(&mut self) {
        let last = self.world.count("SELECT coalesce(max(id), 0) FROM results").await;
        let again = format!("SELECT count(DISTINCT import_id) FROM results WHERE id > {last}");
        self.world.at_least(i64::try_from(IMPORTS).unwrap(), &again).await;
    }

    /// What will be lost: the run that waited ends, an import is registered and its run begins, all others run too.
    async fn go_on(&mut self) {
        let world = &self.world;
        self.doors[0].open();
        self.worker.line(&format!("job {} has ended: SUCCESS", self.jobs[0])).await;
        let (_, job) =
            world.register("~vcs-imports/lost/import", &Upstream::url_at(self.doors[1].port)).await;
        self.jobs[1] = job;
        self.worker.line(&format!("started job {job} ")).await;
        self.runs_all_again().await;
    }

    /// The coordinator has stopped itself; after what the document says, everything settles.
    async fn recover(mut self) {
        let ended = self.coordinator.process.end().await;
        assert_eq!(ended.code, Some(3), "{}", ended.text());
        assert!(ended.text().contains("restored? run `code-imports after-restore`"), "{}", ended.text());
        let world = &self.world;
        let lost = "SELECT count(*) FROM imports WHERE unique_name = '~vcs-imports/lost/import'";
        assert_eq!(world.count(lost).await, 0);
        let first = world.count("SELECT next_id FROM event_counter").await;

        let [after] = &commands("After every restore")[..] else { panic!("{DOCUMENT}") };
        world.run(after.trim().strip_prefix("code-imports ").unwrap()).await;
        let coordinator = world.serve("again", QUICK);
        self.worker.line(&format!("job {} is stopped: its run is not current any more", self.jobs[1])).await;
        let known = i64::try_from(IMPORTS + 1).unwrap();
        assert_eq!(world.count("SELECT count(*) FROM imports").await, known);
        let well = "SELECT count(DISTINCT import_id) FROM results
            WHERE job_id > 1000000000 AND status IN ('SUCCESS', 'SUCCESS_NOCHANGE')";
        world.at_least(known, well).await;
        let taken =
            format!("SELECT count(*) FROM results WHERE status = 'RECLAIMED' AND job_id = {}", self.jobs[0]);
        assert_eq!(world.count(&taken).await, 1);
        self.doors[1].open();

        self.upstream.commit("after the restore");
        let target = world.directory.path().join("targets/000/000/1.git");
        let is_new = async || (refs(&target) == self.upstream.refs()).then_some(());
        until("what is new upstream", is_new).await;
        self.worker.terminate().await;
        // A relay that is told to stop leaves to the next one what it has not read yet.
        let is_told = "SELECT (last_id = next_id - 1)::int::bigint FROM event_counter, event_cursor";
        world.at_least(1, is_told).await;
        coordinator.process.terminate().await;
        check_events(world, first).await;
        let rejected = world.json("rejected list").await;
        for message in rejected["messages"].as_array().unwrap() {
            let code = message["code"].as_str().unwrap();
            assert!(["unknown-job", "superseded-run"].contains(&code), "{message}");
        }
        world.check_invariants().await;
    }
}

/// A subscriber has heard both epochs without a gap, and can read off what was lost.
async fn check_events(world: &World, first: i64) {
    let last = world.count("SELECT next_id - 1 FROM event_counter").await;
    let mut audit = Audit::read(&world.amqp_url).await;
    let mut heard: BTreeMap<i64, BTreeMap<i64, EventBody>> = BTreeMap::new();
    while heard.get(&first).is_none_or(|epoch| !epoch.contains_key(&last)) {
        let event = audit.next().await;
        heard.entry(event.epoch_first).or_default().insert(event.id, event);
    }
    assert_eq!(heard.keys().copied().collect::<Vec<_>>(), [1, first]);
    for (first, epoch) in &heard {
        let ids: Vec<i64> = epoch.keys().copied().collect();
        assert_eq!(ids, (*first..*first + i64::try_from(epoch.len()).unwrap()).collect::<Vec<_>>());
    }
    let is_lost = |event: &&EventBody| event.id >= first && event.summary.starts_with("CREATE ");
    let missing: Vec<&str> = heard[&1].values().filter(is_lost).map(|event| event.summary.as_str()).collect();
    assert_eq!(missing, ["CREATE ~vcs-imports/lost/import david.allouche"]);
}
