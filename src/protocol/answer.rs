//! What the coordinator answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Refusal;
use super::work::ImportBody;
use crate::domain::machine::MachineStateName;
use crate::domain::{JobId, RunId};

/// The answer to a start, a finish or a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// It was applied, now or before.
    Accepted(Accepted),
    /// It changes nothing, and why.
    Refused(Refusal),
}

/// What an accepted message made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// To a start: the import as it is now, with its full source. This is what is imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportBody>,
    /// To a command: what it made.
    #[serde(flatten)]
    pub made: serde_json::Map<String, Value>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Whether the machine may take work.
    pub machine_state: MachineStateName,
    /// The runs that are not current any more.
    pub stop: Vec<Stop>,
    /// How often a heartbeat is expected, in seconds.
    pub heartbeat_interval_s: u64,
    /// After how much silence a job is reclaimed, in seconds.
    pub heartbeat_timeout_s: u64,
}

/// A run that is not current any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Its job.
    pub job: JobId,
    /// The run.
    pub run: RunId,
}
