//! The event log: append (the counter is locked last), and read after a cursor.

use std::collections::BTreeMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::rows::Corrupt;
use super::save::emit_message;
use super::schema::{event_counter, event_cursor, event_epochs, events};
use super::statement::{Columns as _, columns, push_names};
use super::{Error, Store};
use crate::domain::event::{Event, ImportRef};
use crate::domain::{ImportId, NewEvent, Timestamp};

columns! {
    /// Events, each by its place behind the first. None is ever changed.
    EventColumns<'a> of "events" {
        key { place: BigInt => i64 }
        fixed {
            date_created: Timestamptz => Timestamp,
            event_type: Text => String,
            import_id: Nullable<BigInt> => Option<i64>,
            unique_name: Nullable<Text> => Option<&'a str>,
            person: Nullable<Text> => Option<&'a str>,
            machine: Nullable<Text> => Option<&'a str>,
            data: Jsonb => serde_json::Value,
        }
        changing {}
    }
}

/// Takes ids from the counter, whose row is locked from here to the COMMIT, and inserts events with them: so ids have no
/// gap and rise in commit order.
struct Append<'a> {
    count: i64,
    rows: &'a EventColumns<'a>,
}

impl QueryId for Append<'_> {
    type QueryId = Append<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Append<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH taken AS (UPDATE event_counter SET next_id = next_id + ");
        out.push_bind_param::<BigInt, _>(&self.count)?;
        // The index's last entry, whatever dead ones lie before it. Whoever waited for the row finds a later one there,
        // so it may be greater than what the statement saw at first.
        out.push_sql(" WHERE next_id >= (SELECT next_id FROM event_counter ORDER BY next_id DESC LIMIT 1)");
        out.push_sql(" RETURNING next_id - ");
        out.push_bind_param::<BigInt, _>(&self.count)?;
        out.push_sql(" AS first, epoch) INSERT INTO events (id, epoch");
        push_names(&mut out, ", ", &[EventColumns::FIXED]);
        // Without the counter's row there would be no event, and nobody would know: as it is, there is no partition for it.
        out.push_sql(") SELECT (SELECT first FROM taken) + place, (SELECT epoch FROM taken)");
        push_names(&mut out, ", ", &[EventColumns::FIXED]);
        out.push_sql(" FROM unnest(");
        self.rows.push_arrays(true, out.reborrow())?;
        push_names(&mut out, ") AS new (", &[&[EventColumns::KEY], EventColumns::FIXED]);
        out.push_sql(")");
        Ok(())
    }
}

/// How far the log goes, and how far it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The last id that was given out; 0 before the first.
    pub end: i64,
    /// The last id that the relay has published.
    pub published: i64,
    /// Whether a COMMIT waits for a standby.
    pub has_standby: bool,
}

diesel::define_sql_function! {
    /// How the server is set.
    fn current_setting(name: Text) -> Text;
}

/// Moves the cursor by compare-and-set; an own statement, since Diesel prepares its updates at every call.
struct MoveCursor {
    from: i64,
    to: i64,
    durable: bool,
}

impl QueryId for MoveCursor {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for MoveCursor {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("UPDATE event_cursor SET last_id = ");
        out.push_bind_param::<BigInt, _>(&self.to)?;
        out.push_sql(" WHERE last_id = ");
        out.push_bind_param::<BigInt, _>(&self.from)?;
        if !self.durable {
            out.push_sql(" AND set_config('synchronous_commit', 'off', true) = 'off'");
        }
        Ok(())
    }
}

/// Appends events, and gives them their ids.
pub(super) async fn append(
    mut connection: &AsyncPgConnection,
    new: &[NewEvent],
    now: Timestamp,
) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(new.len()).unwrap_or(i64::MAX);
    let mut rows = EventColumns::default();
    for (place, event) in (0..).zip(new) {
        let import = event.import.as_ref();
        rows.place.push(place);
        rows.date_created.push(now);
        rows.event_type.push(event.kind.to_string());
        rows.import_id.push(import.map(|import| import.id.0));
        rows.unique_name.push(import.map(|import| import.unique_name.as_str()));
        rows.person.push(event.person.as_ref().map(super::super::domain::name::PersonName::as_str));
        rows.machine.push(event.machine.as_ref().map(super::super::domain::name::Hostname::as_str));
        rows.data.push(event.data.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    }
    Append { count, rows: &rows }.execute(&mut connection).await?;
    Ok(())
}

