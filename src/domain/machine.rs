//! A machine: a host that runs workers.

use strum::{Display, EnumString, VariantArray};

use super::{Hostname, Timestamp};

/// A host that runs workers (section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it is called.
    pub hostname: Hostname,
    /// Whether it takes work.
    pub state: MachineState,
    /// Since when it is in that state.
    pub date_state: Timestamp,
    /// The last word from it, to ten seconds; none before its first word was heard.
    pub heartbeat: Option<Timestamp>,
}

/// Whether a machine takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineState {
    /// Takes work.
    Online,
    /// Finishes what it has.
    Quiescing,
    /// Takes none, and why.
    Offline(OfflineReason),
}

/// A machine's state by name.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    VariantArray,
    serde::Serialize,
    serde::Deserialize,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MachineStateName {
    /// Takes work.
    Online,
    /// Finishes what it has.
    Quiescing,
    /// Takes none.
    Offline,
}

/// Why a machine is OFFLINE.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantArray, serde::Serialize, serde::Deserialize,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OfflineReason {
    /// An operator said so.
    Stopped,
    /// It was drained.
    Quiesced,
    /// It went silent; it comes back by itself when it speaks.
    Watchdog,
}

impl MachineState {
    /// The state without its reason.
    #[must_use]
    pub fn name(self) -> MachineStateName {
        match self {
            Self::Online => MachineStateName::Online,
            Self::Quiescing => MachineStateName::Quiescing,
            Self::Offline(_) => MachineStateName::Offline,
        }
    }

    /// Why it is OFFLINE, if it is.
    #[must_use]
    pub fn offline_reason(self) -> Option<OfflineReason> {
        match self {
            Self::Offline(reason) => Some(reason),
            Self::Online | Self::Quiescing => None,
        }
    }
}
