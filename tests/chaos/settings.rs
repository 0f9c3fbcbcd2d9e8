//! What the harness is told, and how short it makes the times of those that it tests.

use std::time::Duration;

/// The seed of `make test`.
const SEED: u64 = 20_261_125;

/// Silence after which a run is reclaimed. Not shorter: an outage of ours of up to 30 s counts as none (section 10
/// of the behaviour), and what is left must be enough for workers to come back.
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(50);

/// What lasts so long outlasts it: an outage of ours, or a run.
pub(crate) const LONGER_THAN_THAT: Duration = Duration::from_secs(HEARTBEAT_TIMEOUT.as_secs() + 15);

/// What was handed out and not started is handed out again after this.
pub(crate) const DISPATCH_TIMEOUT: Duration = Duration::from_secs(8);

/// Work must go on so soon after the servers are back, or a leader is gone.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);

/// What each coordinator is told.
pub(crate) const SERVE: &str = "--heartbeat-interval 2s --heartbeat-timeout 50s --machine-timeout 60s \
    --echo-interval 2s --dispatch-timeout 8s --infrastructure-backoff 1s --quiesce-grace 2s --update-interval 8s \
    --failure-limit 1000000";

/// The queues that the program declares, without their prefix.
pub(crate) const DECLARED: [&str; 10] = [
    "start",
    "heartbeat",
    "finish",
    "commands",
    "rejected",
    "work.hg",
    "work.git",
    "work.svn",
    "work.cvs",
    "work.bzr",
];

/// Simulated imports, and how many of them are due in every update interval.
pub(crate) const IMPORTS: usize = 40;

/// Real ones.
pub(crate) const REAL_IMPORTS: usize = 6;

/// What the harness is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// How long things are broken.
    pub(crate) storm: Duration,
}

/// In a shorter storm nothing takes as long as the heartbeat timeout: it would be most of it.
const LONG: Duration = Duration::from_mins(3);

impl Settings {
    /// Whether there is time for outages that outlast the heartbeat timeout, and for runs that do.
    pub(crate) fn is_long(self) -> bool {
        self.storm >= LONG
    }

    /// From the environment, else what `make test` runs.
    pub(crate) fn read() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let seed = read("CHAOS_SEED").map_or(SEED, |text| text.parse().expect("CHAOS_SEED is a number"));
        let minutes =
            read("CHAOS_MINUTES").map(|text| text.parse::<f64>().expect("CHAOS_MINUTES is a number"));
        Self {
            seed,
            storm: minutes.map_or(Duration::from_secs(50), |minutes| Duration::from_secs_f64(minutes * 60.0)),
        }
    }
}
