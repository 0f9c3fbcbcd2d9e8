//! Keeps Git mirrors of foreign repositories fresh.

pub mod broker;
pub mod cli;
pub mod config;
pub mod domain;
pub mod protocol;
pub mod service;
pub mod store;
pub mod worker;
pub mod workflow;
