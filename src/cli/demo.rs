//! `demo`: the whole system at work, from nothing to imported repositories.
//!
//! A coordinator and two workers on two machine names run as processes of their own, as anybody would start
//! them; repositories are served on loopback; what one sees is what an audit subscriber hears and what the
//! database holds.

mod processes;
mod screen;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::{Instant, timeout_at};

use self::processes::Processes;
use self::screen::Screen;
use self::upstream::Upstream;
use super::serve::shutdown_on_signal;
use crate::broker::{AmqpUrls, Broker, Subscriber};
use crate::config::servers::{BrokerArgs, DatabaseArgs};
use crate::domain::source::SourceInput;
use crate::domain::{EventKind, NewResult, Person, PersonName, RcsType, Status, UniqueName};
use crate::store::{Error, Retention, Store};
use crate::workflow::{Act, Ask, Command, Outcome, Registration};

/// Who acts in the demo: an operator.
const PERSON: &str = "demo";

/// No step takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(90);

/// Repositories of the world take as long as they take.
const PATIENCE_WITH_THE_WORLD: Duration = Duration::from_hours(1);

/// Shows the whole system at work.
#[derive(Args, Clone, Debug)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Import this Git repository, instead of those that the demo makes.
    #[arg(long)]
    url: Option<String>,
    /// Leave everything running at the end, until a signal comes.
    #[arg(long)]
    keep: bool,
    /// Where the demo puts its repositories and logs.
    #[arg(long, default_value = ".services/demo")]
    directory: PathBuf,
    /// Who acts: an operator [default: a person that the demo makes]
    #[arg(long = "as", env = "CODE_IMPORTS_USER", value_name = "NAME")]
    acts: Option<PersonName>,
    /// The address of the broker's console, to be shown.
    #[arg(long, env = "AMQP_CONSOLE_URL", hide_env_values = true)]
    console: Option<String>,
}

/// One thing that is tried, and what should come of it.
struct Step {
    what: &'static str,
    name: UniqueName,
    expected: Vec<Status>,
}

/// What came of it.
struct Seen {
    step: Step,
    result: NewResult,
}

impl Seen {
    fn is_fine(&self) -> bool {
        self.step.expected.contains(&self.result.status)
    }
}

