//! Times, relative and absolute.

use chrono::TimeDelta;

use crate::domain::Timestamp;

/// `2 min ago (2026-11-24 10:00:03Z)`.
pub(super) fn both(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", relative(time, now), absolute(time))
}

/// The same, or `never`.
pub(super) fn both_or_never(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "never".to_owned(), |time| both(time, now))
}

/// `2026-11-24 10:00:03Z`.
pub(super) fn absolute(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `2 min ago`, `in 3 h`, `now`.
pub(super) fn relative(time: Timestamp, now: Timestamp) -> String {
    let passed = now - time;
    match passed.num_seconds() {
        0 => "now".to_owned(),
        1.. => format!("{} ago", about(passed)),
        _ => format!("in {}", about(-passed)),
    }
}

/// `42 s`, `5 min`, `3 h`, `12 d`, to the nearest.
pub(super) fn about(time: TimeDelta) -> String {
    let seconds = time.num_seconds();
    let nearest = |unit: i64| (seconds + unit / 2) / unit;
    let (minutes, hours) = (nearest(60), nearest(3_600));
    if seconds < 60 {
        format!("{seconds} s")
    } else if minutes < 60 {
        format!("{minutes} min")
    } else if hours < 48 {
        format!("{hours} h")
    } else {
        format!("{} d", nearest(86_400))
    }
}

/// `2m 5s`, to the second.
pub(super) fn exact(time: TimeDelta) -> String {
    let seconds = u64::try_from(time.num_seconds()).unwrap_or(0);
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_as_people_say_it() {
        #[track_caller]
        fn check(seconds: i64, expected: &str) {
            let now = Timestamp::UNIX_EPOCH;
            assert_eq!(relative(now + TimeDelta::seconds(seconds), now), expected);
        }
        check(0, "now");
        check(-42, "42 s ago");
        check(-89, "1 min ago");
        check(-90, "2 min ago");
        check(10_799, "in 3 h");
        check(3_599, "in 1 h");
        check(47 * 3_600, "in 47 h");
        check(-12 * 86_400, "12 d ago");
    }

    #[test]
    fn a_time_is_shown_in_both_ways() {
        let now = Timestamp::UNIX_EPOCH + TimeDelta::seconds(100);
        assert_eq!(both(Timestamp::UNIX_EPOCH, now), "2 min ago (1970-01-01 00:00:00Z)");
        assert_eq!(both_or_never(None, now), "never");
        assert_eq!(exact(TimeDelta::seconds(125)), "2m 5s");
    }
}
