//! The story of Launchpad's `codeimport-job.txt`, from its first line to its last, and then its older ending.
//!
//! Where the story sets a status or a date behind the workflow's back, so does this, by SQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use chrono::{DateTime, TimeDelta};
use code_imports::domain::event::Event;
use code_imports::domain::job::JobStateName;
use code_imports::domain::source::SourceInput;
use code_imports::domain::{
    Beat, Hostname, Import, Job, JobId, Person, RcsType, Report, ReviewStatus, RunId, RunRef, Status,
    Timestamp,
};
use code_imports::store::Store;
use code_imports::workflow::{Act, Ask, Command, Outcome, Policy, Registration, Reply};
use common::Database;
use uuid::Uuid;

const EVOLUTION: &str = "~vcs-imports/evolution/import";
const GNOME_TERMINAL: &str = "~vcs-imports/gnome-terminal/import";

/// The sample data: one import NEW, one REVIEWED, a machine, and people.
struct World {
    store: Store,
    client: tokio_postgres::Client,
    david: Person,
    events_seen: i64,
    _database: Database,
}

impl World {
    async fn new() -> Self {
        let database = Database::new().await;
        let client = database.client().await;
        let people = "INSERT INTO people (name, display_name) VALUES
                ('david.allouche', 'David Allouche'), ('no-priv', 'No Privileges Person');
            INSERT INTO team_members (team, member) VALUES ('vcs-imports', 'david.allouche')";
        client.batch_execute(people).await.unwrap();
        let mut store = database.store().await;
        let david = store.person(&"david.allouche".parse().unwrap()).await.unwrap().unwrap();
        let mut world = Self { store, client, david, events_seen: 0, _database: database };
        world.register(GNOME_TERMINAL, "https://gitlab.gnome.org/GNOME/gnome-terminal.git", None).await;
        let new = Some(ReviewStatus::New);
        world.register(EVOLUTION, "https://gitlab.gnome.org/GNOME/evolution.git", new).await;
        let machine = "bazaar-importer".parse().unwrap();
        world.apply(Command::Heartbeat { machine, is_idle: true, beats: Vec::new() }).await.unwrap();
        world
    }

    async fn register(&mut self, name: &str, url: &str, review_status: Option<ReviewStatus>) {
        let act = Act::Register(Registration {
            unique_name: name.parse().unwrap(),
            rcs_type: RcsType::Git,
            source: SourceInput { url: Some(url.to_owned()), ..SourceInput::default() },
            owner: Some("vcs-imports".parse().unwrap()),
            review_status,
            update_interval: None,
        });
        let user = self.david.name.clone();
        self.apply(Command::Ask(Ask { user, message_id: None, act })).await.unwrap();
    }

    /// What it answers, or the text of its refusal.
    async fn apply(&mut self, command: Command) -> Result<Reply, String> {
        match self.store.apply(&[command], &Policy::default()).await.unwrap().remove(0) {
            Outcome::Applied(reply) | Outcome::Repeated(reply) => Ok(reply),
            Outcome::Rejected(rejection) => Err(rejection.to_string()),
        }
    }

    async fn import(&mut self, name: &str) -> Import {
        self.store.import(&self.david, &name.parse().unwrap()).await.unwrap().unwrap()
    }

    async fn job_of(&mut self, name: &str) -> Option<Job> {
        let import = self.import(name).await;
        self.store.job_of(&import).await.unwrap()
    }

    async fn sql(&self, statement: &str) {
        self.client.batch_execute(statement).await.unwrap();
    }

    /// The summaries of the events since this was last asked: the story's `NewEvents`.
    async fn new_events(&mut self) -> Vec<String> {
        let events = self.store.events_after(self.events_seen, 100).await.unwrap();
        self.events_seen = events.last().map_or(self.events_seen, |event| event.id);
        events.iter().map(Event::summary).collect()
    }

    async fn is_overdue(&mut self, date_due: &str) -> bool {
        self.sql(&format!("UPDATE jobs SET date_due = {date_due} WHERE id = 1")).await;
        let now = self.store.now().await.unwrap();
        self.job_of(GNOME_TERMINAL).await.unwrap().is_overdue(now)
    }
}

fn run_ref(job: &Job) -> RunRef {
    RunRef { job: job.id, import: job.import_id, run: RunId(Uuid::from_u128(1)) }
}

