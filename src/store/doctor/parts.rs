//! Partitions: ahead, half detached, catching all.

use crate::domain::finding::Examination;
use crate::store::partitions::{DAYS_AHEAD, Partition, days, lower_bound, upper_bound};
use crate::store::{Error, Store};

const MAKE: &str =
    "code-imports migrate (and see that `code-imports serve` runs: its housekeeping makes them)";

pub(super) async fn examine(store: &mut Store) -> Result<Examination, Error> {
    let today = store.now().await?.date_naive();
    let (results, events) = (store.partitions("results").await?, store.partitions("events").await?);
    let looked_at = format!(
        "{} partitions of results, {} of events, {DAYS_AHEAD} days or as many ids ahead",
        results.len(),
        events.len()
    );
    let mut look = Examination::of("partitions", looked_at);
    // Housekeeping makes the farthest one in the minutes after midnight.
    let missing: Vec<String> = days(today, DAYS_AHEAD - 1)
        .map(|day| format!("results_{}", day.format("%Y%m%d")))
        .filter(|name| !results.iter().any(|partition| partition.name == *name))
        .collect();
    if let (Some(first), count) = (missing.first(), missing.len()) {
        let what = format!("{count} partitions of results are missing; {first} is the first");
        look.wrong(what, MAKE);
    }
    examine_events(&mut look, &events, store.events_needed(0).await?);
    for (parent, partition) in
        results.iter().map(|it| ("results", it)).chain(events.iter().map(|it| ("events", it)))
    {
        let name = &partition.name;
        if partition.is_going {
            let what = format!("{name} is half detached, and no other partition of {parent} can be detached");
            look.wrong(what, format!("ALTER TABLE {parent} DETACH PARTITION {name} FINALIZE;"));
        }
        if partition.bounds == "DEFAULT" {
            let what = format!("{name} is a default partition: it takes rows that should be refused");
            look.wrong(what, format!("ALTER TABLE {parent} DETACH PARTITION {name};"));
        }
    }
    Ok(look)
}

fn examine_events(look: &mut Examination, events: &[Partition], needed: i64) {
    let mut bounds: Vec<(i64, i64)> =
        events.iter().filter_map(|it| lower_bound(&it.bounds).zip(upper_bound(&it.bounds))).collect();
    bounds.sort_unstable();
    let end = bounds.last().map_or(1, |(_, to)| *to);
    if end <= needed {
        look.wrong(format!("the partitions of events end at {end}, and ids up to {needed} need one"), MAKE);
    }
    let hole = bounds.iter().zip(bounds.iter().skip(1)).find(|((_, to), (from, _))| to < from);
    if let Some(((_, to), (from, _))) = hole {
        let what = format!("no partition of events holds the ids from {to} to {}", from.saturating_sub(1));
        let values = format!("FOR VALUES FROM ({to}) TO ({from})");
        look.wrong(what, format!("CREATE TABLE events_{to} PARTITION OF events {values};"));
    }
}
