//! The event log: without a hole, within its epoch, published.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Double, Nullable};
use diesel_async::RunQueryDsl;

use super::Depth;
use crate::domain::finding::Examination;
use crate::store::{Error, Store};

/// An event that waits for so long waits for a relay that does not run.
const RELAY_LIMIT_S: f64 = 60.0;

const BEGIN_AN_EPOCH: &str = "stop every `code-imports serve`, and code-imports after-restore";

/// The log as a few numbers.
#[derive(QueryableByName)]
struct Log {
    #[diesel(sql_type = BigInt)]
    next: i64,
    #[diesel(sql_type = BigInt)]
    published: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    first: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
    #[diesel(sql_type = Bool)]
    is_newest_epoch: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    first_hole: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    first_of_other_epoch: Option<i64>,
    /// For how long the first event that is not published has been waiting.
    #[diesel(sql_type = Nullable<Double>)]
    waiting_s: Option<f64>,
}

const LOG: &str = "
    WITH log AS (
        SELECT next_id AS next, event_counter.epoch, last_id AS published, event_epochs.first_id AS epoch_first,
            (SELECT min(id) FROM events) AS first, (SELECT max(id) FROM events) AS last
        FROM event_cursor, event_counter JOIN event_epochs USING (epoch)
    )
    SELECT next, published, first, last,
        epoch = (SELECT epoch FROM event_epochs ORDER BY first_id DESC, date_created DESC LIMIT 1)
            AS is_newest_epoch,
        (SELECT min(id) + 1 FROM events WHERE id >= greatest(first, last - $1) AND id < last
            AND NOT EXISTS (SELECT FROM events AS following WHERE following.id = events.id + 1)) AS first_hole,
        (SELECT min(id) FROM events WHERE id >= greatest(epoch_first, last - $1)
            AND events.epoch <> log.epoch) AS first_of_other_epoch,
        (SELECT extract(epoch FROM clock_timestamp() - date_created)::float8 FROM events
            WHERE id = published + 1) AS waiting_s
    FROM log";

pub(super) async fn examine(store: &mut Store, depth: Depth) -> Result<Examination, Error> {
    let log = read(store, depth).await?;
    let count =
        log.last.zip(log.first).map_or(0, |(last, first)| last.saturating_sub(first).saturating_add(1));
    let looked_at = if depth.events < count {
        format!("the latest {} of {count} events", depth.events)
    } else {
        format!("{count} events")
    };
    let mut look = Examination::of("event log", looked_at);
    for what in breaks(&log) {
        look.wrong(what, BEGIN_AN_EPOCH);
    }
    if let Some(waiting) = log.waiting_s.filter(|waiting| *waiting > RELAY_LIMIT_S) {
        let what =
            format!("event {} has not been published for {waiting:.0} s", log.published.saturating_add(1));
        look.wrong(what, "code-imports serve; if one runs: curl http://127.0.0.1:8080/readyz");
    }
    Ok(look)
}

/// What is wrong with the log itself, each in one line.
pub(in crate::store) async fn broken(store: &mut Store, depth: Depth) -> Result<Vec<String>, Error> {
    Ok(breaks(&read(store, depth).await?))
}

async fn read(store: &mut Store, depth: Depth) -> Result<Log, Error> {
    Ok(diesel::sql_query(LOG).bind::<BigInt, _>(depth.events).get_result(store.connection()).await?)
}

fn breaks(log: &Log) -> Vec<String> {
    let end = log.next.saturating_sub(1);
    let mut broken = Vec::new();
    if let Some(hole) = log.first_hole {
        broken.push(format!("there is no event {hole}, and there are later ones: subscribers wait for it"));
    }
    if let Some(last) = log.last.filter(|last| *last != end) {
        broken.push(format!("the counter stands at {}, and the last event is {last}", log.next));
    }
    if log.published > end {
        broken.push(format!("the log ends at {end}, and is published up to {}", log.published));
    }
    // Only what is published may be dropped.
    if let Some(first) = log.first.filter(|first| *first > log.published.saturating_add(1)) {
        broken.push(format!(
            "the log begins with event {first}, and is published up to {} only",
            log.published
        ));
    }
    if !log.is_newest_epoch {
        broken.push("the counter is not in the newest epoch".to_owned());
    }
    if let Some(id) = log.first_of_other_epoch {
        broken.push(format!("event {id} is of another epoch than the counter's, which had begun before it"));
    }
    broken
}
