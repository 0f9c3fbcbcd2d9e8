//! Everything that runs while things are broken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use code_imports::store::Store;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::answers;
use crate::coordinator::{Coordinator, copy_program, program};
use crate::history::History;
use crate::library::Library;
use crate::link::Link;
use crate::operator::{USER, name, operate};
use crate::postgresql::Cluster;
use crate::process::{pass, run, until};
use crate::rabbitmq::Rabbitmq;
use crate::real::Real;
use crate::settings::{IMPORTS, REAL_IMPORTS, Settings};
use crate::subscriber::listen;
use crate::worker::{Machine, Orders};

/// A worker that answers late may have begun to be silent just now, and says all before it leaves.
const LEAVES: Duration = Duration::from_mins(2);

/// How far the clocks of the simulated machines are off, in seconds.
const CLOCKS: [i64; 3] = [0, 3600, -3600];

/// What the library's workers, which live in this process, log.
const LIBRARY_LOG: &str = "library.log";

/// Everything that runs.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) directory: PathBuf,
    pub(crate) history: History,
    pub(crate) database: Cluster,
    pub(crate) broker: Rabbitmq,
    pub(crate) coordinators: [Arc<Coordinator>; 2],
    /// Between the broker and simulated workers, workers of the library, real ones, the subscriber.
    pub(crate) simulated_link: Link,
    pub(crate) library_link: Link,
    pub(crate) real_link: Link,
    pub(crate) subscriber_link: Link,
    pub(crate) library: Library,
    pub(crate) real: Arc<Real>,
    orders: Orders,
    machines: Vec<JoinHandle<()>>,
    /// Ends whoever asks, listens and looks.
    stop: CancellationToken,
    operators: JoinHandle<()>,
    listening: JoinHandle<()>,
    reading: JoinHandle<()>,
}

impl World {
    /// Starts the servers, and then everybody.
    pub(crate) async fn start(settings: Settings, directory: &Path) -> Self {
        let history = History::default();
        copy_program(directory);
        answers::log_to(&directory.join(LIBRARY_LOG));
        let (database, broker) = tokio::join!(Cluster::start(directory), Rabbitmq::start(directory));
        prepare(directory, &database, &broker).await;
        let real_link = Link::to(broker.port).await;
        let real = Arc::new(Real::start(directory, real_link.port, &history).await);
        register(&database, real.port).await;
        let (ports, amqp) = (database.ports(), broker.port);
        let new = async |name| Coordinator::new(name, ports, amqp, directory.to_owned(), &history).await;
        let coordinators = [new("coordinator-1").await, new("coordinator-2").await];
        let links = [Link::to(amqp).await, Link::to(amqp).await, Link::to(amqp).await];
        let [simulated_link, library_link, subscriber_link] = links;
        let url = |link: &Link| Rabbitmq::url_at(link.port);
        let listening = tokio::spawn(listen(url(&subscriber_link), history.clone()));
        let reading = tokio::spawn(crate::rejects::read(broker.url(), history.clone()));
        let orders = Orders::default();
        let machines = CLOCKS.iter().zip(0..).map(|(clock, number)| {
            let machine = Machine::new(number, &url(&simulated_link), &history, settings, *clock);
            tokio::spawn(machine.live(orders.clone()))
        });
        let machines = machines.collect();
        let library = Library::start(&url(&library_link), &history);
        let stop = CancellationToken::new();
        let operating = operate(broker.url(), history.clone(), settings.seed ^ 0x6f70, stop.clone());
        let operators = tokio::spawn(operating);
        let directory = directory.to_owned();
        Self {
            settings,
            directory,
            history,
            database,
            broker,
            coordinators,
            simulated_link,
            library_link,
            real_link,
            subscriber_link,
            library,
            real,
            orders,
            machines,
            stop,
            operators,
            listening,
            reading,
        }
    }

    /// The coordinator that dispatches, or the other one; and whether it does, since perhaps neither does.
    pub(crate) async fn coordinator(&self, is_leader: bool) -> (&Arc<Coordinator>, bool) {
        let [first, second] = &self.coordinators;
        let (does_first, does_second) = tokio::join!(first.leads(), second.leads());
        if does_first == is_leader || does_second != is_leader {
            (first, does_first)
        } else {
            (second, does_second)
        }
    }

    /// Looks at section 3, if the database answers.
    pub(crate) async fn look(&self) {
        let Ok(url) = self.database.url().parse() else { return };
        let looking = async {
            let mut store = Store::connect(&url, "referee").await.ok()?;
            store.broken_invariants().await.ok()
        };
        if let Ok(Some(broken)) = tokio::time::timeout(Duration::from_secs(8), looking).await {
            let mut facts = self.history.facts();
            facts.looks += 1;
            facts.broken.extend(broken);
        }
    }

    /// One number, by SQL, if the database answers.
    pub(crate) async fn count(&self, query: &str) -> Option<i64> {
        self.rows(query).await?.first()?.get(0)
    }

