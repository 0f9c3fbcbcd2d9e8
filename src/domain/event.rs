//! An event: an audit entry that says what happened, and is published.

use std::collections::BTreeMap;

use strum::{Display, EnumString, VariantArray};
use uuid::Uuid;

use super::{Hostname, ImportId, PersonName, Timestamp, UniqueName};

/// What happened (section 2).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    VariantArray,
    serde::Serialize,
    serde::Deserialize,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    /// An import was registered.
    Create,
    /// An import was changed.
    Modify,
    /// An import was deleted.
    Delete,
    /// Somebody asked for a job to run as soon as possible.
    Request,
    /// A machine started a job.
    Start,
    /// A job ended with its machine's report.
    Finish,
    /// A job was taken from a silent machine.
    Reclaim,
    /// Somebody stopped a run.
    Kill,
    /// A machine takes work.
    Online,
    /// A machine takes no work.
    Offline,
    /// A machine finishes what it has.
    Quiesce,
    /// Somebody sent a rejected message again.
    Replay,
    /// Somebody dropped a rejected message.
    Drop,
}

impl EventKind {
    /// The routing key that its message carries, so that a subscriber can select.
    #[must_use]
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::Create => "import.create",
            Self::Modify => "import.modify",
            Self::Delete => "import.delete",
            Self::Request => "job.request",
            Self::Start => "job.start",
            Self::Finish => "job.finish",
            Self::Reclaim => "job.reclaim",
            Self::Kill => "job.kill",
            Self::Online => "machine.online",
            Self::Offline => "machine.offline",
            Self::Quiesce => "machine.quiesce",
            Self::Replay => "message.replay",
            Self::Drop => "message.drop",
        }
    }
}

/// The import that an event is about, as it was called then.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImportRef {
    /// Its id.
    pub id: ImportId,
    /// Its name at that time.
    pub unique_name: UniqueName,
}

/// An event that is to be written; its id comes from the event counter when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which import.
    pub import: Option<ImportRef>,
    /// Who did it.
    pub person: Option<PersonName>,
    /// On which machine.
    pub machine: Option<Hostname>,
    /// More about it; all values are text.
    pub data: BTreeMap<String, String>,
}

impl NewEvent {
    /// An event about nothing yet; say more with the other methods.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self { kind, import: None, person: None, machine: None, data: BTreeMap::new() }
    }

    /// Says which import it is about.
    #[must_use]
    pub fn import(mut self, id: ImportId, unique_name: &UniqueName) -> Self {
        self.import = Some(ImportRef { id, unique_name: unique_name.clone() });
        self
    }

    /// Says who did it.
    #[must_use]
    pub fn person(mut self, person: Option<&PersonName>) -> Self {
        self.person = person.cloned();
        self
    }

    /// Says on which machine.
    #[must_use]
    pub fn machine(mut self, machine: &Hostname) -> Self {
        self.machine = Some(machine.clone());
        self
    }

    /// Adds one piece of data.
    #[must_use]
    pub fn data(mut self, key: &str, value: impl ToString) -> Self {
        self.data.insert(key.to_owned(), value.to_string());
        self
    }
}

/// An event of the log, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log: without gap, in commit order.
    pub id: i64,
    /// The log's epoch in which it was written.
    pub epoch: Uuid,
    /// The first id of that epoch.
    pub epoch_first: i64,
    /// When its transaction read the clock.
    pub date_created: Timestamp,
    /// What happened.
    pub what: NewEvent,
}

impl Event {
    /// The same for every publication of this event, different for every other: UUIDv5(epoch, id).
    #[must_use]
    pub fn message_id(&self) -> Uuid {
        Uuid::new_v5(&self.epoch, self.id.to_string().as_bytes())
    }

    /// Type, import, person, machine, as far as there are, with blanks between.
    #[must_use]
    pub fn summary(&self) -> String {
        let what = &self.what;
        let mut words = vec![what.kind.to_string()];
        words.extend(what.import.as_ref().map(|import| import.unique_name.to_string()));
        words.extend(what.person.as_ref().map(ToString::to_string));
        words.extend(what.machine.as_ref().map(ToString::to_string));
        words.join(" ")
    }
}
