//! Candidates: what is due, what was handed out and never started, what is silent.
//!
//! They are hints, read without locks. Whoever has one sends a command through the one door, where the rule
//! decides again on the locked row; so one too many needs no thought, and one that is missed now is found later.

use std::collections::HashSet;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::rows::Corrupt;
use super::schema::{hearing, jobs, machines};
use super::{Error, Store};
use crate::domain::{Hostname, ImportId, JobId, RcsType, Timestamp};

/// A job that may be dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueJob {
    /// Since when it is due.
    pub date_due: Timestamp,
    /// Which job.
    pub id: JobId,
}

/// A job that was handed out, and that nobody has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostJob {
    /// Whether somebody requested it.
    pub is_requested: bool,
    /// The job.
    pub job: DueJob,
}

/// A time of the database, and which of its transactions were open then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The time.
    pub now: Timestamp,
    /// The oldest transaction that had not ended.
    pub oldest_open: i64,
    /// One that began after it: whoever had locked a row by `now` has a lower number.
    pub next: i64,
}

/// A job whose machine may have gone silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentJob {
    /// Which job.
    pub job: JobId,
    /// Its import, which must be locked first.
    pub import: ImportId,
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Which transactions are open; `Text` stands for a type of its own, which is only passed on.
    fn txid_current_snapshot() -> Text;
    /// The oldest that is.
    fn txid_snapshot_xmin(snapshot: Text) -> BigInt;
    /// The number of this one, which it is given now.
    fn txid_current() -> BigInt;
}

impl Store {
    /// The first jobs of an RCS that are due and not handed out, longest due first, from `from` on.
    pub async fn due_jobs(
        &mut self,
        rcs_type: RcsType,
        from: Option<Timestamp>,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<DueJob>, Error> {
        let query = jobs::table
            .filter(jobs::state.eq("PENDING").and(jobs::date_dispatched.is_null()))
            .filter(jobs::rcs_type.eq(rcs_type.to_string()))
            .filter(jobs::date_due.le(now))
            .filter(jobs::date_due.ge(from.unwrap_or(Timestamp::UNIX_EPOCH)))
            .order((jobs::date_due, jobs::id))
            .limit(limit)
            .select((jobs::date_due, jobs::id));
        let rows: Vec<(Timestamp, i64)> = query.load(self.connection()).await?;
        Ok(due(rows))
    }

    /// The same, of the jobs that somebody requested.
    pub async fn requested_jobs(
        &mut self,
        rcs_type: RcsType,
        from: Option<Timestamp>,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<DueJob>, Error> {
        let query = jobs::table
            .filter(jobs::state.eq("PENDING").and(jobs::date_dispatched.is_null()))
            .filter(jobs::requesting_user.is_not_null())
            .filter(jobs::rcs_type.eq(rcs_type.to_string()))
            .filter(jobs::date_due.le(now))
            .filter(jobs::date_due.ge(from.unwrap_or(Timestamp::UNIX_EPOCH)))
            .order((jobs::date_due, jobs::id))
            .limit(limit)
            .select((jobs::date_due, jobs::id));
        let rows: Vec<(Timestamp, i64)> = query.load(self.connection()).await?;
        Ok(due(rows))
    }

    /// Jobs of an RCS that were handed out before `cutoff` and that nobody has started.
    pub async fn lost_jobs(
        &mut self,
        rcs_type: RcsType,
        cutoff: Timestamp,
        limit: i64,
    ) -> Result<Vec<LostJob>, Error> {
        let query = jobs::table
            .filter(jobs::state.eq("PENDING").and(jobs::date_dispatched.is_not_null()))
            .filter(jobs::rcs_type.eq(rcs_type.to_string()))
            .filter(jobs::date_dispatched.lt(cutoff))
            .order(jobs::date_dispatched)
            .limit(limit)
            .select((jobs::requesting_user.is_not_null(), jobs::date_due, jobs::id));
        let rows: Vec<(bool, Timestamp, i64)> = query.load(self.connection()).await?;
        let lost =
            |(is_requested, date_due, id)| LostJob { is_requested, job: DueJob { date_due, id: JobId(id) } };
        Ok(rows.into_iter().map(lost).collect())
    }

    /// Those of these jobs that are PENDING still.
    pub async fn pending_of(&mut self, ids: &[JobId]) -> Result<HashSet<JobId>, Error> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let query =
            jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::state.eq("PENDING")).select(jobs::id);
        let pending: Vec<i64> = query.load(self.connection()).await?;
        Ok(pending.into_iter().map(JobId).collect())
    }

