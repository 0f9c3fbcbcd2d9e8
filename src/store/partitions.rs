//! The partitions of `results` (a day each) and `events` (so many ids each): made ahead, dropped when old.
//!
//! A partition is made as a table of its own and then attached, and detached concurrently before it is
//! dropped: so neither waits for long, nor lets anybody wait. What could not be done within the lock timeout
//! is done the next time.

use chrono::{Days, NaiveDate, TimeDelta};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use super::schema::{applied_commands, event_counter, event_cursor, events};
use super::{Error, Store};
use crate::domain::Timestamp;

/// Partitions exist so far ahead.
pub(super) const DAYS_AHEAD: u64 = 30;

/// Only one process makes or drops partitions at a time.
const PARTITIONS_LOCK: i64 = 0x636f_6465_0003;

/// How long history is kept, and in what pieces.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Results older than this go.
    pub results: TimeDelta,
    /// Published events older than this go.
    pub events: TimeDelta,
    /// Applied commands older than this are forgotten.
    pub applied_commands: TimeDelta,
    /// So many ids make a partition of events.
    pub events_per_partition: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            results: TimeDelta::days(365),
            events: TimeDelta::days(365),
            applied_commands: TimeDelta::days(7),
            events_per_partition: 10_000_000,
        }
    }
}

/// A partition, as the catalogue has it.
#[derive(Debug, QueryableByName)]
pub(super) struct Partition {
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Text)]
    pub(super) bounds: String,
    #[diesel(sql_type = Bool)]
    pub(super) is_going: bool,
}

impl Store {
    /// Makes the partitions that are missing. Nothing can be written without them.
    pub async fn make_partitions(&mut self, retention: Retention) -> Result<(), Error> {
        self.lock_partitions().await?;
        let made = self.make_missing(retention).await;
        self.unlock_partitions().await?;
        made
    }

    /// Drops the partitions that are older than they are kept, and forgets old commands. Says which went.
    pub async fn drop_old(&mut self, retention: Retention) -> Result<Vec<String>, Error> {
        self.lock_partitions().await?;
        let dropped = self.drop_expired(retention).await;
        self.unlock_partitions().await?;
        dropped
    }

    async fn lock_partitions(&mut self) -> Result<(), Error> {
        self.run("SET lock_timeout = '1s'").await?;
        // Whoever is stopped while it holds the lock must not keep every other from starting.
        self.run("SET idle_session_timeout = '10s'").await?;
        self.run(&format!("SELECT pg_advisory_lock({PARTITIONS_LOCK})")).await
    }

    async fn unlock_partitions(&mut self) -> Result<(), Error> {
        self.run(&format!("SELECT pg_advisory_unlock({PARTITIONS_LOCK})")).await?;
        self.run("RESET idle_session_timeout").await
    }

    async fn make_missing(&mut self, retention: Retention) -> Result<(), Error> {
        let today = self.now().await?.date_naive();
        let there = self.partitions("results").await?;
        for day in days(today, DAYS_AHEAD) {
            let name = format!("results_{}", day.format("%Y%m%d"));
            let (from, to) = (format!("'{day} 00:00+00'"), format!("'{} 00:00+00'", next(day)));
            if !there.iter().any(|partition| partition.name == name) {
                self.attach("results", &name, &from, &to).await?;
            }
        }
        let there = self.partitions("events").await?;
        let mut made_to =
            there.iter().filter_map(|partition| upper_bound(&partition.bounds)).max().unwrap_or(1);
        let needed = self.events_needed(retention.events_per_partition).await?;
        while made_to <= needed {
            let to = made_to.saturating_add(retention.events_per_partition);
            self.attach("events", &format!("events_{made_to}"), &made_to.to_string(), &to.to_string())
                .await?;
            made_to = to;
        }
        Ok(())
    }

    /// Up to which id partitions must exist: as many ids ahead as the last thirty days took, and one partition.
    pub(super) async fn events_needed(&mut self, per_partition: i64) -> Result<i64, Error> {
        let query = event_counter::table.select(event_counter::next_id);
        let next: i64 = query.first(self.connection()).await?;
        let month_ago = self.now().await? - TimeDelta::days(30);
        // The first event of each partition is found by its primary key.
        let mut taken = 0;
        for partition in self.partitions("events").await? {
            let Some((from, to)) = lower_bound(&partition.bounds).zip(upper_bound(&partition.bounds)) else {
                continue;
            };
            let first = events::table.filter(events::id.ge(from).and(events::id.lt(to))).order(events::id);
            let date =
                first.select(events::date_created).first::<Timestamp>(self.connection()).await.optional()?;
            if date.is_some_and(|date| date >= month_ago) {
                taken = taken.max(next - from);
            }
        }
        Ok(next.saturating_add(taken.max(per_partition)))
    }

    async fn attach(&mut self, parent: &str, name: &str, from: &str, to: &str) -> Result<(), Error> {
        let like = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS";
        self.run(&format!("CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} {like})")).await?;
        self.run(&format!("ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"))
            .await
    }

