//! Acts on many imports: chosen by names or by what they are, shown, confirmed, and applied in batches.
//!
//! Each import is an ask of its own through the one door, with its rights and its event. What was chosen is read
//! before anything is asked, so what is confirmed is what is done; an import that changed meanwhile is judged as it
//! is then. A run that was interrupted has done a beginning of it, and can simply be repeated.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::argument;
use super::super::complete;
use super::super::failure::Usage;
use super::super::output::{is_meant, line, printable};
use super::super::session::Session;
use super::selector::SelectorArgs;
use crate::domain::{ReviewStatus, UniqueName};
use crate::store::views::ImportFilter;
use crate::workflow::{Act, Ask, Command, Outcome, Policy, Reply};

/// So many are done at once; the names of a run take some ten megabytes then.
const MAX_CHOSEN: i64 = 100_000;

/// So many asks are one transaction. It locks their imports, so it must be short.
const BATCH: usize = 200;

/// People see so many names before they confirm.
const SHOWN: usize = 10;

/// Which imports are acted on.
#[derive(Debug, Args)]
pub(super) struct ChoiceArgs {
    /// The names of their targets, ~owner/project/name; or none, and what they are instead
    #[arg(value_name = "NAME", value_parser = argument::name, add = complete::imports())]
    names: Vec<UniqueName>,
    #[command(flatten)]
    consent: ConsentArgs,
    /// All of them
    #[arg(long, help_heading = "Which imports")]
    all: bool,
    /// At most so many, the first that were registered
    #[arg(
        long,
        value_name = "COUNT",
        help_heading = "Which imports",
        value_parser = clap::value_parser!(i64).range(1..=MAX_CHOSEN)
    )]
    limit: Option<i64>,
    // The last, since its heading stays.
    #[command(flatten)]
    selector: SelectorArgs,
}

/// Whether it is meant.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ConsentArgs {
    /// Only say which
    #[arg(long)]
    dry_run: bool,
    /// Do not ask whether it is meant
    #[arg(long)]
    yes: bool,
}

/// What is done with imports, for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed {
    /// `Suspend`.
    pub(super) verb: &'static str,
    /// `suspended`.
    pub(super) done: &'static str,
    /// The review statuses that are meant where none is said: those for which there is something to do. None is any.
    pub(super) statuses: &'static [ReviewStatus],
    /// Whether one asks although the imports were named.
    pub(super) is_grave: bool,
}

/// The imports of an act.
pub(super) enum Choice {
    /// One, which was named: it is answered as it always was.
    One {
        /// Which.
        name: UniqueName,
        /// Whether nobody is to be asked.
        is_confirmed: bool,
    },
    /// Some.
    Many(Chosen),
}

/// Many imports, by name.
pub(super) struct Chosen {
    names: Vec<UniqueName>,
    /// Whether there are more than one run takes.
    has_more: bool,
    /// Whether somebody must confirm it.
    is_asked: bool,
    consent: ConsentArgs,
}

#[derive(Serialize)]
struct DryDocument<'a> {
    dry_run: bool,
    imports: &'a [UniqueName],
    /// Whether there are more than one run takes.
    more: bool,
}

#[derive(Default, Serialize)]
struct DoneDocument {
    chosen: usize,
    changed: usize,
    unchanged: usize,
    refused: Vec<RefusedDocument>,
    /// Whether there are more than one run takes.
    more: bool,
}

#[derive(Serialize)]
struct RefusedDocument {
    import: UniqueName,
    code: &'static str,
    reason: String,
}

impl ChoiceArgs {
    /// Which imports those are.
    pub(super) async fn choose(self, session: &mut Session, deed: Deed) -> anyhow::Result<Choice> {
        let mut filter = self.selector.filter();
        let is_selected = self.all || filter != ImportFilter::default();
        if !self.names.is_empty() {
            if is_selected || self.limit.is_some() {
                return Err(Usage("say names, or what the imports are; not both".to_owned()).into());
            }
            return Ok(Choice::named(self.names, self.consent, deed));
        }
        if !is_selected {
            let which = "say which: names, or --status, --host, --owner, --name-prefix …, or --all";
            return Err(Usage(which.to_owned()).into());
        }
        if filter.review_statuses.is_empty() {
            filter.review_statuses.extend_from_slice(deed.statuses);
        }
        let viewer = session.viewer().await?;
        let limit = self.limit.unwrap_or(MAX_CHOSEN);
        let mut names = session.store.import_names(&viewer, &filter, limit + 1).await?;
        let has_more = names.len() > usize::try_from(limit)?;
        names.truncate(usize::try_from(limit)?);
        Ok(Choice::Many(Chosen { names, has_more, is_asked: true, consent: self.consent }))
    }
}

