//! Jobs, and the runs that they became.

use chrono::TimeDelta;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use strum::VariantArray;

use super::imports::ResultRow;
use super::{circle, unique_name};
use crate::domain::event::ImportRef;
use crate::domain::job::JobStateName;
use crate::domain::{Hostname, Import, Job, JobId, NewResult, Person, RcsType, Timestamp};
use crate::store::rows::JobRow;
use crate::store::schema::{imports, jobs, results};
use crate::store::{Error, Store};

/// Which jobs are listed.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Those of this state; none means those that run and those that are due.
    pub state: Option<JobStateName>,
    /// Those of this RCS.
    pub rcs_type: Option<RcsType>,
    /// Those that this machine runs.
    pub machine: Option<Hostname>,
    /// Whether only those are listed for which somebody asked.
    pub is_requested: bool,
    /// Those that have been due for longer, and wait.
    pub late_for: Option<TimeDelta>,
    /// Those after this one, the last of the page before.
    pub after: Option<JobId>,
    /// At most so many.
    pub limit: i64,
}

/// A job, and what it updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJob {
    /// The job.
    pub job: Job,
    /// Its import.
    pub import: ImportRef,
}

/// What a job that is gone left behind, and what it updated.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRun {
    /// Its result.
    pub result: NewResult,
    /// Its import.
    pub import: ImportRef,
}

/// Jobs that a viewer sees.
type Jobs<'a> = jobs::BoxedQuery<'a, Pg>;

impl Store {
    /// The jobs of a filter that the viewer may see: first those that run, longest first; then those that
    /// wait, in the order of their due dates.
    pub async fn jobs(&mut self, viewer: &Person, filter: &JobFilter) -> Result<Vec<ListedJob>, Error> {
        let after = match filter.after {
            Some(id) => Some(self.place(id).await?),
            None => None,
        };
        let mut rows = Vec::new();
        let is_past_running = matches!(after, Some(Place::Pending(_)));
        if filter.state != Some(JobStateName::Pending) && filter.late_for.is_none() && !is_past_running {
            let mut running = seen_by(viewer).filter(jobs::state.eq("RUNNING"));
            if let Some(Place::Running((started, id))) = after {
                let is_same = jobs::date_started.assume_not_null().eq(started).and(jobs::id.gt(id));
                running = running.filter(jobs::date_started.assume_not_null().gt(started).or(is_same));
            }
            let running = in_filter(running, filter).order((jobs::date_started, jobs::id));
            rows = running.limit(filter.limit).select(JobRow::as_select()).load(self.connection()).await?;
        }
        if filter.state != Some(JobStateName::Running) && filter.machine.is_none() {
            let after =
                after.and_then(|place| if let Place::Pending(place) = place { Some(place) } else { None });
            rows.extend(self.pending_jobs(viewer, filter, after).await?);
        }
        rows.truncate(usize::try_from(filter.limit).unwrap_or_default());
        self.with_names(rows).await
    }

    /// The job of this id, if there is one that the viewer may see.
    pub async fn job(&mut self, viewer: &Person, id: JobId) -> Result<Option<ListedJob>, Error> {
        let query = seen_by(viewer).filter(jobs::id.eq(id.0));
        let rows = query.select(JobRow::as_select()).load(self.connection()).await?;
        Ok(self.with_names(rows).await?.pop())
    }

    /// The job of an import. Whoever has the import may see it.
    pub async fn job_of(&mut self, import: &Import) -> Result<Option<Job>, Error> {
        let query = jobs::table.filter(jobs::import_id.eq(import.id.0)).select(JobRow::as_select());
        query.first(self.connection()).await.optional()?.map(Job::try_from).transpose()
    }

    /// What the job of this id left behind, if the viewer may see it.
    pub async fn past_run(&mut self, viewer: &Person, id: JobId) -> Result<Option<PastRun>, Error> {
        let mut query = results::table
            .inner_join(imports::table.on(imports::id.eq(results::import_id)))
            .filter(results::job_id.eq(id.0))
            .select((ResultRow::as_select(), imports::unique_name))
            .into_boxed();
        if let Some(names) = circle(viewer) {
            query = query.filter(imports::owner.eq_any(names.clone()).or(imports::registrant.eq_any(names)));
        }
        let row: Option<(ResultRow, String)> = query.first(self.connection()).await.optional()?;
        let Some((row, name)) = row else { return Ok(None) };
        let result = NewResult::try_from(row)?;
        let unique_name = unique_name(result.import_id.0, &name)?;
        Ok(Some(PastRun { import: ImportRef { id: result.import_id, unique_name }, result }))
    }

