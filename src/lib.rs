//! Keeps Git mirrors of foreign repositories fresh.

pub mod domain;
pub mod protocol;
