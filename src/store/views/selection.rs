//! Many imports: which, in what order, and a page of them.

use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Interval, Text};
use diesel_async::RunQueryDsl;

use chrono::TimeDelta;

use super::{circle, unique_name};
use crate::domain::{Import, ImportId, Person, PersonName, RcsType, ReviewStatus, Status, UniqueName};
use crate::store::rows::ImportRow;
use crate::store::schema::imports;
use crate::store::{Error, Store};

/// Which imports are meant; what is not said does not matter.
///
/// Each but the last two has an index. `stale_for` and `last_status` have none, since each finish would have to
/// rewrite it: they look through what the others leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportFilter {
    /// Those of one of these review statuses.
    pub review_statuses: Vec<ReviewStatus>,
    /// Those of this RCS.
    pub rcs_type: Option<RcsType>,
    /// Those of this person or team.
    pub owner: Option<PersonName>,
    /// Those that this person asked for.
    pub registrant: Option<PersonName>,
    /// Those whose source is on this host.
    pub host: Option<String>,
    /// Those whose names begin so.
    pub name_prefix: Option<String>,
    /// Those whose last success is longer ago, or that never had one.
    pub stale_for: Option<TimeDelta>,
    /// Those whose last result is this.
    pub last_status: Option<Status>,
}

/// By what imports are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportKey {
    /// When they were registered: by their ids.
    #[default]
    Registered,
    /// Their names, byte by byte.
    Name,
    /// When they last succeeded; never is before everything.
    LastSuccess,
    /// When they last ran to an end; never is before everything.
    LastResult,
    /// When their job is due; those without one are last.
    Due,
    /// How many failures in a row they had.
    Failures,
}

/// In what order imports come, and which page of them.
#[derive(Clone, Copy, Debug)]
pub struct ImportPage {
    /// By what they are sorted.
    pub key: ImportKey,
    /// Whether the last comes first.
    pub is_descending: bool,
    /// Those after this one, the last of the page before.
    pub after: Option<ImportId>,
    /// At most so many.
    pub limit: i64,
}

/// Imports that are chosen.
type Imports = imports::BoxedQuery<'static, Pg>;

impl ImportKey {
    /// The column, as SQL.
    fn column(self) -> &'static str {
        match self {
            Self::Registered => "imports.id",
            Self::Name => "imports.unique_name",
            Self::LastSuccess => "coalesce(imports.date_last_successful, '-infinity')",
            Self::LastResult => "coalesce(imports.last_date_created, '-infinity')",
            Self::Due => {
                "coalesce((SELECT date_due FROM jobs WHERE jobs.import_id = imports.id), 'infinity')"
            }
            Self::Failures => "imports.consecutive_failure_count",
        }
    }

    /// Less, or more: names have an index of their own order.
    fn operator(self, is_descending: bool) -> &'static str {
        match (self, is_descending) {
            (Self::Name, false) => "~<~",
            (Self::Name, true) => "~>~",
            (_, false) => "<",
            (_, true) => ">",
        }
    }
}

impl Store {
    /// A page of the imports of a filter that the viewer may see.
    pub async fn imports(
        &mut self,
        viewer: &Person,
        filter: &ImportFilter,
        page: ImportPage,
    ) -> Result<Vec<Import>, Error> {
        let mut query = chosen(viewer, filter);
        if let Some(after) = page.after {
            if page.key != ImportKey::Registered {
                self.check_is_there(after).await?;
            }
            query = query.filter(is_after(page, after));
        }
        let (column, operator) = (page.key.column(), page.key.operator(page.is_descending));
        let direction = if page.is_descending { "DESC" } else { "ASC" };
        let order = sql::<Integer>(&format!("{column} USING {operator}, imports.id {direction}"));
        let query = query.order(order).limit(page.limit).select(ImportRow::as_select());
        let rows: Vec<ImportRow> = query.load(self.connection()).await?;
        rows.into_iter().map(Import::try_from).collect()
    }

    /// The names of the imports of a filter that the viewer may see, in the order in which they were registered.
    pub async fn import_names(
        &mut self,
        viewer: &Person,
        filter: &ImportFilter,
        limit: i64,
    ) -> Result<Vec<UniqueName>, Error> {
        let query = chosen(viewer, filter).order(imports::id).limit(limit);
        let names = query.select((imports::id, imports::unique_name));
        let names: Vec<(i64, String)> = names.load(self.connection()).await?;
        names.iter().map(|(id, name)| unique_name(*id, name)).collect()
    }

