//! The program as operators start it: real processes, real servers, real Git.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod clients;
mod death;
mod demo;
mod door;
mod health;
mod hosts;
mod journey;
mod load;
mod process;
mod restart;
mod restore;
mod secure;
mod server;
mod settings;
mod simulation;
mod standby;
mod talker;
mod upstream;
mod world;
