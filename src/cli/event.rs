//! `event`: read the audit log.

use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::argument::{ImportWord, import, interval, one_of};
use super::complete;
use super::import::find;
use super::output::{Text, document_line, line};
use super::session::{Session, SessionArgs};
use super::when;
use crate::domain::{EventKind, Hostname, Person, PersonName, Timestamp};
use crate::protocol::event::EventBody;
use crate::store::views::EventFilter;

/// How often the log is read on.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// So many events are read at once.
const PAGE: i64 = 1_000;

#[derive(Debug, Args)]
pub(super) struct EventArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List events, newest last
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// The first ones after this event, not the latest of all
        #[arg(long, value_name = "ID")]
        after: Option<i64>,
        /// Those of the last while, like 2h
        #[arg(long, value_name = "TIME", value_parser = interval, conflicts_with = "after")]
        since: Option<TimeDelta>,
    },
    /// Print events as they happen, a line each, until interrupted
    Follow {
        #[command(flatten)]
        filter: FilterArgs,
        /// Begin after this event, not with the next one that happens
        #[arg(long, value_name = "ID")]
        after: Option<i64>,
    },
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Those of this import: its name; or its number, also when it is deleted
    #[arg(long, value_name = "NAME", value_parser = import, add = complete::imports())]
    import: Option<ImportWord>,
    /// Those of this machine
    #[arg(long, value_name = "NAME", add = complete::machines())]
    machine: Option<Hostname>,
    /// Those of what this person did. No index has them: it looks back through what the others leave
    #[arg(long, value_name = "NAME", add = complete::people())]
    person: Option<PersonName>,
    /// Those of this type: CREATE, MODIFY, DELETE, REQUEST, START, FINISH, RECLAIM, KILL, ONLINE, OFFLINE,
    /// QUIESCE, REPLAY, DROP
    #[arg(long = "type", value_name = "TYPE", value_parser = one_of::<EventKind>, add = complete::words::<EventKind>())]
    kind: Option<EventKind>,
}

#[derive(Serialize)]
struct ListDocument {
    events: Vec<EventBody>,
}

