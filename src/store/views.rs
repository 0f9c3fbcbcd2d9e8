//! Read-only queries for people.
//!
//! Whoever reads is a viewer, a person with their teams, and sees what section 6 lets them: operators and
//! admins everything, a registrant or owner its own. The queries say so, so that nothing hidden is read.
//!
//! No query here grows with the catalogue: each goes by a key, a page of the primary key, or an index that
//! holds only what is running, waiting or not REVIEWED. The exceptions are what people choose imports by that no
//! index can hold (`selection`); those end after the ten seconds that a statement has.

mod events;
mod imports;
mod jobs;
mod machines;
mod names;
mod selection;

pub use events::EventFilter;
pub use jobs::{JobFilter, ListedJob, PastRun};
pub use machines::ListedMachine;
pub use selection::{ImportFilter, ImportKey, ImportPage};

use super::Error;
use super::rows::Corrupt;
use crate::domain::{Person, UniqueName};

/// The owners and registrants whose imports the viewer sees; none means that they see all.
fn circle(viewer: &Person) -> Option<Vec<String>> {
    if viewer.is_operator() {
        return None;
    }
    let names = viewer.teams.iter().chain([&viewer.name]);
    Some(names.map(ToString::to_string).collect())
}

/// The name of an import, as the table has it.
fn unique_name(id: i64, name: &str) -> Result<UniqueName, Error> {
    Corrupt { table: "imports", id: &id }.parse("unique_name", name)
}
