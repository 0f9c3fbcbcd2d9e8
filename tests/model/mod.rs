//! Random words against the workflow: what they are, a store that holds rows in memory, and what must hold.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; one that cannot go on panics")]

pub(crate) mod history;
pub(crate) mod memory;
pub(crate) mod words;