/// Seconds between two moments.
fn apart(one: Timestamp, other: Timestamp) -> i64 {
    (one - other).num_seconds().abs()
}

// covers: CIJ-01 CIJ-02 CIJ-03 CIJ-04 CIJ-05 CIJ-06 CIJ-07 CIJ-08 CIJ-09 CIJ-10 CIJ-40 CIJ-41 CI-83
#[tokio::test(flavor = "multi_thread")]
async fn code_import_jobs() {
    let mut world = World::new().await;

    // "CodeImports are hidden from regular users currently. David Allouche is a member of the vcs-imports team
    // and can access the objects freely."
    let no_priv = world.store.person(&"no-priv".parse().unwrap()).await.unwrap().unwrap();
    let seen = world.store.import(&no_priv, &GNOME_TERMINAL.parse().unwrap()).await.unwrap();
    assert_eq!(seen, None);

    // "The code-import-worker scripts are attached to specific job objects and retrieve jobs by database id."
    let by_id = world.store.job(&world.david, JobId(1)).await.unwrap().unwrap();
    assert_eq!(world.store.job(&world.david, JobId(999)).await.unwrap(), None);

    // "The webapp gets the current job for display using the CodeImport.import_job property."
    assert_eq!(world.job_of(GNOME_TERMINAL).await, Some(by_id.job));

    // == Sample data of interest ==
    assert_eq!(world.import(EVOLUTION).await.review_status.to_string(), "NEW");
    assert_eq!(world.job_of(EVOLUTION).await, None);
    assert_eq!(world.import(GNOME_TERMINAL).await.review_status.to_string(), "REVIEWED");

    // == Testing whether a job is overdue ==
    assert!(!world.is_overdue("'2100-01-01 UTC'").await);
    assert!(world.is_overdue("'1900-01-01 UTC'").await);
    assert!(world.is_overdue("now()").await);

    // == Creating a new job ==
    world.sql("UPDATE imports SET review_status = 'REVIEWED' WHERE unique_name LIKE '%evolution%'").await;
    let evolution = world.import(EVOLUTION).await.id;
    world.new_events().await;
    world.apply(Command::NewJob { import: evolution }).await.unwrap();
    let new_job = world.job_of(EVOLUTION).await.unwrap();
    assert_eq!(new_job.state_name(), JobStateName::Pending);
    assert_eq!(
        world.apply(Command::NewJob { import: evolution }).await.unwrap_err(),
        "Already associated to a CodeImportJob: ~vcs-imports/evolution/import"
    );

    // == Deleting a pending job ==
    world.sql("UPDATE imports SET review_status = 'INVALID' WHERE unique_name LIKE '%evolution%'").await;
    world.apply(Command::DeletePendingJob { import: evolution }).await.unwrap();
    assert_eq!(world.job_of(EVOLUTION).await, None);
    assert_eq!(world.new_events().await, Vec::<String>::new());

    request_start_and_progress(&mut world).await;
    assert_eq!(world.store.broken_invariants().await.unwrap(), Vec::<String>::new());
}