pub(super) async fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let (database, urls, prefix) = crate::config::read_servers(&args.database, &args.broker)?;
    let shutdown = shutdown_on_signal()?;
    if args.directory.exists() {
        std::fs::remove_dir_all(&args.directory).context("the demo's directory cannot be emptied")?;
    }
    std::fs::create_dir_all(&args.directory)?;
    Store::migrate(&database).await?;
    let mut store = Store::connect(&database, "demo").await?;
    store.make_partitions(Retention::default()).await?;
    let mut demo = Demo::new(args, store, &urls, &prefix).await?;
    let played = tokio::select! {
        played = demo.play(args) => played,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    if let Err(error) = &played {
        eprintln!("\nThe demo failed: {error:#}\nThe logs are in {}.", args.directory.display());
    }
    if args.keep && !shutdown.is_cancelled() {
        demo.screen.say("Everything goes on running. Ctrl-C ends it.");
        tokio::select! {
            () = shutdown.cancelled() => {}
            watched = demo.watch() => watched?,
        }
    }
    demo.processes.stop().await;
    Ok(if matches!(played, Ok(true)) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Demo {
    store: Store,
    // The subscription lives as long as its connection.
    _broker: Broker,
    viewer: Person,
    events: Subscriber,
    screen: Screen,
    processes: Processes,
    imports: Vec<UniqueName>,
    patience: Duration,
}

impl Demo {
    async fn new(args: &DemoArgs, mut store: Store, urls: &AmqpUrls, prefix: &str) -> anyhow::Result<Self> {
        let broker = Broker::new(urls.clone(), prefix, &crate::broker::name::here("demo"));
        let viewer = operator(&mut store, args.acts.as_ref()).await?;
        broker.declare().await?;
        let events = broker.subscribe().await?;
        let mut screen = Screen::new();
        screen.say("A coordinator and two workers start; their logs are in the directory of the demo.");
        if let Some(console) = &args.console {
            let (account, password) = urls.login();
            screen.say(&format!("The RabbitMQ console: {console}, login {account}, password {password}"));
        }
        let processes = Processes::start(args)?;
        let patience = if args.url.is_some() { PATIENCE_WITH_THE_WORLD } else { PATIENCE };
        Ok(Self { store, _broker: broker, viewer, events, screen, processes, imports: Vec::new(), patience })
    }

    /// Plays it all. True if everything went as it should.
    async fn play(&mut self, args: &DemoArgs) -> anyhow::Result<bool> {
        let seen = match &args.url {
            Some(url) => self.import_one(url).await?,
            None => self.import_ours(args).await?,
        };
        Screen::summary(&seen);
        Ok(seen.iter().all(Seen::is_fine))
    }

    async fn import_one(&mut self, url: &str) -> anyhow::Result<Vec<Seen>> {
        self.screen.chapter("One repository, from its address");
        let name = name("world/repository");
        self.register(&name, url).await?;
        let expected = vec![Status::Success, Status::SuccessNoChange];
        Ok(vec![self.wait_for(Step { what: "the first import", name, expected }).await?])
    }

    async fn import_ours(&mut self, args: &DemoArgs) -> anyhow::Result<Vec<Seen>> {
        let upstream = Upstream::serve(&args.directory.join("upstream")).await?;
        let [own, branches, tags] = ["code-imports/history", "branches/many", "tags/many"].map(name);
        let nothing = name("nothing/there");

        self.screen.chapter("Four imports are registered; nobody waits for a schedule");
        let step = |what, name: &UniqueName, expected| Step { what, name: name.clone(), expected };
        for (name, repository) in
            [(&own, "own"), (&branches, "branches"), (&tags, "tags"), (&nothing, "nothing")]
        {
            self.register(name, &upstream.url(repository)).await?;
        }
        let firsts = [
            step("this project's own history", &own, vec![Status::Success]),
            step("many branches", &branches, vec![Status::Success]),
            step("many tags", &tags, vec![Status::Success]),
            step("an address where nothing is", &nothing, vec![Status::FailureInvalid]),
        ];
        let mut seen = self.wait_for_all(firsts.into()).await?;
        if !seen.iter().all(Seen::is_fine) {
            // The chapters that follow build on this one.
            return Ok(seen);
        }

        self.screen.chapter("Three commits arrive upstream, and somebody asks for the import");
        upstream.commit("branches", 3).await?;
        self.request(&branches).await?;
        let after = self.wait_for(step("three new commits", &branches, vec![Status::Success])).await?;
        let revisions = after.result.stats.get("revisions").and_then(serde_json::Value::as_u64);
        if revisions != Some(3) {
            bail!("three commits were made upstream, and the import says {revisions:?}");
        }
        seen.push(after);

        self.screen.chapter("Nothing new is there, and somebody asks all the same");
        self.request(&tags).await?;
        seen.push(self.wait_for(step("nothing new", &tags, vec![Status::SuccessNoChange])).await?);
        Ok(seen)
    }

    /// Registers an import, anew where the demo was played before.
    async fn register(&mut self, import: &UniqueName, url: &str) -> anyhow::Result<()> {
        if self.store.import(&self.viewer, import).await?.is_some() {
            self.ask(Act::Delete { import: import.clone() }).await?;
        }
        self.imports.push(import.clone());
        let source = SourceInput { url: Some(url.to_owned()), ..SourceInput::default() };
        self.ask(Act::Register(Registration {
            unique_name: import.clone(),
            rcs_type: RcsType::Git,
            source,
            owner: None,
            review_status: None,
            update_interval: None,
        }))
        .await
    }

    async fn request(&mut self, import: &UniqueName) -> anyhow::Result<()> {
        self.ask(Act::Request { import: import.clone() }).await
    }

    async fn ask(&mut self, act: Act) -> anyhow::Result<()> {
        let policy = processes::policy();
        let ask = Ask { user: self.viewer.name.clone(), message_id: None, act };
        match self.store.apply(&[Command::Ask(ask)], &policy).await?.pop() {
            Some(Outcome::Rejected(rejection)) => bail!("{rejection}"),
            _ => Ok(()),
        }
    }

    async fn wait_for(&mut self, step: Step) -> anyhow::Result<Seen> {
        let mut seen = self.wait_for_all(vec![step]).await?;
        seen.pop().context("one step has one result")
    }

    /// Waits until the run of every step has ended, and shows meanwhile what happens.
    async fn wait_for_all(&mut self, mut steps: Vec<Step>) -> anyhow::Result<Vec<Seen>> {
        let deadline = Instant::now() + self.patience;
        let mut seen = Vec::new();
        while !steps.is_empty() {
            let Some(event) = self.next_event(deadline).await? else {
                let waiting: Vec<String> = steps.iter().map(|step| step.name.to_string()).collect();
                bail!("no result within {:?} of {}", self.patience, waiting.join(", "));
            };
            let (Some(import), EventKind::Finish | EventKind::Reclaim) = (event.import, event.kind) else {
                continue;
            };
            let Some(place) = steps.iter().position(|step| step.name == import.unique_name) else { continue };
            let import = self.store.import(&self.viewer, &import.unique_name).await?;
            let import = import.context("the import that finished is there")?;
            let result = self.store.results(&import, 1).await?.pop().context("a finish leaves a result")?;
            seen.push(Seen { step: steps.remove(place), result });
        }
        self.look().await?;
        Ok(seen)
    }

    /// The next event; none when the time is over. The screen is drawn anew while nothing comes.
    async fn next_event(
        &mut self,
        deadline: Instant,
    ) -> anyhow::Result<Option<crate::protocol::event::EventBody>> {
        loop {
            self.processes.check()?;
            let look = (Instant::now() + screen::REFRESH).min(deadline);
            if let Ok(event) = timeout_at(look, self.events.next()).await {
                let event = event?;
                self.screen.event(&event);
                self.look().await?;
                return Ok(Some(event));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            self.look().await?;
        }
    }

    /// Draws the screen.
    async fn look(&mut self) -> anyhow::Result<()> {
        if !self.screen.is_live() {
            return Ok(());
        }
        let mut rows = Vec::new();
        for name in self.imports.clone() {
            let Some(import) = self.store.import(&self.viewer, &name).await? else { continue };
            let job = self.store.job_of(&import).await?;
            rows.push((import, job));
        }
        let now = self.store.now().await?;
        self.screen.draw(&rows, now);
        Ok(())
    }

    /// Shows what happens, for as long as somebody looks.
    async fn watch(&mut self) -> anyhow::Result<()> {
        loop {
            self.next_event(Instant::now() + PATIENCE).await?;
        }
    }
}

fn name(project: &str) -> UniqueName {
    let name = format!("~{PERSON}/{project}");
    name.parse().unwrap_or_else(|error| unreachable!("a name of our own: {error}"))
}

/// The person who acts: made, where the database is new.
async fn operator(store: &mut Store, acts: Option<&PersonName>) -> anyhow::Result<Person> {
    if let Some(name) = acts {
        let person = store.person(name).await?.with_context(|| format!("There is no person {name}."))?;
        anyhow::ensure!(person.is_operator(), "{name} is no operator; the demo needs one");
        return Ok(person);
    }
    let name: PersonName = PERSON.parse()?;
    let team: PersonName = crate::domain::person::OPERATORS.parse()?;
    if store.person(&name).await?.is_none_or(|person| !person.is_operator()) {
        let added = store.add_person(None, &name, "Demonstrator", false).await;
        let joined = store.add_member(None, &team, &name).await;
        match (added, joined) {
            (_, Ok(())) => {}
            (_, Err(Error::Refused(reason))) => bail!(
                "{reason} There are admins already: let an operator act, `CODE_IMPORTS_USER=NAME make demo`."
            ),
            (_, Err(error)) => return Err(error.into()),
        }
    }
    store.person(&name).await?.context("the person was just made")
}
