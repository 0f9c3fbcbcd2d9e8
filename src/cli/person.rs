//! `person`: add and list people.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::Text;
use super::session::{Session, SessionArgs};
use crate::domain::PersonName;
use crate::workflow::Made;

#[derive(Debug, Args)]
pub(super) struct PersonArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a person, or a team. Admins may; and anybody, while there is no admin yet
    Add {
        /// What they are called everywhere, for ever
        name: PersonName,
        /// What they are called in full [default: the name]
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// It is a team: it has members, who act
        #[arg(long)]
        team: bool,
    },
    /// List people and teams
    List,
}

#[derive(Serialize)]
struct ListDocument {
    people: Vec<PersonDocument>,
}

#[derive(Serialize)]
struct PersonDocument {
    name: PersonName,
    display_name: String,
    is_team: bool,
}

pub(super) async fn run(args: PersonArgs) -> anyhow::Result<ExitCode> {
    let mut session = args.session.open().await?;
    match args.verb {
        Verb::Add { name, display_name, team } => {
            let display_name = display_name.as_deref().unwrap_or(name.as_str());
            session.store.add_person(session.user.as_ref(), &name, display_name, team).await?;
            let kind = if team { "team" } else { "person" };
            session.accepted(&Made::default(), format!("The {kind} {name} was added."))?;
        }
        Verb::List => list(&mut session).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(session: &mut Session) -> anyhow::Result<()> {
    session.check_known().await?;
    let people = session.store.people().await?.into_iter();
    let document = people.map(|listed| PersonDocument {
        name: listed.name,
        display_name: listed.display_name,
        is_team: listed.is_team,
    });
    let people: Vec<_> = document.collect();
    if session.output.is_json() {
        return Ok(session.output.document(&ListDocument { people })?);
    }
    let kind = |person: &PersonDocument| if person.is_team { "team" } else { "person" };
    let row = |person: &PersonDocument| {
        vec![Text::from(&person.name), Text::from(kind(person)), Text::from(&person.display_name)]
    };
    let header = ["NAME", "KIND", "DISPLAY NAME"];
    Ok(session.output.list(&header, &[], people.iter().map(row).collect(), "Nobody is known.")?)
}
