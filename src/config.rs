//! Every setting: its name, its unit, its default and its limits. Read once, checked once.
//!
//! A flag counts over the environment, the environment over the default. The command line takes every
//! setting as text and checks it here, so that all that is wrong is told at once.
//!
//! | file         | what                                               |
//! |--------------|----------------------------------------------------|
//! | [`servers`]  | where PostgreSQL and RabbitMQ are                  |
//! | [`policy`]   | the numbers that rules go by, and what may be imported |
//! | [`serve`]    | what only `serve` is told                          |
//! | [`worker`]   | what only `worker` is told                         |

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::broker::AmqpUrls;
use crate::domain::Hostname;
use crate::store::{DatabaseUrl, Retention};
use crate::workflow::Policy;

pub mod policy;
pub mod serve;
pub mod servers;
pub mod worker;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// The longest time that a setting may say, so that no date leaves what the database can hold.
const LONGEST: Duration = Duration::from_hours(3650 * 24);

/// Everything that is wrong with the settings, each in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Invalid(Vec<String>);

/// Reads what an operation on the database needs, and tells at once what is wrong.
pub fn read_database_and_policy(
    database: &servers::DatabaseArgs,
    policy: &policy::PolicyArgs,
) -> Result<(DatabaseUrl, Policy), Invalid> {
    let mut check = Check::default();
    let (database, policy) = (database.check(&mut check), policy.check(&mut check));
    check.finish(database.map(|database| (database, policy)))
}

/// Reads where both servers are, and tells at once what is wrong.
pub fn read_servers(
    database: &servers::DatabaseArgs,
    broker: &servers::BrokerArgs,
) -> Result<(DatabaseUrl, AmqpUrls, String), Invalid> {
    let mut check = Check::default();
    let (database, broker) = (database.check(&mut check), broker.check(&mut check));
    check.finish(database.zip(broker).map(|(database, (urls, prefix))| (database, urls, prefix)))
}

/// Reads what migrating needs, and tells at once what is wrong.
pub fn read_database_and_retention(
    database: &servers::DatabaseArgs,
    retention: &serve::RetentionArgs,
) -> Result<(DatabaseUrl, Retention), Invalid> {
    let mut check = Check::default();
    let (database, retention) = (database.check(&mut check), retention.check(&mut check));
    check.finish(database.map(|database| (database, retention)))
}

/// Reads settings, and collects what is wrong with them.
///
/// What cannot be read gets a stand-in: nobody sees it, since `finish` then returns no value.
#[derive(Debug, Default)]
pub struct Check {
    wrong: Vec<String>,
    flags: BTreeSet<String>,
}

impl Check {
    /// Reads a time, `6h` or `30s`, of these limits.
    fn duration(&mut self, flag: &str, text: &str, limits: RangeInclusive<Duration>) -> Duration {
        let (min, max) =
            (humantime::format_duration(*limits.start()), humantime::format_duration(*limits.end()));
        match humantime::parse_duration(text) {
            Ok(time) if limits.contains(&time) => return time,
            Ok(_) => self.wrong(flag, format!("expected a time from {min} to {max}, not {text}")),
            Err(_) => {
                self.wrong(flag, format!("expected a time with its unit, like 6h or 30s, not {text:?}"));
            }
        }
        *limits.end()
    }

    /// Reads a number of these limits.
    fn number<T>(&mut self, flag: &str, text: &str, limits: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let (min, max) = (*limits.start(), *limits.end());
        if let Some(number) = text.parse().ok().filter(|number| limits.contains(number)) {
            return number;
        }
        self.wrong(flag, format!("expected a number from {min} to {max}, not {text:?}"));
        max
    }

    /// Reads a list with commas between. Nothing is an empty list.
    fn list<T: FromStr>(&mut self, flag: &str, text: &str, expected: &str) -> Vec<T> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let read = |word: &str| {
            let value = word.parse().ok();
            if value.is_none() {
                self.wrong(flag, format!("expected {expected}, not {word:?}"));
            }
            value
        };
        words.filter_map(read).collect()
    }

    /// Notes that a setting is wrong, and how.
    fn wrong(&mut self, flag: &str, what: impl Display) {
        let variable = flag.to_uppercase().replace('-', "_");
        self.wrong.push(format!("--{flag} (CODE_IMPORTS_{variable}): {what}"));
        self.flags.insert(flag.to_owned());
    }

    /// Notes something that is wrong with the settings together, or with one of another name.
    fn note(&mut self, what: impl Display) {
        self.wrong.push(what.to_string());
    }

    /// These settings must fit each other; where one of them could not be read, nobody can tell.
    fn require(&mut self, flags: [&str; 2], holds: bool, rule: &str) {
        let were_read = flags.iter().all(|flag| !self.is_wrong(flag));
        if were_read && !holds {
            self.note(format!("--{} and --{}: {rule}", flags[0], flags[1]));
        }
    }

    /// Whether this setting could not be read.
    fn is_wrong(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// The value, unless something is wrong.
    fn finish<T>(self, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.wrong.is_empty() => Ok(value),
            _ => Err(Invalid(self.wrong)),
        }
    }
}

/// This host's name, in lower case, if it has one that a machine can have.
fn own_hostname() -> Option<Hostname> {
    let read = ["/etc/hostname", "/proc/sys/kernel/hostname"].map(std::fs::read_to_string);
    let mut names = read.into_iter().flatten().map(|name| name.trim().to_lowercase());
    names.find_map(|name| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut check = Check::default();
        check.duration("update-interval", "six hours", SECOND..=LONGEST);
        check.duration("quiesce-grace", "30", SECOND..=LONGEST);
        check.duration("echo-interval", "1ms", SECOND..=DAY);
        check.number("failure-limit", "0", 1..=100);
        check.list::<u32>("extra-schemes", "1, x,,2", "a scheme");
        check.require(["echo-interval", "a"], false, "nobody can tell");
        check.require(["a", "b"], false, "they differ");
        let wrong = check.finish(Some(())).unwrap_err().to_string();
        let expected = [
            "--update-interval (CODE_IMPORTS_UPDATE_INTERVAL): expected a time with its unit, like 6h or 30s, not \"six hours\"",
            "--quiesce-grace (CODE_IMPORTS_QUIESCE_GRACE): expected a time with its unit, like 6h or 30s, not \"30\"",
            "--echo-interval (CODE_IMPORTS_ECHO_INTERVAL): expected a time from 1s to 1day, not 1ms",
            "--failure-limit (CODE_IMPORTS_FAILURE_LIMIT): expected a number from 1 to 100, not \"0\"",
            "--extra-schemes (CODE_IMPORTS_EXTRA_SCHEMES): expected a scheme, not \"x\"",
            "--a and --b: they differ",
        ];
        assert_eq!(wrong, expected.join("\n"));
    }

    #[test]
    fn what_is_right_is_read() {
        let mut check = Check::default();
        assert_eq!(check.duration("a", "1h 30min", SECOND..=DAY), Duration::from_mins(90));
        assert_eq!(check.number("b", "7", 1..=10), 7);
        assert_eq!(check.list::<u32>("c", " 1,2 ", "a number"), [1, 2]);
        assert!(check.list::<u32>("d", "", "a number").is_empty());
        check.require(["a", "b"], true, "they differ");
        assert_eq!(check.finish(Some(1)), Ok(1));
    }
}