    /// Now, and who is open now.
    pub async fn watermark(&mut self) -> Result<Watermark, Error> {
        // The clock first: who read it before, had been given a number. Not the end of the snapshot, which knows only of
        // transactions that have ended, and of those with lower numbers.
        let now = self.now().await?;
        let oldest_open = txid_snapshot_xmin(txid_current_snapshot());
        let (oldest_open, next) =
            diesel::select((oldest_open, txid_current())).get_result(self.connection()).await?;
        Ok(Watermark { now, oldest_open, next })
    }

    /// When the job started that has been RUNNING for longest, of those that started at `from` or later.
    pub async fn oldest_start(&mut self, from: Option<Timestamp>) -> Result<Option<Timestamp>, Error> {
        let query = jobs::table
            .filter(jobs::state.eq("RUNNING"))
            .filter(jobs::date_started.ge(from.unwrap_or(Timestamp::UNIX_EPOCH)))
            .order(jobs::date_started)
            .select(jobs::date_started.assume_not_null());
        Ok(query.first(self.connection()).await.optional()?)
    }

    /// RUNNING jobs of which nothing was heard for `timeout`, as far as we listened, of those that started at `from` or
    /// later.
    pub async fn silent_jobs(
        &mut self,
        timeout: TimeDelta,
        from: Timestamp,
        limit: i64,
    ) -> Result<Vec<SilentJob>, Error> {
        let Some(cutoff) = self.silence_cutoff(timeout).await? else { return Ok(Vec::new()) };
        // A job is heard of when it starts: a silent one started before the cutoff.
        let query = jobs::table
            .filter(jobs::state.eq("RUNNING"))
            .filter(jobs::date_started.ge(from))
            .filter(jobs::date_started.lt(cutoff))
            .filter(jobs::heartbeat.lt(cutoff))
            .order(jobs::date_started)
            .limit(limit)
            .select((jobs::id, jobs::import_id));
        let rows: Vec<(i64, i64)> = query.load(self.connection()).await?;
        Ok(rows
            .into_iter()
            .map(|(job, import)| SilentJob { job: JobId(job), import: ImportId(import) })
            .collect())
    }

    /// Machines that are not OFFLINE and of which nothing was heard for `timeout`, as far as we listened.
    pub async fn silent_machines(&mut self, timeout: TimeDelta, limit: i64) -> Result<Vec<Hostname>, Error> {
        let Some(cutoff) = self.silence_cutoff(timeout).await? else { return Ok(Vec::new()) };
        let query = machines::table
            .filter(machines::state.ne("OFFLINE"))
            .filter(machines::heartbeat.lt(cutoff))
            .limit(limit)
            .select(machines::hostname);
        let names: Vec<String> = query.load(self.connection()).await?;
        names.iter().map(|name| Corrupt { table: "machines", id: name }.parse("hostname", name)).collect()
    }

    /// The last word before which counts as silence; none while we have not listened for long enough.
    async fn silence_cutoff(&mut self, timeout: TimeDelta) -> Result<Option<Timestamp>, Error> {
        let query = hearing::table.select((hearing::heard, hearing::since));
        let row: Option<(Timestamp, Timestamp)> = query.first(self.connection()).await.optional()?;
        Ok(row
            .map(|(heard, since)| (heard - timeout, since))
            .filter(|(cutoff, since)| since < cutoff)
            .map(|(cutoff, _)| cutoff))
    }
}

fn due(rows: Vec<(Timestamp, i64)>) -> Vec<DueJob> {
    rows.into_iter().map(|(date_due, id)| DueJob { date_due, id: JobId(id) }).collect()
}
