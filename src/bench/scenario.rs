//! What is measured.

mod cost;
mod cycle;
mod disturbed;
mod drained;
mod fleet;
mod latency;
mod relay;
mod resources;

use super::Scenario;

/// Every scenario, in the order of the table.
pub const SCENARIOS: &[Scenario] = &[
    drained::HEARTBEATS_OF_ONE,
    drained::HEARTBEATS_OF_MANY,
    drained::STARTS,
    drained::FINISHES,
    cycle::CYCLE,
    relay::RELAY,
    latency::LATENCY,
    disturbed::OPEN_TRANSACTION,
    disturbed::MILLION,
    resources::START,
    resources::IDLE,
];
