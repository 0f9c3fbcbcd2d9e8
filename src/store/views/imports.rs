//! One import and its results.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::circle;
use crate::domain::{Import, ImportId, JobId, NewResult, Person, ResultId, RunId, Timestamp, UniqueName};
use crate::store::rows::{Corrupt, ImportRow};
use crate::store::schema::{imports, results};
use crate::store::{Error, Store};

/// A result as the table has it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = results, check_for_backend(diesel::pg::Pg))]
pub(super) struct ResultRow {
    id: i64,
    import_id: i64,
    job_id: i64,
    run: Uuid,
    machine: String,
    requesting_user: Option<String>,
    status: String,
    date_job_started: Timestamp,
    date_created: Timestamp,
    log_excerpt: String,
    log_url: Option<String>,
    reason: Option<String>,
    stats: serde_json::Value,
}

impl TryFrom<ResultRow> for NewResult {
    type Error = Error;

    fn try_from(row: ResultRow) -> Result<Self, Error> {
        let corrupt = Corrupt { table: "results", id: &row.id };
        let serde_json::Value::Object(stats) = row.stats else {
            return Err(corrupt.error("stats are no object"));
        };
        Ok(Self {
            id: ResultId(row.id),
            import_id: ImportId(row.import_id),
            job_id: JobId(row.job_id),
            run: RunId(row.run),
            machine: corrupt.parse("machine", &row.machine)?,
            requesting_user: corrupt.parse_optional("requesting_user", row.requesting_user.as_deref())?,
            status: corrupt.parse("status", &row.status)?,
            date_job_started: row.date_job_started,
            date_created: row.date_created,
            log_excerpt: row.log_excerpt,
            log_url: row.log_url,
            reason: row.reason,
            stats,
        })
    }
}

impl Store {
    /// The import of this name, if there is one that the viewer may see.
    pub async fn import(&mut self, viewer: &Person, name: &UniqueName) -> Result<Option<Import>, Error> {
        let mut query = imports::table.filter(imports::unique_name.eq(name.as_str())).into_boxed();
        if let Some(names) = circle(viewer) {
            query = query.filter(imports::owner.eq_any(names.clone()).or(imports::registrant.eq_any(names)));
        }
        let row = query.select(ImportRow::as_select()).first(self.connection()).await.optional()?;
        row.map(Import::try_from).transpose()
    }

    /// The latest results of an import, newest first. Whoever has the import may see them.
    pub async fn results(&mut self, import: &Import, limit: i64) -> Result<Vec<NewResult>, Error> {
        let query = results::table
            .filter(results::import_id.eq(import.id.0))
            .order((results::date_created.desc(), results::id.desc()))
            .limit(limit)
            .select(ResultRow::as_select());
        let rows = query.load(self.connection()).await?;
        rows.into_iter().map(NewResult::try_from).collect()
    }
}