    /// The jobs of a filter that wait, in the order of their due dates.
    ///
    /// Those that were handed out are few, the window of section 9; of the others each RCS has an index in
    /// that order, of which only the beginning is read.
    async fn pending_jobs(
        &mut self,
        viewer: &Person,
        filter: &JobFilter,
        after: Option<(Timestamp, i64)>,
    ) -> Result<Vec<JobRow>, Error> {
        let latest: Option<Timestamp> = match (filter.late_for, filter.state) {
            (Some(late), _) => Some(self.now().await? - late),
            (None, Some(_)) => None,
            (None, None) => Some(self.now().await?),
        };
        let handed_out = seen_by(viewer).filter(jobs::date_dispatched.is_not_null());
        let mut queries = vec![in_filter(handed_out, filter)];
        for rcs_type in RcsType::VARIANTS {
            if filter.rcs_type.is_none_or(|wanted| wanted == *rcs_type) {
                let waiting = seen_by(viewer).filter(jobs::date_dispatched.is_null());
                let waiting = waiting.filter(jobs::rcs_type.eq(rcs_type.to_string()));
                queries.push(in_filter(waiting, filter));
            }
        }
        let mut rows: Vec<JobRow> = Vec::new();
        for query in queries {
            let mut pending = query.filter(jobs::state.eq("PENDING"));
            if let Some(latest) = latest {
                pending = pending.filter(jobs::date_due.le(latest));
            }
            if let Some((due, id)) = after {
                let is_further = jobs::date_due.gt(due).or(jobs::id.gt(id));
                pending = pending.filter(jobs::date_due.ge(due).and(is_further));
            }
            let pending = pending.order((jobs::date_due, jobs::id)).limit(filter.limit);
            rows.extend(pending.select(JobRow::as_select()).load::<JobRow>(self.connection()).await?);
        }
        rows.sort_by_key(JobRow::place);
        Ok(rows)
    }

    /// Where a job stands in the list.
    async fn place(&mut self, id: JobId) -> Result<Place, Error> {
        let query = jobs::table.find(id.0).select((jobs::date_started, jobs::date_due));
        let found: Option<(Option<Timestamp>, Timestamp)> =
            query.first(self.connection()).await.optional()?;
        match found {
            Some((Some(started), _)) => Ok(Place::Running((started, id.0))),
            Some((None, due)) => Ok(Place::Pending((due, id.0))),
            None => Err(Error::Refused(format!(
                "Job {id} is gone, so its place is not known: begin again without --after."
            ))),
        }
    }

    /// The jobs with the names of their imports.
    async fn with_names(&mut self, rows: Vec<JobRow>) -> Result<Vec<ListedJob>, Error> {
        let rows = rows.into_iter().map(Job::try_from).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<i64> = rows.iter().map(|job| job.import_id.0).collect();
        let query =
            imports::table.filter(imports::id.eq_any(ids)).select((imports::id, imports::unique_name));
        let names: Vec<(i64, String)> = query.load(self.connection()).await?;
        let names: std::collections::HashMap<i64, String> = names.into_iter().collect();
        // One that was deleted between the two queries is gone.
        rows.into_iter()
            .filter_map(|job| Some((names.get(&job.import_id.0)?, job)))
            .map(|(name, job)| {
                let unique_name = unique_name(job.import_id.0, name)?;
                Ok(ListedJob { import: ImportRef { id: job.import_id, unique_name }, job })
            })
            .collect()
    }
}

/// The place of a job among those that run, or among those that wait: by a date, then by its id.
enum Place {
    Running((Timestamp, i64)),
    Pending((Timestamp, i64)),
}

/// The jobs that the viewer may see.
fn seen_by(viewer: &Person) -> Jobs<'static> {
    let query = jobs::table.into_boxed();
    let Some(names) = circle(viewer) else { return query };
    let own = imports::owner.eq_any(names.clone()).or(imports::registrant.eq_any(names));
    query.filter(jobs::import_id.eq_any(imports::table.filter(own).select(imports::id)))
}

fn in_filter<'a>(mut query: Jobs<'a>, filter: &JobFilter) -> Jobs<'a> {
    if let Some(rcs_type) = filter.rcs_type {
        query = query.filter(jobs::rcs_type.eq(rcs_type.to_string()));
    }
    if let Some(machine) = &filter.machine {
        query = query.filter(jobs::machine.eq(machine.to_string()));
    }
    if filter.is_requested {
        query = query.filter(jobs::requesting_user.is_not_null());
    }
    query
}
