//! The event log, as people read it.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::circle;
use crate::domain::event::Event;
use crate::domain::{EventKind, Hostname, ImportId, Person};
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
    if filter.without_imports {
        query = query.filter(events::import_id.is_null());
    }
    if let Some(kind) = filter.kind {
        query = query.filter(events::event_type.eq(kind.to_string()));
    }
    query
}
