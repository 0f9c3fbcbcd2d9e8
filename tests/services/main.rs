//! The services of a coordinator, through real PostgreSQL and RabbitMQ: what workers and operators say to it, and
//! what it does by itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

mod broken;
mod consumer;
mod dispatcher;
mod leaders;
mod reaper;
mod rejected;
mod verify;
mod world;
