//! `team`: add, remove and list members of teams.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::complete;
use super::output::Text;
use super::session::{Session, SessionArgs};
use crate::domain::PersonName;
use crate::workflow::Made;

#[derive(Debug, Args)]
pub(super) struct TeamArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a member. Admins may; and anybody, while there is no admin yet
    AddMember(MemberArgs),
    /// Take a member out. Admins may
    RemoveMember(MemberArgs),
    /// List the members of a team
    Members {
        /// The team
        #[arg(add = complete::people())]
        team: PersonName,
    },
}

#[derive(Debug, Args)]
struct MemberArgs {
    /// The team: `vcs-imports` operates the imports, `admins` administers the installation
    #[arg(add = complete::people())]
    team: PersonName,
    /// The person, or another team
    #[arg(add = complete::people())]
    member: PersonName,
}

#[derive(Serialize)]
struct MembersDocument {
    team: PersonName,
    members: Vec<PersonName>,
}

pub(super) async fn run(args: TeamArgs) -> anyhow::Result<ExitCode> {
    let mut session = args.session.open().await?;
    match args.verb {
        Verb::AddMember(MemberArgs { team, member }) => {
            session.store.add_member(session.user.as_ref(), &team, &member).await?;
            session.accepted(&Made::default(), format!("{member} is a member of {team} now."))?;
        }
        Verb::RemoveMember(MemberArgs { team, member }) => {
            session.store.remove_member(session.user.as_ref(), &team, &member).await?;
            session.accepted(&Made::default(), format!("{member} is no member of {team} any more."))?;
        }
        Verb::Members { team } => members(&mut session, team).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn members(session: &mut Session, team: PersonName) -> anyhow::Result<()> {
    session.check_known().await?;
    let members = session.store.members(&team).await?;
    if session.output.is_json() {
        return Ok(session.output.document(&MembersDocument { team, members })?);
    }
    let rows = members.iter().map(|member| vec![Text::from(member)]).collect();
    Ok(session.output.list(&["MEMBER"], &[], rows, &format!("{team} has no members."))?)
}