    /// The first names that begin so, byte by byte, of imports that the viewer may see.
    pub async fn import_names_from(
        &mut self,
        viewer: &Person,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<UniqueName>, Error> {
        let filter = ImportFilter { name_prefix: Some(prefix.to_owned()), ..ImportFilter::default() };
        let query = chosen(viewer, &filter).order(sql::<Integer>("imports.unique_name USING ~<~"));
        let names = query.limit(limit).select((imports::id, imports::unique_name));
        let names: Vec<(i64, String)> = names.load(self.connection()).await?;
        names.iter().map(|(id, name)| unique_name(*id, name)).collect()
    }

    /// A page after an import that was deleted meanwhile would be empty, and look like the last.
    async fn check_is_there(&mut self, import: ImportId) -> Result<(), Error> {
        let query = imports::table.find(import.0).select(imports::id);
        match query.first::<i64>(self.connection()).await.optional()? {
            Some(_) => Ok(()),
            None => Err(Error::Refused(format!(
                "The import of number {import} is gone, so its place is not known: begin again without --after."
            ))),
        }
    }
}

/// The imports of a filter that the viewer may see.
fn chosen(viewer: &Person, filter: &ImportFilter) -> Imports {
    let mut query = imports::table.into_boxed();
    if let Some(names) = circle(viewer) {
        query = query.filter(imports::owner.eq_any(names.clone()).or(imports::registrant.eq_any(names)));
    }
    query = match filter.review_statuses.as_slice() {
        [] => query,
        // One that is plainly equal finds the index in the order of ids.
        [status] => query.filter(imports::review_status.eq(status.to_string())),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            query.filter(imports::review_status.eq_any(several))
        }
    };
    if let Some(rcs_type) = filter.rcs_type {
        query = query.filter(imports::rcs_type.eq(rcs_type.to_string()));
    }
    if let Some(owner) = &filter.owner {
        query = query.filter(imports::owner.eq(owner.to_string()));
    }
    if let Some(registrant) = &filter.registrant {
        query = query.filter(imports::registrant.eq(registrant.to_string()));
    }
    if let Some(host) = &filter.host {
        let host_is = sql::<Bool>("source_host(coalesce(imports.url, imports.cvs_root)) = ");
        query = query.filter(host_is.bind::<Text, _>(host.clone()));
    }
    if let Some(prefix) = &filter.name_prefix {
        query = query.filter(imports::unique_name.like(format!("{}%", escaped(prefix))));
    }
    if let Some(age) = filter.stale_for {
        let column = "(imports.date_last_successful IS NULL OR imports.date_last_successful < now() - ";
        let is_stale = sql::<Bool>(column).bind::<Interval, _>(age).sql(")");
        query = query.filter(is_stale);
    }
    if let Some(status) = filter.last_status {
        query = query.filter(imports::last_status.eq(status.to_string()));
    }
    query
}

/// Whether an import comes after another: its key is larger, or the same and its id is.
fn is_after(
    page: ImportPage,
    after: ImportId,
) -> Box<dyn BoxableExpression<imports::table, Pg, SqlType = Bool>> {
    match (page.key, page.is_descending) {
        (ImportKey::Registered, false) => return Box::new(imports::id.gt(after.0)),
        (ImportKey::Registered, true) => return Box::new(imports::id.lt(after.0)),
        _ => {}
    }
    let column = page.key.column();
    let operator = page.key.operator(!page.is_descending);
    let last = format!("(SELECT {column} FROM imports WHERE imports.id = ");
    let is_further = sql::<Bool>(&format!("({column} {operator} {last}"));
    // A name is one import's, and this alone is a range of its index.
    if page.key == ImportKey::Name {
        return Box::new(is_further.bind::<BigInt, _>(after.0).sql("))"));
    }
    let is_same = is_further.bind::<BigInt, _>(after.0).sql(&format!(") OR ({column} = {last}"));
    let id = if page.is_descending { ") AND imports.id < " } else { ") AND imports.id > " };
    Box::new(is_same.bind::<BigInt, _>(after.0).sql(id).bind::<BigInt, _>(after.0).sql("))"))
}

/// A text that LIKE takes as it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
