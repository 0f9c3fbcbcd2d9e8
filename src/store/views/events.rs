//! The event log, as people read it.

use chrono::TimeDelta;
use diesel::dsl::min;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::circle;
use crate::domain::event::Event;
use crate::domain::{EventKind, Hostname, ImportId, Person, PersonName, Timestamp};
use crate::store::events::EventRow;
use crate::store::schema::{events, imports};
use crate::store::{Error, Store};

/// Which events are listed.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Those about this import.
    pub import: Option<ImportId>,
    /// Those about this machine.
    pub machine: Option<Hostname>,
    /// Whether those about this machine and an import are left out.
    pub without_imports: bool,
    /// Those that say that this happened.
    pub kind: Option<EventKind>,
    /// Those of what this person did; no index has them, so it looks through what the others leave.
    pub person: Option<PersonName>,
    /// Those after this one.
    pub after: Option<i64>,
}

impl Store {
    /// The latest events of a filter that the viewer may see, in order.
    pub async fn latest_events(
        &mut self,
        viewer: &Person,
        filter: &EventFilter,
        limit: i64,
    ) -> Result<Vec<Event>, Error> {
        let query = seen_by(viewer, filter).order(events::id.desc()).limit(limit);
        let mut rows = query.select(EventRow::as_select()).load(self.connection()).await?;
        rows.reverse();
        self.with_epochs(rows).await
    }

    /// The last event that is older than this; everything after it is younger. Ids rise with the dates, so a few
    /// dozen looks find it, however long the log is.
    pub async fn last_event_before(&mut self, age: TimeDelta) -> Result<i64, Error> {
        let before = self.now().await? - age;
        let query = events::table.select(min(events::id));
        let first: Option<i64> = query.first(self.connection()).await?;
        let Some(first) = first else { return Ok(0) };
        // The first is wanted whose date is not before: it is in low..high, and high is one that does not exist.
        let (mut low, mut high) = (first, self.log_end().await?.end + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let query = events::table.find(middle).select(events::date_created);
            let date: Option<Timestamp> = query.first(self.connection()).await.optional()?;
            if date.is_some_and(|date| date < before) { low = middle + 1 } else { high = middle }
        }
        Ok(low - 1)
    }

    /// The first events of a filter after one id and up to another that the viewer may see, in order.
    pub async fn events_between(
        &mut self,
        viewer: &Person,
        filter: &EventFilter,
        (after, to): (i64, i64),
        limit: i64,
    ) -> Result<Vec<Event>, Error> {
        let query = seen_by(viewer, filter).filter(events::id.gt(after).and(events::id.le(to)));
        let query = query.order(events::id).limit(limit).select(EventRow::as_select());
        let rows = query.load(self.connection()).await?;
        self.with_epochs(rows).await
    }
}

/// The events of a filter that the viewer may see. Those without an import are for operators and admins.
fn seen_by(viewer: &Person, filter: &EventFilter) -> events::BoxedQuery<'static, Pg> {
    let mut query = events::table.into_boxed();
    if let Some(names) = circle(viewer) {
        let own = imports::owner.eq_any(names.clone()).or(imports::registrant.eq_any(names));
        let own = imports::table.filter(own).select(imports::id.nullable());
        query = query.filter(events::import_id.eq_any(own));
    }
    if let Some(import) = filter.import {
        query = query.filter(events::import_id.eq(import.0));
    }
    if let Some(machine) = &filter.machine {
        query = query.filter(events::machine.eq(machine.to_string()));
    }
    if let Some(person) = &filter.person {
        query = query.filter(events::person.eq(person.to_string()));
    }
    if let Some(after) = filter.after {
        query = query.filter(events::id.gt(after));
    }
    if filter.without_imports {
        query = query.filter(events::import_id.is_null());
    }
    if let Some(kind) = filter.kind {
        query = query.filter(events::event_type.eq(kind.to_string()));
    }
    query
}
