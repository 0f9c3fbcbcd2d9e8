//! The baselines: bare programs that do to the broker, or to the database, what ours does to it, and nothing else.
//!
//! * **B** ([`broker`]): the same messages through the same queues, confirmed and acknowledged, and nothing is done
//!   with them.
//! * **S** ([`database`]): the same rows, in batches of the same size, with one bulk statement per table.
//! * **L** ([`limit`]): what a machine can do whose cores do both, one after the other.

pub mod broker;
pub mod database;

/// L: what takes `1 / b` and `1 / s` seconds apart takes the sum of both together.
#[must_use]
pub fn limit(b: f64, s: f64) -> f64 {
    1.0 / (1.0 / b + 1.0 / s)
}