pub(super) async fn run(args: EventArgs) -> anyhow::Result<ExitCode> {
    let mut session = args.session.open().await?;
    let viewer = session.viewer().await?;
    match args.verb {
        Verb::List { filter, limit, after, since } => {
            let mut filter = filter.resolve(&mut session, &viewer).await?;
            if let Some(age) = since {
                filter.after = Some(session.store.last_event_before(age).await?);
            }
            list(&mut session, &viewer, &filter, limit, after).await?;
        }
        Verb::Follow { filter, after } => {
            let filter = filter.resolve(&mut session, &viewer).await?;
            tokio::select! {
                ended = follow(&mut session, &viewer, &filter, after) => ended?,
                interrupted = tokio::signal::ctrl_c() => interrupted?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl FilterArgs {
    async fn resolve(self, session: &mut Session, viewer: &Person) -> anyhow::Result<EventFilter> {
        let import = match self.import {
            Some(ImportWord::Name(name)) => Some(find(session, viewer, &name).await?.id),
            Some(ImportWord::Id(id)) => Some(id),
            None => None,
        };
        Ok(EventFilter {
            import,
            machine: self.machine,
            kind: self.kind,
            person: self.person,
            ..EventFilter::default()
        })
    }
}

async fn list(
    session: &mut Session,
    viewer: &Person,
    filter: &EventFilter,
    limit: i64,
    after: Option<i64>,
) -> anyhow::Result<()> {
    let events = match after {
        Some(after) => session.store.events_between(viewer, filter, (after, i64::MAX), limit).await?,
        None => session.store.latest_events(viewer, filter, limit).await?,
    };
    let events: Vec<EventBody> = events.into_iter().map(EventBody::from).collect();
    if session.output.is_json() {
        return Ok(session.output.document(&ListDocument { events })?);
    }
    let now = session.store.now().await?;
    let rows = events.iter().map(|event| row(event, now)).collect();
    Ok(session.output.list(&HEADER, &[], rows, NONE)?)
}

const HEADER: [&str; 7] = ["ID", "WHEN", "TYPE", "IMPORT", "PERSON", "MACHINE", "DATA"];
const NONE: &str = "No matching events found.";

/// Prints what is after the cursor, for ever. Everything up to the log's end is committed, since its counter is
/// locked until the COMMIT; so the cursor can go there, whatever the filter left out.
async fn follow(
    session: &mut Session,
    viewer: &Person,
    filter: &EventFilter,
    after: Option<i64>,
) -> anyhow::Result<()> {
    let mut cursor = match after {
        Some(after) => after,
        None => session.store.log_end().await?.end,
    };
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    loop {
        ticks.tick().await;
        let end = session.store.log_end().await?.end;
        while cursor < end {
            let events = session.store.events_between(viewer, filter, (cursor, end), PAGE).await?;
            let is_last = events.len() < usize::try_from(PAGE)?;
            cursor = events.last().filter(|_| !is_last).map_or(end, |last| last.id);
            for event in events {
                print(session, &event.into())?;
            }
        }
    }
}

fn print(session: &Session, event: &EventBody) -> std::io::Result<()> {
    if session.output.is_json() {
        return document_line(event);
    }
    let data = data(event);
    let between = if data.is_empty() { "" } else { "  " };
    line(format!("{} {} {}{between}{data}", event.id, when::absolute(event.date), event.summary))
}

/// A table of events.
pub(super) fn table(session: &Session, events: &[EventBody], now: Timestamp) -> std::io::Result<()> {
    session.output.table(&HEADER, events.iter().map(|event| row(event, now)).collect(), NONE)
}

fn row(event: &EventBody, now: Timestamp) -> Vec<Text> {
    let name = |name: Option<String>| Text::from(name.unwrap_or_else(|| "-".to_owned()));
    vec![
        Text::from(event.id),
        Text::from(when::both(event.date, now)),
        Text::from(event.kind),
        name(event.import.as_ref().map(|import| import.unique_name.to_string())),
        name(event.person.as_ref().map(ToString::to_string)),
        name(event.machine.as_ref().map(ToString::to_string)),
        Text::from(data(event)),
    ]
}

/// What an event says beside who, what and where. Of a change, people want to know only what is different; the
/// whole snapshot is in the document.
fn data(event: &EventBody) -> String {
    let is_change = event.kind == EventKind::Modify;
    let told = |(key, value): (&String, &String)| match event.data.get(&format!("OLD_{key}")) {
        Some(old) => Some(format!("{key}: {old} → {value}")),
        None if key == "CODE_IMPORT" || key.starts_with("OLD_") => None,
        None if is_change && !matches!(key.as_str(), "STATUS" | "REASON") => None,
        None => Some(format!("{key}: {value}")),
    };
    event.data.iter().filter_map(told).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_change_people_are_told_what_is_different() {
        #[track_caller]
        fn check(kind: EventKind, expected: &str) {
            let data = [
                ("CODE_IMPORT", "2"),
                ("OLD_OWNER", "a"),
                ("OWNER", "b"),
                ("STATUS", "FAILURE"),
                ("URL", "u"),
            ];
            let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let event = EventBody {
                id: 1,
                epoch: uuid::Uuid::nil(),
                epoch_first: 1,
                kind,
                date: Timestamp::UNIX_EPOCH,
                import: None,
                person: None,
                machine: None,
                data,
                summary: String::new(),
            };
            assert_eq!(super::data(&event), expected);
        }
        check(EventKind::Modify, "OWNER: a → b, STATUS: FAILURE");
        check(EventKind::Create, "OWNER: a → b, STATUS: FAILURE, URL: u");
    }
}