    /// What is known of the jobs for which this holds, if the database answers.
    pub(crate) async fn jobs(&self, condition: &str) -> Option<Vec<String>> {
        let query = format!(
            "SELECT format('job %s of %s, due %s, handed out %s, started %s by %s', jobs.id, unique_name,
                date_due, date_dispatched, date_started, machine)
             FROM jobs JOIN imports ON imports.id = import_id WHERE {condition}"
        );
        Some(self.rows(&query).await?.iter().map(|row| row.get(0)).collect())
    }

    async fn rows(&self, query: &str) -> Option<Vec<tokio_postgres::Row>> {
        let client = self.database.connect().await?;
        tokio::time::timeout(Duration::from_secs(5), client.query(query, &[])).await.ok()?.ok()
    }

    /// From now on everybody behaves, and operators ask for nothing.
    pub(crate) async fn calm(&mut self) {
        self.orders.behave.cancel();
        self.stop.cancel();
        drop((&mut self.operators).await);
        for coordinator in &self.coordinators {
            coordinator.calm().await;
        }
        self.real.calm().await;
        // What operators took out of service comes back.
        for number in 0..CLOCKS.len() {
            let words = format!("machine online simulated-{number} --as {USER}");
            self.run_cli(&words).await;
        }
    }

    /// Lets all workers leave, once all that they said is answered; tells which could not.
    pub(crate) async fn leave(&mut self) -> Vec<String> {
        self.orders.leave.cancel();
        let machines = std::mem::take(&mut self.machines);
        let leaving = async {
            let mut left_behind = Vec::new();
            for (number, machine) in machines.into_iter().enumerate() {
                if tokio::time::timeout(LEAVES, machine).await.is_err() {
                    left_behind.push(format!("simulated-{number}"));
                }
            }
            left_behind
        };
        let (simulated, library, real) = tokio::join!(leaving, self.library.leave(), self.real.leave());
        [simulated, library, real].concat()
    }

    /// Reads what our own workers wrote down of the answers that they got.
    pub(crate) fn read_answers(&self) {
        self.real.read_answers();
        answers::read(&self.history, &self.directory.join(LIBRARY_LOG), None);
    }

    /// Waits until the subscriber has heard everything up to this, and ends it.
    pub(crate) async fn hear_up_to(&self, last: i64) {
        let heard = async || self.history.facts().heard.iter().any(|heard| heard.id >= last);
        until(Duration::from_secs(30), heard).await;
        pass(Duration::from_millis(500)).await;
        self.listening.abort();
        self.reading.abort();
    }

    /// Runs the program past every proxy; what it prints goes to the log.
    pub(crate) async fn run_cli(&self, words: &str) -> bool {
        run_cli(&self.directory, &self.database, &self.broker, words).await
    }
}

async fn run_cli(directory: &Path, database: &Cluster, broker: &Rabbitmq, words: &str) -> bool {
    let mut program = program(directory);
    program.args(words.split_whitespace());
    program.env("DATABASE_URL", database.url()).env("AMQP_URL", broker.url());
    run(&mut Command::from(program), &directory.join("cli.log")).await
}

/// Schema, topology, and an operator.
async fn prepare(directory: &Path, database: &Cluster, broker: &Rabbitmq) {
    assert!(run_cli(directory, database, broker, "migrate").await, "see cli.log");
    assert!(run_cli(directory, database, broker, "topology apply").await, "see cli.log");
    let people = format!(
        "INSERT INTO people (name, display_name) VALUES ('{USER}', 'David Allouche');
         INSERT INTO team_members VALUES ('vcs-imports', '{USER}'), ('admins', '{USER}')"
    );
    database.connect().await.unwrap().batch_execute(&people).await.unwrap();
}

/// Registers all imports, past the broker, in one transaction of the store.
async fn register(database: &Cluster, port: u16) {
    use code_imports::workflow::{Act, Ask, Command, Policy, Registration};
    let policy = Policy {
        sources: code_imports::domain::SourcePolicy {
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..code_imports::domain::SourcePolicy::default()
        },
        ..Policy::default()
    };
    let simulated = (0..IMPORTS).map(|n| (name(n), "HG", format!("https://example.org/{n}")));
    let real = (0..REAL_IMPORTS).map(|n| {
        (format!("~vcs-imports/real-{n}/import"), "GIT", format!("git://127.0.0.1:{port}/{n}/.git"))
    });
    let commands: Vec<Command> = simulated
        .chain(real)
        .map(|(name, rcs_type, url)| {
            let source = code_imports::domain::source::SourceInput { url: Some(url), ..Default::default() };
            let registration = Registration {
                unique_name: name.parse().unwrap(),
                rcs_type: rcs_type.parse().unwrap(),
                source,
                owner: None,
                review_status: None,
                update_interval: None,
            };
            Command::Ask(Ask {
                user: USER.parse().unwrap(),
                message_id: None,
                act: Act::Register(registration),
            })
        })
        .collect();
    let url = database.url().parse().unwrap();
    let mut store = Store::connect(&url, "harness").await.unwrap();
    store.make_partitions(code_imports::store::Retention::default()).await.unwrap();
    let outcomes = store.apply(&commands, &policy).await.unwrap();
    let refused =
        outcomes.iter().filter(|outcome| !matches!(outcome, code_imports::workflow::Outcome::Applied(_)));
    assert_eq!(refused.count(), 0, "{outcomes:?}");
}
