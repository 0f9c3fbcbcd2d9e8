//! What `serve` is told.

use std::net::SocketAddr;
use std::time::Duration;

use crate::broker::AmqpUrls;
use crate::store::{DatabaseUrl, Retention};
use crate::workflow::Policy;

/// What `serve` is told; the command line reads and checks it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the database is.
    pub database: DatabaseUrl,
    /// Where the broker is.
    pub amqp: AmqpUrls,
    /// What every exchange and queue begins with.
    pub prefix: String,
    /// The numbers that rules go by.
    pub policy: Policy,
    /// How often workers are asked for a heartbeat.
    pub heartbeat_interval: Duration,
    /// How long history is kept.
    pub retention: Retention,
    /// The fewest work messages of an RCS that may lie ready.
    pub window_min: u32,
    /// The most.
    pub window_max: u32,
    /// How often the reaper sends its echo, and looks for silence.
    pub echo_interval: Duration,
    /// Whether a start, a heartbeat or a finish counts only from the broker account of its machine.
    pub verify_machines: bool,
    /// Where health and readiness are served; none serves neither.
    pub http: Option<SocketAddr>,
}

impl Settings {
    /// After how much silence a job is reclaimed, as workers are told.
    #[must_use]
    pub fn heartbeat_timeout_seconds(&self) -> u64 {
        self.policy.heartbeat_timeout.num_seconds().try_into().unwrap_or(0)
    }
}
