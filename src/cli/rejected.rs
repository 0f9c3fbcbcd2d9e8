//! `rejected`: look at what could not be applied, send it again, drop it.

mod show;

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::argument::interval;
use super::failure::Usage;
use super::output::{Text, is_meant, line, printable};
use super::session::{Session, SessionArgs};
use super::when;
use crate::broker::rejected::{Look, MAX_LOOKED};
use crate::broker::{Broker, Queue};
use crate::config::servers::BrokerArgs;
use crate::domain::Timestamp;
use crate::service::rejected::{Deed, Which, deal};
use crate::workflow::{Outcome, Policy, Rejection, Reply, check_handles_rejected};
use show::{Document, Summary};

/// People see so many messages before they confirm.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct RejectedArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List rejected messages, oldest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show a message: why it was rejected, its headers and its body
    Show {
        /// Its message id
        id: String,
    },
    /// Send messages again to the queues that they came from
    Replay {
        #[command(flatten)]
        chosen: ChosenArgs,
    },
    /// Drop messages for good
    Drop {
        #[command(flatten)]
        chosen: ChosenArgs,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Those that were rejected with this code: malformed, superseded-run, delivery_limit, …
    #[arg(long)]
    code: Option<String>,
    /// Those that came from this queue: start, heartbeat, finish, commands
    #[arg(long, value_name = "QUEUE")]
    from: Option<String>,
    /// Those that were rejected longer ago
    #[arg(long, value_name = "TIME", value_parser = interval)]
    older_than: Option<TimeDelta>,
    /// Those that were rejected since
    #[arg(long, value_name = "TIME", value_parser = interval)]
    newer_than: Option<TimeDelta>,
}

