//! What a shell completes: verbs and flags by themselves, names by asking the database.
//!
//! Nobody waits for a key that was pressed in passing: the question has a limit, and whatever goes wrong, an
//! address that is not set or a database that is away, completes nothing and says nothing. Names come only as far as
//! the person of `CODE_IMPORTS_USER` may see them.

use std::ffi::OsStr;
use std::fmt::Display;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use strum::VariantArray;

use super::Cli;
use crate::domain::{Person, PersonName};
use crate::store::views::JobFilter;
use crate::store::{DatabaseUrl, Error, Store};

/// By which our scripts say that they complete, and for which shell.
pub(super) const VARIABLE: &str = "CODE_IMPORTS_COMPLETE";

/// The whole question, connecting and all.
const TIMEOUT: Duration = Duration::from_secs(1);

/// So many names are offered.
const MAX_NAMES: i64 = 50;

/// Of what the names are.
#[derive(Clone, Copy, Debug)]
enum Noun {
    Import,
    Machine,
    Person,
    Job,
    JobOrImport,
}

/// Completes and ends, if a shell asks for it.
pub fn complete() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// Names of imports.
pub(super) fn imports() -> ArgValueCompleter {
    names(Noun::Import)
}

/// Names of machines.
pub(super) fn machines() -> ArgValueCompleter {
    names(Noun::Machine)
}

/// Names of people and teams.
pub(super) fn people() -> ArgValueCompleter {
    names(Noun::Person)
}

/// Numbers of jobs that run or are due.
pub(super) fn jobs() -> ArgValueCompleter {
    names(Noun::Job)
}

/// Numbers of jobs, or names of imports.
pub(super) fn jobs_or_imports() -> ArgValueCompleter {
    names(Noun::JobOrImport)
}

/// The words of an enumeration.
pub(super) fn words<T: Display + VariantArray + Send + Sync>() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        T::VARIANTS.iter().map(|word| CompletionCandidate::new(word.to_string())).collect()
    })
}

fn names(noun: Noun) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        // zsh and fish tell the quote with which somebody began: there a bare `~` begins the name of a user.
        let begin = current.to_str().map(|begin| begin.trim_start_matches(['\'', '"', '\\']));
        let names = begin.and_then(|begin| ask(noun, begin)).unwrap_or_default();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Asks the database; none if that did not work.
fn ask(noun: Noun, begin: &str) -> Option<Vec<String>> {
    let url: DatabaseUrl = std::env::var("DATABASE_URL").ok()?.parse().ok()?;
    let user: PersonName = std::env::var("CODE_IMPORTS_USER").ok()?.parse().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async {
        let mut store = Store::connect(&url, "completion").await?;
        match store.person(&user).await? {
            Some(viewer) => found(&mut store, &viewer, noun, begin).await,
            None => Ok(Vec::new()),
        }
    };
    let asked = runtime.block_on(async { tokio::time::timeout(TIMEOUT, asking).await });
    // What still hangs in it is left behind.
    runtime.shutdown_background();
    asked.ok()?.ok()
}

async fn found(store: &mut Store, viewer: &Person, noun: Noun, begin: &str) -> Result<Vec<String>, Error> {
    match noun {
        Noun::JobOrImport if begin.starts_with('~') => {
            let names = store.import_names_from(viewer, begin, MAX_NAMES).await?;
            Ok(names.iter().map(ToString::to_string).collect())
        }
        Noun::Import => {
            let names = store.import_names_from(viewer, begin, MAX_NAMES).await?;
            Ok(names.iter().map(ToString::to_string).collect())
        }
        Noun::Machine => store.machine_names_from(viewer, begin, MAX_NAMES).await,
        Noun::Person => store.people_names_from(begin, MAX_NAMES).await,
        Noun::Job | Noun::JobOrImport => {
            let jobs = store.jobs(viewer, &JobFilter { limit: MAX_NAMES, ..JobFilter::default() }).await?;
            let numbers = jobs.iter().map(|listed| listed.job.id.to_string());
            Ok(numbers.filter(|number| number.starts_with(begin)).collect())
        }
    }
}
