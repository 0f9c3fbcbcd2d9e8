//! `import load`: many imports at once, from JSON lines or CSV.
//!
//! A thread reads and parses ahead, at most a few batches; each batch is one transaction through the one door,
//! so it is judged as the same number of `import register` would be. What is there already as it is described
//! is skipped: so a load that was interrupted is taken up by running it again.

mod batches;
mod csv;
mod lines;
mod record;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use self::batches::{Batch, Entry};
use self::report::{Report, Told};
use super::super::failure::INTERRUPTED;
use super::super::session::Session;
use crate::domain::PersonName;
use crate::protocol::Refusal;
use crate::workflow::{Act, Ask, Command, Made, Outcome, Policy, Rejection, Reply};

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The file; `-` is standard input
    file: PathBuf,
    /// What the file holds [default: by its name's ending, else by how it begins]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where every line that was refused is noted, as JSON lines: line, code, reason
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
}

/// What a file of imports holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One object a line: import, rcs_type, url or cvs_root and cvs_module; if wanted owner, review_status,
    /// update_interval_s
    Json,
    /// The same, the first line naming the columns; one import a line
    Csv,
}

pub(super) async fn load(
    session: &mut Session,
    args: &LoadArgs,
    policy: &Policy,
) -> anyhow::Result<ExitCode> {
    // What is wrong with who acts is said once, and not of every line.
    let user = session.viewer().await?.name;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let (size, mut batches) = batches::read(&args.file, args.format)?;
    let mut report = Report::begin(size, args.errors.as_deref())?;
    let was_interrupted = loop {
        // A batch that is being applied is never left: the count that is told is true.
        let batch = tokio::select! {
            biased;
            _ = interrupt.recv() => break true,
            _ = terminate.recv() => break true,
            batch = batches.recv() => batch,
        };
        let Some(batch) = batch else { break false };
        let applied = match batch {
            Ok(batch) => apply(session, &user, batch, policy, &mut report).await,
            Err(error) => Err(error),
        };
        applied.inspect_err(|_| report.give_up())?;
    };
    report.end(session.output, was_interrupted)?;
    Ok(match was_interrupted {
        true => ExitCode::from(INTERRUPTED),
        false if report.has_refused() => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

async fn apply(
    session: &mut Session,
    user: &PersonName,
    batch: Batch,
    policy: &Policy,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut numbers = Vec::with_capacity(batch.entries.len());
    let mut commands = Vec::with_capacity(batch.entries.len());
    let mut told = Vec::new();
    for Entry { number, read } in batch.entries {
        match read {
            Ok(registration) => {
                numbers.push(number);
                let act = Act::Load(registration);
                commands.push(Command::Ask(Ask { user: user.clone(), message_id: None, act }));
            }
            Err(refusal) => told.push((number, Told::Refused(refusal))),
        }
    }
    if !commands.is_empty() {
        let outcomes = session.store.apply(&commands, policy).await?;
        told.extend(numbers.into_iter().zip(outcomes.into_iter().map(said)));
    }
    told.sort_by_key(|(number, _)| *number);
    report.note(told, batch.last_line, batch.bytes)
}

fn said(outcome: Outcome) -> Told {
    match outcome {
        Outcome::Applied(Reply::Made(Made { changed: Some(false), .. })) => Told::WasThere,
        Outcome::Applied(Reply::Made(_)) => Told::Registered,
        Outcome::Rejected(rejection) => Told::Refused(refusal(&rejection)),
        other => unreachable!("a load is answered by what it made, not by {other:?}"),
    }
}

fn refusal(rejection: &Rejection) -> Refusal {
    Refusal::new(rejection.code(), rejection)
}
