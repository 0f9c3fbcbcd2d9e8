//! `machine add` and `machine remove`: the account by which a machine's workers connect to the broker.
//!
//! The machine itself is not made here: its first word does that, by the one way there is, and its records stay when
//! its account goes. As with people and teams, what is done with accounts is logged, and is no event.

use clap::Args;
use serde_json::json;

use crate::broker::accounts::WorkerAccounts;
use crate::broker::console::Console;
use crate::broker::{AmqpUrls, Topology};
use crate::cli::failure::Usage;
use crate::cli::output::{Text, line};
use crate::cli::session::Session;
use crate::config::servers::ConsoleArgs;
use crate::domain::job::JobStateName;
use crate::domain::machine::MachineStateName;
use crate::domain::{Hostname, Person};
use crate::store::views::JobFilter;
use crate::workflow::{Act, Policy, check_operates};

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The machine; its account has the same name
    name: Hostname,
    /// Give the account that is there a new password, and the exact permissions of a worker
    #[arg(long)]
    rotate: bool,
    #[command(flatten)]
    servers: ConsoleArgs,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The machine
    name: Hostname,
    /// Although it is not OFFLINE, or runs jobs: it is set OFFLINE, and what it runs is reclaimed
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    servers: ConsoleArgs,
}

/// The broker's part of a machine.
struct Accounts {
    console: Console,
    topology: Topology,
    urls: AmqpUrls,
}

impl Accounts {
    fn read(servers: &ConsoleArgs) -> anyhow::Result<Self> {
        let (urls, prefix, console) = servers.read()?;
        let console = console.ok_or_else(|| {
            Usage("accounts are the console's: say where it is, --console-url or AMQP_CONSOLE_URL".to_owned())
        })?;
        Ok(Self { console, topology: Topology::new(&prefix), urls })
    }

    fn of_workers(&self) -> WorkerAccounts<'_> {
        let vhost = self.urls.vhost().unwrap_or("/");
        WorkerAccounts { console: &self.console, topology: &self.topology, vhost }
    }
}

pub(super) async fn add(session: &mut Session, args: &AddArgs) -> anyhow::Result<()> {
    let person = operator(session, "add machines").await?;
    let accounts = Accounts::read(&args.servers)?;
    let machine = args.name.as_str();
    if session.store.person(&machine.parse()?).await?.is_some() {
        // An account speaks for the person of its name: what a worker says would count as an operator's.
        return Err(crate::broker::Error::Account(format!(
            "{machine} is the name of a person or a team; a machine has a name of its own."
        ))
        .into());
    }
    let workers = accounts.of_workers();
    let password = if args.rotate { workers.rotate(machine).await? } else { workers.add(machine).await? };
    let done = if args.rotate { "got a new password" } else { "was made" };
    tracing::info!(machine, by = person.name.as_str(), "the account {machine} {done}");
    let url = accounts.urls.of_account(machine);
    if session.output.is_json() {
        let document = json!({
            "outcome": "accepted", "machine": machine, "account": machine, "password": password.reveal(), "amqp_url": url,
        });
        return Ok(session.output.document(&document)?);
    }
    line(format!("The account {machine} {done}. Its password is shown this once:"))?;
    session.output.fields(vec![
        ("Account", Text::from(machine)),
        ("Password", Text::from(password.reveal())),
        ("AMQP_URL", Text::from(url)),
    ])?;
    Ok(line(format!("On the machine, type: code-imports worker --machine {machine}"))?)
}

pub(super) async fn remove(session: &mut Session, args: &RemoveArgs, policy: &Policy) -> anyhow::Result<()> {
    let person = operator(session, "remove machines").await?;
    let accounts = Accounts::read(&args.servers)?;
    let machine = args.name.as_str();
    accounts.of_workers().check_is_worker(machine).await?;
    let was = session.store.machine(&person, &args.name).await?;
    let state = was.as_ref().map(|machine| machine.state.name());
    let filter = JobFilter {
        state: Some(JobStateName::Running),
        machine: Some(args.name.clone()),
        limit: super::MAX_JOBS,
        ..JobFilter::default()
    };
    let jobs = session.store.jobs(&person, &filter).await?.len();
    let is_idle = jobs == 0 && state.is_none_or(|state| state == MachineStateName::Offline);
    if !is_idle && !args.force {
        let state = state.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
        return Err(crate::broker::Error::Account(format!(
            "The machine {machine} is {state} and runs {jobs} jobs. Type `machine quiesce {machine}` and wait until it \
            is OFFLINE; or --force, and what it runs is reclaimed."
        ))
        .into());
    }
    if state.is_some_and(|state| state != MachineStateName::Offline) {
        let message = Some("its account is taken away".to_owned());
        let act = Act::SetMachine { machine: args.name.clone(), state: MachineStateName::Offline, message };
        session.ask(act, policy).await?;
    }
    let closed = accounts.of_workers().remove(machine).await?;
    tracing::info!(machine, by = person.name.as_str(), "the account {machine} was taken away");
    if session.output.is_json() {
        let document =
            json!({"outcome": "accepted", "machine": machine, "running_jobs": jobs, "connections": closed});
        return Ok(session.output.document(&document)?);
    }
    line(format!("The account {machine} is gone, and its connections are closed."))?;
    if was.is_some() {
        line(format!("The machine {machine} is OFFLINE, and stays in the records."))?;
    }
    if jobs > 0 {
        line(format!(
            "Its {jobs} running jobs are reclaimed when they have been silent for the heartbeat timeout."
        ))?;
    }
    Ok(())
}

/// Who acts, if they may.
async fn operator(session: &mut Session, act: &str) -> anyhow::Result<Person> {
    let person = session.viewer().await?;
    check_operates(&person, act)?;
    Ok(person)
}