// covers: CIJ-11 CIJ-12 CIJ-13 CIJ-14 CIJ-15 CIJ-16 CIJ-17
async fn request_start_and_progress(world: &mut World) {
    // == Requesting a job run ==
    world.sql("UPDATE jobs SET date_due = '2100-01-01 UTC' WHERE id = 1").await;
    let no_priv = "no-priv".parse().unwrap();
    let request = Command::RequestJob { job: JobId(1), user: no_priv };
    world.apply(request.clone()).await.unwrap();
    let pending_job = world.job_of(GNOME_TERMINAL).await.unwrap();
    assert_eq!(pending_job.requesting_user.as_ref().unwrap().as_str(), "no-priv");
    let now = world.store.now().await.unwrap();
    assert!(pending_job.is_overdue(now) && apart(pending_job.date_due, now) < 10);
    assert_eq!(world.new_events().await, ["REQUEST ~vcs-imports/gnome-terminal/import no-priv"]);

    // "Once a job has been requested by a user, it cannot be requested a second time."
    assert_eq!(
        world.apply(request).await.unwrap_err(),
        "The CodeImportJob associated with ~vcs-imports/gnome-terminal/import was already requested by no-priv."
    );

    // == Starting a job ==
    let run = run_ref(&pending_job);
    let machine: Hostname = "bazaar-importer".parse().unwrap();
    let start = Command::Start { run, machine: machine.clone() };
    assert!(matches!(world.apply(start).await, Ok(Reply::Started(import)) if import.id == run.import));
    assert_eq!(world.new_events().await, ["START ~vcs-imports/gnome-terminal/import bazaar-importer"]);
    let running = world.job_of(GNOME_TERMINAL).await.unwrap();
    let progress = running.run().unwrap();
    assert_eq!((progress.id, &progress.machine), (run.run, &machine));
    assert_eq!(
        (&running.requesting_user, running.date_due),
        (&pending_job.requesting_user, pending_job.date_due)
    );
    assert_eq!(progress.log_tail, "");

    // == Recording progress on a job ==
    let long_ago = "date_started = '2007-01-01 UTC', heartbeat = '2007-01-01 UTC'";
    world.sql(&format!("UPDATE jobs SET {long_ago} WHERE id = 1")).await;
    let beats = vec![Beat { run, log_tail: "some interesting log output".to_owned() }];
    let heard = world.apply(Command::Heartbeat { machine, is_idle: false, beats }).await.unwrap();
    assert!(matches!(heard, Reply::Heard { stop, .. } if stop.is_empty()));
    let running = world.job_of(GNOME_TERMINAL).await.unwrap();
    let progress = running.run().unwrap();
    assert!(apart(progress.heartbeat, world.store.now().await.unwrap()) < 10);
    assert_eq!(progress.date_started, DateTime::from_timestamp(1_167_609_600, 0).unwrap());
    assert_eq!(progress.log_tail, "some interesting log output");
    // "No code import events are generated by this method."
    assert_eq!(world.new_events().await, Vec::<String>::new());
}

/// The ending that the story had before 2011: the job finishes, and the next one is taken from a silent machine.
// covers: CIJ-18 CIJ-19 CIJ-20 CIJ-22 CIJ-23
#[tokio::test(flavor = "multi_thread")]
async fn finishing_and_reclaiming_a_job() {
    let mut world = World::new().await;
    let machine: Hostname = "bazaar-importer".parse().unwrap();
    let first = world.job_of(GNOME_TERMINAL).await.unwrap();
    world.apply(Command::Start { run: run_ref(&first), machine: machine.clone() }).await.unwrap();
    world.new_events().await;

    let report = Report::of(Status::Success);
    let finish = Command::Finish { run: run_ref(&first), machine: machine.clone(), report };
    world.apply(finish).await.unwrap();
    assert_eq!(world.store.job(&world.david, first.id).await.unwrap(), None);
    let next = world.job_of(GNOME_TERMINAL).await.unwrap();
    assert_ne!(next.id, first.id);
    let import = world.import(GNOME_TERMINAL).await;
    let results = world.store.results(&import, 10).await.unwrap();
    assert_eq!((results.len(), results[0].status), (1, Status::Success));
    assert_eq!(next.date_due, results[0].date_job_started + TimeDelta::hours(6));
    assert!(apart(results[0].date_created, world.store.now().await.unwrap()) < 10);
    assert_eq!(world.new_events().await, ["FINISH ~vcs-imports/gnome-terminal/import bazaar-importer"]);

    world.apply(Command::Start { run: run_ref(&next), machine }).await.unwrap();
    world
        .sql("UPDATE jobs SET date_started = now() - interval '1 h', heartbeat = now() - interval '1 h'")
        .await;
    world.sql("INSERT INTO hearing (heard, since) VALUES (now(), now() - interval '1 day')").await;
    world.new_events().await;
    world.apply(Command::Reclaim { import: next.import_id, job: next.id }).await.unwrap();
    assert_eq!(world.store.job(&world.david, next.id).await.unwrap(), None);
    let results = world.store.results(&import, 10).await.unwrap();
    assert_eq!((results.len(), results[0].status), (2, Status::Reclaimed));
    let after = world.job_of(GNOME_TERMINAL).await.unwrap();
    let now = world.store.now().await.unwrap();
    assert!(after.is_overdue(now) && apart(after.date_due, now) < 10);
    assert_eq!(world.new_events().await, ["RECLAIM ~vcs-imports/gnome-terminal/import bazaar-importer"]);
    assert_eq!(world.store.broken_invariants().await.unwrap(), Vec::<String>::new());
}
