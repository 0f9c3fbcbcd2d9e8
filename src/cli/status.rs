//! `status`: the whole system on one screen.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;

use super::argument::interval;
use super::output::{Mood, Output, Text, block, document_line};
use super::session::{Session, SessionArgs};
use super::when;
use crate::broker::Broker;
use crate::config::servers::BrokerArgs;
use crate::service::status::Status;
use crate::store::{Counts, MachineLoad};
use crate::workflow::check_operates;

/// The screen shows so many machines, or as many as fit, and so it stays one.
const MACHINES: usize = 12;

/// We should have heard ourselves since (section 10).
const ECHO_LIMIT_S: f64 = 30.0;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Look again and again, until interrupted: in place on a terminal, else one after the other
    #[arg(long, short)]
    watch: bool,
    /// How often
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval, requires = "watch")]
    interval: TimeDelta,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let (mut session, broker) = args.session.open_with_broker(&args.broker).await?;
    check_operates(&session.viewer().await?, "see the status")?;
    if args.watch {
        let pause = args.interval.to_std()?.max(Duration::from_secs(1));
        tokio::select! {
            ended = watch(&mut session, &broker, pause) => ended?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    } else {
        let status = Status::read(&mut session.store, &broker).await?;
        if session.output.is_json() {
            session.output.document(&status)?;
        } else {
            block(&screen(session.output, &status))?;
        }
    }
    broker.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn watch(session: &mut Session, broker: &Broker, pause: Duration) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = Status::read(&mut session.store, broker).await?;
        if session.output.is_json() {
            document_line(&status)?;
        } else {
            session.output.screen(&screen(session.output, &status))?;
        }
    }
}

/// The screen as text.
fn screen(output: Output, status: &Status) -> String {
    let fields = output.fields_text(fields(status));
    let machines = &status.store.machines;
    // Under the fields: a blank line, the header, how many more there are, and the line of the cursor.
    let room = output.height().map(|height| height.saturating_sub(fields.lines().count() + 4));
    let fitting = room.map_or(MACHINES, |room| room.clamp(1, MACHINES));
    let shown = machines.iter().take(fitting).map(machine).collect();
    let header = ["MACHINE", "STATE", "RUNNING JOBS", "HEARTBEAT"];
    let table = output.table_text(&header, shown, "No machine takes work.");
    let more = machines.len().checked_sub(fitting).filter(|more| *more > 0);
    let more = more.map(|more| format!("\n… and {more} more; `machine list` shows all"));
    format!("{fields}\n\n{table}{}", more.unwrap_or_default())
}

/// What lies ready in the queues, in the order of the flow; of their names, what they do not all begin with.
fn queues(status: &Status) -> String {
    let names = || status.queues.iter().map(|length| length.queue.as_str());
    let first = names().next().unwrap_or_default();
    let ends = first.match_indices('.').map(|(dot, _)| &first[..=dot]);
    let common = ends.rev().find(|begin| names().all(|name| name.starts_with(begin))).unwrap_or_default();
    let lengths = status.queues.iter().map(|length| {
        format!("{} {}", length.queue.strip_prefix(common).unwrap_or(&length.queue), length.ready)
    });
    lengths.collect::<Vec<_>>().join(", ")
}

fn fields(status: &Status) -> Vec<(&'static str, Text)> {
    let Counts { due, lateness_s, dispatched, running, relay_lag, echo_age_s, .. } = status.store.counts;
    let Counts { machines_online, machines_quiescing, machines_silent, .. } = status.store.counts;
    let Counts { results_last_minute, failures_last_minute, failing, .. } = status.store.counts;
    let bad_if = |is_bad: bool, text: String| Text::new(text, if is_bad { Mood::Bad } else { Mood::Plain });
    let late = lateness_s.map(|late| format!(", the latest since {}", span(late))).unwrap_or_default();
    let heard = echo_age_s.map_or_else(|| "never".to_owned(), |age| format!("{} ago", span(age)));
    let machines =
        format!("{machines_online} online, {machines_quiescing} quiescing, {machines_silent} silent");
    let results =
        format!("{results_last_minute} in the last minute, {failures_last_minute} of them failures");
    vec![
        ("Due", Text::from(format!("{due}{late}"))),
        ("Handed out", Text::from(dispatched)),
        ("Running", Text::from(running)),
        ("Machines", bad_if(machines_silent > 0, machines)),
        ("Results", Text::from(format!("{results}{}", listed(&status.store.results_by_status)))),
        ("Failing", Text::from(format!("{failing} imports{}", listed(&status.store.failing_by_status)))),
        ("Rejected", bad_if(status.rejected > 0, status.rejected.to_string())),
        ("Queues", Text::from(queues(status))),
        ("Relay", Text::from(format!("{relay_lag} events to publish"))),
        ("Heard ourselves", bad_if(echo_age_s.is_none_or(|age| age > ECHO_LIMIT_S), heard)),
    ]
}

/// `: FAILURE 2, SUCCESS 40`; nothing for nothing.
fn listed(shares: &BTreeMap<String, i64>) -> String {
    let shares: Vec<_> = shares.iter().map(|(status, count)| format!("{status} {count}")).collect();
    if shares.is_empty() { String::new() } else { format!(": {}", shares.join(", ")) }
}

fn machine(load: &MachineLoad) -> Vec<Text> {
    let heartbeat =
        load.heartbeat_age_s.map_or_else(|| "never".to_owned(), |age| format!("{} ago", span(age)));
    vec![
        Text::from(&load.machine),
        Text::from(&load.state),
        Text::from(load.running_jobs),
        Text::from(heartbeat),
    ]
}

fn span(seconds: f64) -> String {
    when::about(
        TimeDelta::from_std(Duration::try_from_secs_f64(seconds).unwrap_or_default()).unwrap_or_default(),
    )
}
