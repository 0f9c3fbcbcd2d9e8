//! `import list`.

use clap::Args;
use serde::Serialize;

use super::super::document::{ImportDocument, review_status, status};
use super::super::output::Text;
use super::super::session::Session;
use super::super::when;
use super::selector::SelectorArgs;
use crate::domain::{ImportId, Timestamp};
use crate::store::views::{ImportKey, ImportPage};
use crate::workflow::Policy;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// By what: registered, name, date_last_successful, date_last_result, date_due, failures; the last first with a
    /// `-` before it. `registered` and `name` read a page; the others sort all that is selected, for ten seconds at
    /// most
    #[arg(
        long,
        value_name = "KEY",
        default_value = "registered",
        allow_hyphen_values = true,
        value_parser = order
    )]
    sort: Order,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// The next page: those after the import of this number, which the page before names
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
    // The last, since its heading stays.
    #[command(flatten)]
    selector: SelectorArgs,
}

/// By what a list is sorted, and whether the last comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order(ImportKey, bool);

#[derive(Serialize)]
struct ListDocument {
    imports: Vec<ImportDocument>,
    /// What `--after` needs for the next page; null on the last one.
    next: Option<ImportId>,
}

pub(super) async fn list(session: &mut Session, args: &ListArgs, policy: &Policy) -> anyhow::Result<()> {
    let viewer = session.viewer().await?;
    let Order(key, is_descending) = args.sort;
    let page = ImportPage { key, is_descending, after: args.after.map(ImportId), limit: args.limit + 1 };
    let mut imports = session.store.imports(&viewer, &args.selector.filter(), page).await?;
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
    let wide =
        ["NUMBER", "REGISTRANT", "REGISTERED", "INTERVAL", "FAILURES", "OUR FAILURES", "LAST RESULT AT"];
    session.output.list(&header, &wide, imports.iter().map(|import| row(import, now)).collect(), none)?;
    if let Some(next) = next {
        session.output.more(&format!("There are more: --after {next}"))?;
    }
    Ok(())
}

fn row(import: &ImportDocument, now: Timestamp) -> Vec<Text> {
    let last = import.last_result.as_ref();
    vec![
        Text::from(&import.import.unique_name),
        Text::from(import.import.rcs_type),
        review_status(import.review_status),
        Text::from(&import.owner),
        last.map_or(Text::from("none"), |last| status(last.status)),
        Text::from(when::both_or_never(import.date_last_successful, now)),
        Text::from(import.source()),
        Text::from(import.import.id),
        Text::from(&import.registrant),
        Text::from(when::both(import.date_created, now)),
        Text::from(when::exact(chrono::TimeDelta::seconds(import.effective_update_interval_s))),
        Text::from(import.consecutive_failure_count),
        Text::from(import.consecutive_infrastructure_failure_count),
        Text::from(when::both_or_never(last.map(|last| last.date_created), now)),
    ]
}

/// Reads by what a list is sorted.
fn order(word: &str) -> Result<Order, String> {
    let (is_descending, key) = match word.strip_prefix('-') {
        Some(key) => (true, key),
        None => (false, word),
    };
    let key = match key.replace('-', "_").as_str() {
        "registered" => ImportKey::Registered,
        "name" => ImportKey::Name,
        "date_last_successful" => ImportKey::LastSuccess,
        "date_last_result" => ImportKey::LastResult,
        "date_due" => ImportKey::Due,
        "failures" => ImportKey::Failures,
        _ => {
            let keys = "registered, name, date_last_successful, date_last_result, date_due, failures";
            return Err(format!("expected one of {keys}, with or without a `-` before it"));
        }
    };
    Ok(Order(key, is_descending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_key_and_a_direction() {
        assert_eq!(order("name"), Ok(Order(ImportKey::Name, false)));
        assert_eq!(order("-date-last-successful"), Ok(Order(ImportKey::LastSuccess, true)));
        assert!(order("colour").unwrap_err().contains("failures"));
    }
}
