//! The database's clock against this host's.

use std::time::{Duration, Instant, SystemTime};

use chrono::TimeDelta;

use crate::domain::Timestamp;
use crate::domain::finding::Examination;
use crate::store::{Error, Store};

/// Clocks that are kept right differ by milliseconds. The rules go by the database's clock alone; what goes by this
/// host's are its logs and certificates.
const LIMIT: TimeDelta = TimeDelta::seconds(5);

pub(super) async fn examine(store: &mut Store) -> Result<Examination, Error> {
    let asked = Instant::now();
    let theirs = store.now().await?;
    let took = asked.elapsed();
    let ours = Timestamp::from(SystemTime::now());
    let mut look = Examination::of("clock", "this host's clock and the database's; the broker shows none");
    // It was read somewhere in between.
    let on_the_way = TimeDelta::from_std(took.min(Duration::from_mins(1))).unwrap_or_default();
    let ahead = theirs.signed_duration_since(ours);
    if ahead.abs() > LIMIT + on_the_way {
        let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
        let what = format!(
            "the database's clock ({}) is {:.1} s {direction} this host's",
            theirs.to_rfc3339(),
            ahead.abs().as_seconds_f64()
        );
        look.wrong(what, "timedatectl set-ntp true, on whichever host is wrong");
    }
    Ok(look)
}
