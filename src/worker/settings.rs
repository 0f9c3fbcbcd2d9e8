//! What a worker is told before it begins.

use std::time::Duration;

use crate::broker::AmqpUrls;
use crate::domain::{Hostname, RcsType};

/// What a worker is told before it begins.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Where the broker is.
    pub urls: AmqpUrls,
    /// What every name there begins with.
    pub prefix: String,
    /// What this machine is called. Where its broker account has the same name, the broker vouches for it.
    pub machine: Hostname,
    /// What it can import.
    pub rcs_types: Vec<RcsType>,
    /// How many imports it runs at once.
    pub slots: usize,
    /// How long it waits for what.
    pub timing: Timing,
}

/// How long a worker waits for what; the defaults are those of `messages.md`.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From one heartbeat to the next, until the first answer says it.
    pub heartbeat_interval: Duration,
    /// How long a heartbeat may lie in its queue, until the first answer says it.
    pub first_heartbeat_expiration: Duration,
    /// How long a start or finish waits for its answer: before the first repeat, the second, and so on; the
    /// last one counts for all that follow.
    pub repeats: Vec<Duration>,
    /// How long leaving may take.
    pub drain: Duration,
    /// From one session to the next: the first wait, which doubles, and the longest. Short, since whoever has one
    /// worker waits as long for work to go on when the broker is back.
    pub reconnect: (Duration, Duration),
}

impl WorkerSettings {
    /// A worker of one slot, with defaults for all else.
    #[must_use]
    pub fn new(urls: AmqpUrls, machine: Hostname, rcs_types: &[RcsType]) -> Self {
        let (prefix, rcs_types) = ("code-imports".to_owned(), rcs_types.to_vec());
        Self { urls, prefix, machine, rcs_types, slots: 1, timing: Timing::default() }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(30),
            first_heartbeat_expiration: Duration::from_mins(1),
            repeats: [30, 60, 120, 240, 300].map(Duration::from_secs).to_vec(),
            drain: Duration::from_secs(20),
            reconnect: (Duration::from_millis(500), Duration::from_secs(5)),
        }
    }
}