    async fn drop_expired(&mut self, retention: Retention) -> Result<Vec<String>, Error> {
        let now = self.now().await?;
        let old_command = applied_commands::date_created.lt(now - retention.applied_commands);
        diesel::delete(applied_commands::table.filter(old_command)).execute(self.connection()).await?;
        let oldest_day = (now - retention.results).date_naive();
        let mut old = Vec::new();
        for partition in self.partitions("results").await? {
            let day = partition.name.strip_prefix("results_");
            let day = day.and_then(|day| NaiveDate::parse_from_str(day, "%Y%m%d").ok());
            if partition.is_going || day.is_some_and(|day| day < oldest_day) {
                old.push(("results", partition));
            }
        }
        for partition in self.partitions("events").await? {
            if partition.is_going || self.is_old_news(&partition, now - retention.events).await? {
                old.push(("events", partition));
            }
        }
        let mut dropped = Vec::new();
        for (parent, partition) in old {
            let name = &partition.name;
            // One that was left half detached is finished first; it would stop every other.
            let how = if partition.is_going { "FINALIZE" } else { "CONCURRENTLY" };
            self.run(&format!("ALTER TABLE {parent} DETACH PARTITION {name} {how}")).await?;
            self.run(&format!("DROP TABLE {name}")).await?;
            dropped.push(partition.name);
        }
        for name in self.left_over(oldest_day).await? {
            self.run(&format!("DROP TABLE {name}")).await?;
            dropped.push(name);
        }
        Ok(dropped)
    }

    /// Old partitions that somebody detached and did not come to drop. One that was made and not yet attached
    /// is not old.
    async fn left_over(&mut self, oldest_day: NaiveDate) -> Result<Vec<String>, Error> {
        #[derive(QueryableByName)]
        struct Table {
            #[diesel(sql_type = Text)]
            name: String,
        }
        let query = diesel::sql_query(
            "SELECT relname::text AS name FROM pg_class
             WHERE relkind = 'r' AND NOT relispartition AND pg_table_is_visible(oid)
                 AND relname ~ '^(results_[0-9]{8}|events_[0-9]+)$' ORDER BY relname",
        );
        let tables: Vec<Table> = query.load(self.connection()).await?;
        let attached = self.partitions("events").await?;
        let first = attached.iter().filter_map(|partition| lower_bound(&partition.bounds)).min();
        let is_old = |name: &str| match name.strip_prefix("results_") {
            Some(day) => NaiveDate::parse_from_str(day, "%Y%m%d").is_ok_and(|day| day < oldest_day),
            None => name.strip_prefix("events_").and_then(|from| from.parse().ok()) < first,
        };
        Ok(tables.into_iter().map(|table| table.name).filter(|name| is_old(name)).collect())
    }

    /// Whether every event of a partition is published, and older than `oldest`.
    async fn is_old_news(&mut self, partition: &Partition, oldest: Timestamp) -> Result<bool, Error> {
        let Some((from, to)) = lower_bound(&partition.bounds).zip(upper_bound(&partition.bounds)) else {
            return Ok(false);
        };
        let published: i64 =
            event_cursor::table.select(event_cursor::last_id).first(self.connection()).await?;
        if published < to {
            return Ok(false);
        }
        let last = events::table.filter(events::id.ge(from).and(events::id.lt(to))).order(events::id.desc());
        let date =
            last.select(events::date_created).first::<Timestamp>(self.connection()).await.optional()?;
        Ok(date.is_none_or(|date| date < oldest))
    }

    pub(super) async fn partitions(&mut self, parent: &str) -> Result<Vec<Partition>, Error> {
        let query = diesel::sql_query(
            "SELECT c.relname::text AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds,
                 i.inhdetachpending AS is_going
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = $1::regclass ORDER BY c.relname",
        );
        Ok(query.bind::<Text, _>(parent).load(self.connection()).await?)
    }

    async fn run(&mut self, statement: &str) -> Result<(), Error> {
        diesel::sql_query(statement).execute(self.connection()).await?;
        Ok(())
    }
}

pub(super) fn days(from: NaiveDate, count: u64) -> impl Iterator<Item = NaiveDate> {
    // Yesterday too: a transaction may have read the clock just before midnight.
    let yesterday = from.pred_opt().unwrap_or(from);
    (0..=count + 1).filter_map(move |n| yesterday.checked_add_days(Days::new(n)))
}

fn next(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap_or(day)
}

/// The first id of `FOR VALUES FROM ('1') TO ('100')`.
pub(super) fn lower_bound(bounds: &str) -> Option<i64> {
    bounds.split('\'').nth(1)?.parse().ok()
}

/// The id after the last one of `FOR VALUES FROM ('1') TO ('100')`.
pub(super) fn upper_bound(bounds: &str) -> Option<i64> {
    bounds.split('\'').nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_from_the_catalogue() {
        let bounds = "FOR VALUES FROM ('1') TO ('100')";
        assert_eq!((lower_bound(bounds), upper_bound(bounds)), (Some(1), Some(100)));
        assert_eq!(upper_bound("DEFAULT"), None);
    }

    #[test]
    fn days_begin_with_yesterday() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        let days: Vec<_> = days(today, 1).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2026-11-23", "2026-11-24", "2026-11-25"]);
    }
}