/// An event as the table has it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
pub(super) struct EventRow {
    id: i64,
    epoch: Uuid,
    date_created: Timestamp,
    event_type: String,
    import_id: Option<i64>,
    unique_name: Option<String>,
    person: Option<String>,
    machine: Option<String>,
    data: serde_json::Value,
}

impl EventRow {
    /// The event, with the first id of its epoch.
    pub(super) fn event(self, epoch_first: i64) -> Result<Event, Error> {
        let corrupt = Corrupt { table: "events", id: &self.id };
        let import = match (self.import_id, self.unique_name) {
            (None, None) => None,
            (Some(id), Some(name)) => {
                Some(ImportRef { id: ImportId(id), unique_name: corrupt.parse("unique_name", &name)? })
            }
            _ => return Err(corrupt.error("half an import")),
        };
        let data: BTreeMap<String, String> =
            serde_json::from_value(self.data).map_err(|error| corrupt.error(error))?;
        let what = NewEvent {
            kind: corrupt.parse("event_type", &self.event_type)?,
            import,
            person: corrupt.parse_optional("person", self.person.as_deref())?,
            machine: corrupt.parse_optional("machine", self.machine.as_deref())?,
            data,
        };
        Ok(Event { id: self.id, epoch: self.epoch, epoch_first, date_created: self.date_created, what })
    }
}

impl Store {
    /// The next events of the log after this id, in order.
    pub async fn events_after(&mut self, id: i64, limit: i64) -> Result<Vec<Event>, Error> {
        let query = events::table
            .filter(events::id.gt(id))
            .order(events::id)
            .limit(limit)
            .select(EventRow::as_select());
        let rows = query.load(self.connection()).await?;
        self.with_epochs(rows).await
    }

    /// Waits until all that was read before is on the synchronous standby too, where there is one. A COMMIT that
    /// was cancelled while it waited for the standby, or whose session was ended, is seen before it is there.
    pub async fn wait_for_standby(&mut self) -> Result<(), Error> {
        emit_message(self.connection()).await?;
        self.check_warning()
    }

    /// How far the log goes, and how far it is published.
    pub async fn log_end(&mut self) -> Result<LogEnd, Error> {
        // Of one row each the greatest: so it is found at the end of an index, and no dead version is read.
        let next = event_counter::table.order(event_counter::next_id.desc()).select(event_counter::next_id);
        let last = event_cursor::table.order(event_cursor::last_id.desc()).select(event_cursor::last_id);
        let query = diesel::select((
            next.limit(1).single_value(),
            last.limit(1).single_value(),
            current_setting("synchronous_standby_names").ne(""),
        ));
        let (next, published, has_standby): (Option<i64>, Option<i64>, bool) =
            query.get_result(self.connection()).await?;
        let (next, published) = next.zip(published).ok_or(diesel::result::Error::NotFound)?;
        Ok(LogEnd { end: next - 1, published, has_standby })
    }

    /// Notes that everything up to `to` is published. Refused when the cursor is not where we left it.
    ///
    /// Where it is not `durable`, a crash of the server may take back the last second of it, and its events are
    /// told again; nothing waits for the disk.
    pub async fn move_cursor(&mut self, from: i64, to: i64, durable: bool) -> Result<(), Error> {
        let moved = MoveCursor { from, to, durable }.execute(self.connection()).await?;
        self.check_warning()?;
        if moved == 1 { Ok(()) } else { Err(Error::CursorMoved) }
    }

    pub(super) async fn with_epochs(&mut self, rows: Vec<EventRow>) -> Result<Vec<Event>, Error> {
        let mut firsts: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let first = if let Some(first) = firsts.get(&row.epoch) {
                *first
            } else {
                let query = event_epochs::table.find(row.epoch).select(event_epochs::first_id);
                let first = query.first(self.connection()).await?;
                firsts.insert(row.epoch, first);
                first
            };
            events.push(row.event(first)?);
        }
        Ok(events)
    }
}