impl Choice {
    /// Imports that were named.
    pub(super) fn named(mut names: Vec<UniqueName>, consent: ConsentArgs, deed: Deed) -> Self {
        if names.len() == 1 && !consent.dry_run {
            return Self::One { name: names.remove(0), is_confirmed: consent.yes };
        }
        Self::Many(Chosen { names, has_more: false, is_asked: deed.is_grave, consent })
    }
}

impl Chosen {
    /// Does it to each, once it is confirmed. Exits 1 if any was refused.
    pub(super) async fn apply(
        self,
        session: &mut Session,
        deed: Deed,
        policy: &Policy,
        act: impl Fn(UniqueName) -> Act,
    ) -> anyhow::Result<ExitCode> {
        if self.consent.dry_run {
            return self.rehearse(session, deed);
        }
        if self.is_asked && !self.names.is_empty() && !self.consent.yes {
            eprintln!("{}", printable(&self.preview()));
            if !is_meant(&format!("{} {}?", deed.verb, counted(self.names.len())))? {
                line(format!("Nothing was {}.", deed.done))?;
                return Ok(ExitCode::FAILURE);
            }
        }
        let mut done =
            DoneDocument { chosen: self.names.len(), more: self.has_more, ..DoneDocument::default() };
        for names in self.names.chunks(BATCH) {
            if let Err(error) = done.add(session, names, policy, &act).await {
                let before = done.changed + done.unchanged;
                eprintln!(
                    "{before} of {} were {} before this; to go on, type it again",
                    done.chosen, deed.done
                );
                return Err(error);
            }
        }
        done.tell(session, deed)
    }

    fn rehearse(&self, session: &Session, deed: Deed) -> anyhow::Result<ExitCode> {
        let document = DryDocument { dry_run: true, imports: &self.names, more: self.has_more };
        if session.output.is_json() {
            session.output.document(&document)?;
        } else if session.output.is_names() {
            self.names.iter().try_for_each(line)?;
        } else {
            line(format!("{} would be {}.", counted(self.names.len()), deed.done))?;
            line(self.preview())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The first names, and how many more.
    fn preview(&self) -> String {
        let mut lines: Vec<_> = self.names.iter().take(SHOWN).map(|name| format!("  {name}")).collect();
        if let Some(more) = self.names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            lines.push(format!("  … and {more} more; --dry-run --output name prints all"));
        }
        if self.has_more {
            lines.push("There are more than one run takes; select fewer at a time.".to_owned());
        }
        lines.join("\n")
    }
}

impl DoneDocument {
    /// Does it to some, in one transaction.
    async fn add(
        &mut self,
        session: &mut Session,
        names: &[UniqueName],
        policy: &Policy,
        act: impl Fn(UniqueName) -> Act,
    ) -> anyhow::Result<()> {
        let user = session.named_user()?;
        let ask = |name: &UniqueName| {
            Command::Ask(Ask { user: user.clone(), message_id: None, act: act(name.clone()) })
        };
        let commands: Vec<_> = names.iter().map(ask).collect();
        let outcomes = session.store.apply(&commands, policy).await?;
        for (name, outcome) in names.iter().zip(outcomes) {
            match outcome {
                Outcome::Applied(Reply::Made(made)) if made.changed == Some(false) => self.unchanged += 1,
                Outcome::Applied(_) => self.changed += 1,
                Outcome::Rejected(rejection) => self.refused.push(RefusedDocument {
                    import: name.clone(),
                    code: rejection.code(),
                    reason: rejection.to_string(),
                }),
                Outcome::Repeated(_) => unreachable!("an ask without a message id is never a repeat"),
            }
        }
        Ok(())
    }

    fn tell(&self, session: &Session, deed: Deed) -> anyhow::Result<ExitCode> {
        if session.output.is_json() {
            session.output.document(self)?;
        } else {
            for RefusedDocument { import, code, reason } in &self.refused {
                eprintln!("refused: {import}: {} ({code})", printable(reason));
            }
            let (changed, unchanged, refused) = (self.changed, self.unchanged, self.refused.len());
            let were = if changed == 1 { "was" } else { "were" };
            let mut words = format!("{} {were} {}", counted(changed), deed.done);
            if unchanged > 0 {
                words = format!("{words}, {unchanged} had nothing to change");
            }
            if refused > 0 {
                words = format!("{words}, {refused} refused");
            }
            line(format!("{words}."))?;
            if self.more {
                session.output.more("There are more than one run takes; select fewer at a time.")?;
            }
        }
        Ok(if self.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 import".to_owned() } else { format!("{count} imports") }
}
