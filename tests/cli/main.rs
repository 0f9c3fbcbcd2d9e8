//! The command line, by the built program, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

mod bulk;
mod complete;
mod definitions;
mod desk;
mod event;
mod hint;
mod import;
mod job;
mod machine;
mod people;
mod rejected;
mod selector;
mod settings;
mod shell;
mod status;
mod terminal;
mod topology;
mod wait;
mod world;
