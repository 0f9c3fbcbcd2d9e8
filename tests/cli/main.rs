//! The command line, by the built program, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

mod definitions;
mod event;
mod import;
mod job;
mod load;
mod machine;
mod people;
mod rejected;
mod settings;
mod shell;
mod status;
mod topology;
mod wait;
mod world;
