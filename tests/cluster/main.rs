//! The program on clusters: nodes are killed and standbys promoted while everything runs.
//!
//! They take minutes: `make test-cluster`.

#![allow(dead_code, reason = "what `binary` has for all of its tests is not all used here")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

#[path = "../binary/audit.rs"]
mod audit;
#[path = "../binary/door.rs"]
mod door;
#[path = "../binary/process.rs"]
mod process;
#[path = "../binary/server.rs"]
mod server;
#[path = "../binary/simulation.rs"]
mod simulation;
#[path = "../binary/talker.rs"]
mod talker;
#[path = "../binary/world.rs"]
mod world;

mod failover;
mod load;
mod nodes;
