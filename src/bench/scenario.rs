//! What is measured.

mod catalogue;
mod cost;
mod cycle;
mod disturbed;
mod drained;
mod fleet;
mod held;
mod latency;
mod machines;
mod peer;
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

/// Scenarios that are measured only when they are named: they need more than a minute, or much room.
pub const LARGE: &[Scenario] =
    &[catalogue::CATALOGUE, catalogue::LARGE_CATALOGUE, held::HELD, machines::MACHINES, peer::PEER];