#[derive(Debug, Args)]
struct ChosenArgs {
    /// Their message ids
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// All of them
    #[arg(long, conflicts_with_all = ["ids", "code", "from", "older_than", "newer_than"])]
    all: bool,
    /// Only say which
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct ListDocument {
    messages: Vec<Summary>,
    /// How many more lie behind those that were looked at.
    unseen: u32,
}

#[derive(Serialize)]
struct ShowDocument {
    messages: Vec<Document>,
}

/// Who deals with the queue, and what they see of it.
struct Desk {
    session: Session,
    broker: Broker,
    look: Look,
    now: Timestamp,
}

pub(super) async fn run(args: RejectedArgs) -> anyhow::Result<ExitCode> {
    let (mut session, broker) = args.session.open_with_broker(&args.broker).await?;
    let viewer = session.viewer().await?;
    check_handles_rejected(&viewer)?;
    let now = session.store.now().await?;
    let look = broker.look_at_rejected().await?;
    let mut desk = Desk { session, broker, look, now };
    let done = match args.verb {
        Verb::List { filter } => desk.list(&filter.which(Vec::new())),
        Verb::Show { id } => desk.show(&id),
        Verb::Replay { chosen } => desk.replay(chosen).await,
        Verb::Drop { chosen, yes } => desk.drop(chosen, yes).await,
    };
    let closed = desk.look.close().await;
    desk.broker.close().await;
    let code = done?;
    closed?;
    Ok(code)
}

impl FilterArgs {
    fn which(self, ids: Vec<String>) -> Which {
        let Self { code, from, older_than, newer_than } = self;
        Which { ids, code, from, older_than, newer_than }
    }
}

impl ChosenArgs {
    /// Which they are. That it is all of them must be said.
    fn which(self) -> Result<Which, Usage> {
        let which = self.filter.which(self.ids);
        if which.is_all() && !self.all {
            return Err(Usage("say which: message ids, --code, --from, --older-than …, or --all".to_owned()));
        }
        Ok(which)
    }
}

impl Desk {
    fn list(&self, which: &Which) -> anyhow::Result<ExitCode> {
        self.table(&self.places(which))?;
        self.tell_unseen();
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, id: &str) -> anyhow::Result<ExitCode> {
        let places = self.places_of_ids(&Which { ids: vec![id.to_owned()], ..Which::default() })?;
        let messages = places.iter().map(|place| self.look.message(*place));
        if self.session.output.is_json() {
            let messages = messages.map(Document::of).collect();
            self.session.output.document(&ShowDocument { messages })?;
            return Ok(ExitCode::SUCCESS);
        }
        for message in messages {
            show::print(self.session.output, message, self.now)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn replay(&mut self, chosen: ChosenArgs) -> anyhow::Result<ExitCode> {
        let is_dry = chosen.dry_run;
        let mut places = self.places_of_ids(&chosen.which()?)?;
        let obstructed: Vec<usize> = {
            let has_obstacle = |place: &usize| self.look.message(*place).obstacle.is_some();
            places.extract_if(.., |place| has_obstacle(place)).collect()
        };
        if is_dry {
            self.table(&places)?;
        } else {
            self.deal(Deed::Replay, &places).await?;
        }
        for place in &obstructed {
            let message = self.look.message(*place);
            let obstacle = message.obstacle.as_deref().unwrap_or_default();
            eprintln!("{} cannot be sent again: {obstacle}", message.id);
        }
        self.tell_unseen();
        Ok(if obstructed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn drop(&mut self, chosen: ChosenArgs, yes: bool) -> anyhow::Result<ExitCode> {
        let is_dry = chosen.dry_run;
        let places = self.places_of_ids(&chosen.which()?)?;
        if is_dry {
            self.table(&places)?;
        } else if !places.is_empty() && !yes && !self.is_drop_meant(&places)? {
            line("Nothing was dropped.")?;
            return Ok(ExitCode::FAILURE);
        } else {
            self.deal(Deed::Drop, &places).await?;
        }
        self.tell_unseen();
        Ok(ExitCode::SUCCESS)
    }

    /// Shows the first ones, and asks.
    fn is_drop_meant(&self, places: &[usize]) -> anyhow::Result<bool> {
        for place in places.iter().take(SHOWN) {
            let Summary { message_id, code, reason, .. } = Summary::of(self.look.message(*place));
            eprintln!("{}", printable(&format!("  {message_id}  {code}: {reason}")));
        }
        if let Some(more) = places.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            eprintln!("  … and {more} more; --dry-run prints all");
        }
        is_meant(&format!("Drop {}?", counted(places.len())))
    }

    async fn deal(&mut self, deed: Deed, places: &[usize]) -> anyhow::Result<()> {
        let user = self.session.named_user()?;
        // The numbers of the policy do not count for what leaves an event only.
        let policy = Policy::default();
        let store = &mut self.session.store;
        let outcome = deal(store, &mut self.look, (deed, places), &user, None, &policy).await?;
        let made = match outcome {
            Outcome::Applied(Reply::Made(made)) => made,
            Outcome::Rejected(rejection) => return Err(rejection.into()),
            other => unreachable!("an act without a message id is no {other:?}"),
        };
        let done = match deed {
            Deed::Replay => "sent again",
            Deed::Drop => "dropped",
        };
        let count = counted(places.len());
        let verb = if places.len() == 1 { "was" } else { "were" };
        self.session.accepted(&made, format!("{count} {verb} {done}."))
    }

    fn places(&self, which: &Which) -> Vec<usize> {
        which.places(&self.look, self.broker.topology.prefix(), self.now)
    }

    /// The same; of every id that is named there must be one.
    fn places_of_ids(&self, which: &Which) -> Result<Vec<usize>, Rejection> {
        let places = self.places(which);
        let is_there = |id: &&String| places.iter().any(|place| self.look.message(*place).id == **id);
        match which.ids.iter().find(|id| !is_there(id)) {
            None => Ok(places),
            Some(id) if self.look.unseen > 0 => Err(Rejection::UnknownMessage(format!(
                "with id {id} among the first {MAX_LOOKED}; {} more lie behind them.",
                self.look.unseen
            ))),
            Some(id) => Err(Rejection::UnknownMessage(format!("with id {id}."))),
        }
    }

    fn table(&self, places: &[usize]) -> anyhow::Result<()> {
        let messages: Vec<Summary> =
            places.iter().map(|place| Summary::of(self.look.message(*place))).collect();
        if self.session.output.is_json() {
            let unseen = self.look.unseen;
            return Ok(self.session.output.document(&ListDocument { messages, unseen })?);
        }
        let row = |message: &Summary| {
            let or_dash = |text: Option<&String>| Text::from(text.map_or("-", String::as_str));
            vec![
                Text::from(&message.message_id),
                Text::from(message.date.map_or_else(|| "-".to_owned(), |at| when::relative(at, self.now))),
                or_dash(Some(&message.code).filter(|code| !code.is_empty())),
                Text::from(&message.from),
                or_dash(message.user_id.as_ref()),
                or_dash(message.replayed_by.as_ref()),
                Text::from(&message.reason),
            ]
        };
        let header = ["MESSAGE ID", "REJECTED", "CODE", "FROM", "SENDER", "REPLAYED BY", "REASON"];
        let none = "No matching rejected messages found.";
        Ok(self.session.output.list(&header, &[], messages.iter().map(row).collect(), none)?)
    }

    fn tell_unseen(&self) {
        let (seen, unseen) = (self.look.messages.len(), self.look.unseen);
        if unseen > 0 {
            let queue = self.broker.topology.queue(Queue::Rejected);
            eprintln!(
                "Only the oldest {seen} messages of {queue} were looked at; {unseen} more lie behind them."
            );
        }
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}
