//! What the coordinator tells everyone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::event::{Event, ImportRef};
use crate::domain::{EventKind, Hostname, PersonName, Timestamp};

/// `event`: something happened.
///
/// At least once. Within an epoch ids have no gap and rise in commit order, so a subscriber that keeps
/// epoch and id of the last one that it took knows repeats and gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// Its place in the log.
    pub id: i64,
    /// The log's epoch, renewed after a restore.
    pub epoch: Uuid,
    /// The first id of the epoch.
    pub epoch_first: i64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When.
    pub date: Timestamp,
    /// To which import.
    pub import: Option<ImportRef>,
    /// Who did it.
    pub person: Option<PersonName>,
    /// On which machine.
    pub machine: Option<Hostname>,
    /// More about it.
    pub data: BTreeMap<String, String>,
    /// Type, import, person, machine, as far as there are.
    pub summary: String,
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        let summary = event.summary();
        let Event { id, epoch, epoch_first, date_created: date, what } = event;
        Self {
            id,
            epoch,
            epoch_first,
            kind: what.kind,
            date,
            import: what.import,
            person: what.person,
            machine: what.machine,
            data: what.data,
            summary,
        }
    }
}
