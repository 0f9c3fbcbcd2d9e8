//! What is measured.

mod catalogue;
mod cost;
mod cycle;
mod drained;
mod fleet;
mod held;
mod machines;
mod peer;
mod resources;

use super::Scenario;

/// Every scenario, in the order of the table.
pub const SCENARIOS: &[Scenario] = &[
    drained::HEARTBEATS_OF_ONE,
    drained::HEARTBEATS_OF_MANY,
    drained::STARTS,
    drained::FINISHES,
    cycle::CYCLE,
    resources::START,
    resources::IDLE,
];

/// Scenarios that are measured only when they are named: they need more than a minute, or much room.
pub const LARGE: &[Scenario] =
    &[catalogue::CATALOGUE, catalogue::LARGE_CATALOGUE, held::HELD, machines::MACHINES, peer::PEER];
