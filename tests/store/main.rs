//! The store at a real PostgreSQL: what it writes, what it refuses, and what many of it do at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

mod candidates;
mod columns;
mod errors;
mod held;
mod leaders;
mod locks;
mod partitions;
mod together;
mod world;
