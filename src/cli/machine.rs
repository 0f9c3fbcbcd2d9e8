//! `machine`: look at machines, set their states, and give them accounts at the broker.

mod account;

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::argument::{interval, one_of};
use super::document::{JobDocument, MachineDocument};
use super::output::{Mood, Text, line};
use super::session::{ActorArgs, Session};
use super::{complete, event, hint, job, when};
use crate::domain::job::JobStateName;
use crate::domain::machine::MachineStateName;
use crate::domain::{Hostname, OfflineReason, Timestamp};
use crate::protocol::event::EventBody;
use crate::store::views::{EventFilter, JobFilter};
use crate::workflow::{Act, Policy, Rejection};

/// So many events are shown.
const EVENTS: i64 = 10;

/// More jobs than any one machine runs.
const MAX_JOBS: i64 = 10_000;

#[derive(Debug, Args)]
pub(super) struct MachineArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    actor: ActorArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List machines
    List {
        /// Those in this state: ONLINE, QUIESCING, OFFLINE
        #[arg(long, value_parser = one_of::<MachineStateName>, add = complete::words::<MachineStateName>())]
        state: Option<MachineStateName>,
        /// Those that have said nothing for longer than this, like 1min
        #[arg(long, value_name = "TIME", value_parser = interval)]
        silent: Option<TimeDelta>,
    },
    /// Show a machine, its jobs and its latest events
    Show {
        /// The machine
        #[arg(add = complete::machines())]
        name: Hostname,
    },
    /// Let a machine take work
    Online(StateArgs),
    /// Let a machine finish what it has, and take no more; then it goes OFFLINE by itself
    Quiesce(StateArgs),
    /// Let a machine take no work; its running jobs go on
    Offline(StateArgs),
    /// Make the broker account by which a machine's workers connect; its password is shown once
    Add(account::AddArgs),
    /// Take a machine's broker account away, and close its connections; the machine itself stays in the records
    Remove(account::RemoveArgs),
}

#[derive(Debug, Args)]
struct StateArgs {
    /// The machine
    #[arg(add = complete::machines())]
    name: Hostname,
    /// Why, for people; it stands in the event
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

#[derive(Serialize)]
struct ListDocument {
    machines: Vec<MachineDocument>,
}

#[derive(Serialize)]
struct ShowDocument {
    #[serde(flatten)]
    machine: MachineDocument,
    jobs: Vec<JobDocument>,
    /// The latest of the machine itself, newest last; those of its jobs are in the log.
    events: Vec<EventBody>,
}

pub(super) async fn run(args: MachineArgs) -> anyhow::Result<ExitCode> {
    let (mut session, policy) = args.actor.open().await?;
    match args.verb {
        Verb::List { state, silent } => list(&mut session, state, silent).await?,
        Verb::Show { name } => show(&mut session, &name).await?,
        Verb::Online(args) => set(&mut session, args, MachineStateName::Online, &policy).await?,
        Verb::Quiesce(args) => set(&mut session, args, MachineStateName::Quiescing, &policy).await?,
        Verb::Offline(args) => set(&mut session, args, MachineStateName::Offline, &policy).await?,
        Verb::Add(args) => account::add(&mut session, &args).await?,
        Verb::Remove(args) => account::remove(&mut session, &args, &policy).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(
    session: &mut Session,
    args: StateArgs,
    state: MachineStateName,
    policy: &Policy,
) -> anyhow::Result<()> {
    let words = format!("The machine {} is {state} now.", args.name);
    let act = Act::SetMachine { machine: args.name, state, message: args.message };
    let made = session.ask(act, policy).await?;
    session.accepted(&made, words)
}

async fn list(
    session: &mut Session,
    wanted: Option<MachineStateName>,
    silent: Option<TimeDelta>,
) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    let machines = session.store.machines(&viewer).await?;
    let now = session.store.now().await?;
    let documents = machines.iter().map(|listed| MachineDocument::of(&listed.machine, listed.running_jobs));
    let is_silent = |machine: &MachineDocument| {
        silent.is_none_or(|limit| machine.heartbeat.is_none_or(|heartbeat| now - heartbeat > limit))
    };
    let is_wanted =
        |machine: &MachineDocument| wanted.is_none_or(|wanted| wanted == machine.state) && is_silent(machine);
    let machines: Vec<_> = documents.filter(is_wanted).collect();
    if session.output.is_json() {
        return Ok(session.output.document(&ListDocument { machines })?);
    }
    let row = |machine: &MachineDocument| {
        let since = when::both(machine.date_state, now);
        let heartbeat =
            machine.heartbeat.map_or("never".to_owned(), |heartbeat| when::relative(heartbeat, now));
        vec![
            Text::from(&machine.machine),
            state(machine),
            since.into(),
            heartbeat.into(),
            machine.running_jobs.into(),
        ]
    };
    let header = ["MACHINE", "STATE", "SINCE", "HEARTBEAT", "RUNNING JOBS"];
    let none = match (wanted, silent) {
        (None, None) => "No machine has spoken yet. On one that is to work, type: code-imports worker",
        _ => "No matching machines found.",
    };
    Ok(session.output.list(&header, &[], machines.iter().map(row).collect(), none)?)
}

async fn show(session: &mut Session, name: &Hostname) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    let machine = session.store.machine(&viewer, name).await?;
    let Some(machine) = machine else {
        let hint = hint::similar_machine(session, &viewer, name.as_str()).await;
        return Err(hint::below(Rejection::UnknownMachine(name.clone()).into(), hint));
    };
    let running = Some(JobStateName::Running);
    let machine_jobs = JobFilter { state: running, machine: Some(name.clone()), ..JobFilter::default() };
    let filter = JobFilter { limit: MAX_JOBS, ..machine_jobs };
    let jobs = session.store.jobs(&viewer, &filter).await?;
    let jobs: Vec<_> = jobs.into_iter().map(|listed| JobDocument::of(&listed.job, listed.import)).collect();
    let filter = EventFilter { machine: Some(name.clone()), without_imports: true, ..EventFilter::default() };
    let events = session.store.latest_events(&viewer, &filter, EVENTS).await?;
    let document = ShowDocument {
        machine: MachineDocument::of(&machine, i64::try_from(jobs.len())?),
        jobs,
        events: events.into_iter().map(EventBody::from).collect(),
    };
    if session.output.is_json() {
        return Ok(session.output.document(&document)?);
    }
    let now = session.store.now().await?;
    print(session, &document, now)
}

fn print(session: &Session, shown: &ShowDocument, now: Timestamp) -> anyhow::Result<()> {
    let machine = &shown.machine;
    let fields = vec![
        ("Machine", Text::from(&machine.machine)),
        ("State", state(machine)),
        ("Since", when::both(machine.date_state, now).into()),
        ("Heartbeat", when::both_or_never(machine.heartbeat, now).into()),
    ];
    session.output.fields(fields)?;
    line("")?;
    job::table(session, &shown.jobs, now, "It runs no job.")?;
    line("")?;
    event::table(session, &shown.events, now)?;
    Ok(())
}

/// A machine's state, with its reason; silent ones are bad.
fn state(machine: &MachineDocument) -> Text {
    match machine.offline_reason {
        Some(reason @ OfflineReason::Watchdog) => {
            Text::new(format!("{} ({reason})", machine.state), Mood::Bad)
        }
        Some(reason) => Text::from(format!("{} ({reason})", machine.state)),
        None => Text::from(machine.state),
    }
}
