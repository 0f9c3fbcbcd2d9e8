//! What is measured.

mod cost;
mod cycle;
mod drained;
mod fleet;
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
