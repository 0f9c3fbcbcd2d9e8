//! `import list`.

use clap::Args;
use serde::Serialize;

use super::super::argument::one_of;
use super::super::document::{ImportDocument, review_status, status};
use super::super::output::{Text, line};
use super::super::session::Session;
use super::super::when;
use crate::domain::{ImportId, PersonName, RcsType, ReviewStatus, Timestamp};
use crate::store::views::ImportFilter;
use crate::workflow::Policy;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Those of this review status: NEW, REVIEWED, SUSPENDED, INVALID, FAILING
    #[arg(long, value_parser = one_of::<ReviewStatus>)]
    status: Option<ReviewStatus>,
    /// Those of this RCS: CVS, SVN, GIT, HG, BZR
    #[arg(long, value_name = "RCS", value_parser = one_of::<RcsType>)]
    rcs: Option<RcsType>,
    /// Those of this person or team
    #[arg(long, value_name = "NAME")]
    owner: Option<PersonName>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// The next page: those after the import of this number, which the page before names
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
}

#[derive(Serialize)]
struct ListDocument {
    imports: Vec<ImportDocument>,
    /// What `--after` needs for the next page; null on the last one.
    next: Option<ImportId>,
}

pub(super) async fn list(session: &mut Session, args: &ListArgs, policy: &Policy) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    let filter = ImportFilter {
        review_status: args.status,
        rcs_type: args.rcs,
        owner: args.owner.clone(),
        after: args.after.map(ImportId),
        limit: args.limit + 1,
    };
    let mut imports = session.store.imports(&viewer, &filter).await?;
    // One more was read than is shown: it says whether there is a next page.
    let has_more = imports.len() > usize::try_from(args.limit)?;
    if has_more {
        imports.pop();
    }
    let next = imports.last().filter(|_| has_more).map(|last| last.id);
    let imports: Vec<_> = imports.iter().map(|import| ImportDocument::of(import, policy)).collect();
    if session.output.is_json() {
        return Ok(session.output.document(&ListDocument { imports, next })?);
    }
    let now = session.store.now().await?;
    let none = if viewer.is_operator() {
        "No matching code imports found."
    } else {
        "No matching code imports found among those that you, or a team of yours, registered or own."
    };
    let header = ["NAME", "RCS", "STATUS", "OWNER", "LAST RESULT", "LAST SUCCESS", "SOURCE"];
    session.output.table(&header, imports.iter().map(|import| row(import, now)).collect(), none)?;
    if let Some(next) = next {
        line(format!("There are more: --after {next}"))?;
    }
    Ok(())
}

fn row(import: &ImportDocument, now: Timestamp) -> Vec<Text> {
    vec![
        Text::from(&import.import.unique_name),
        Text::from(import.import.rcs_type),
        review_status(import.review_status),
        Text::from(&import.owner),
        import.last_result.as_ref().map_or(Text::from("none"), |last| status(last.status)),
        Text::from(when::both_or_never(import.date_last_successful, now)),
        Text::from(import.source()),
    ]
}
