//! Imports from Git, by the real `git`: `GIT_UNDER_TEST` says which, else the first on the path.

#![expect(clippy::unwrap_used, reason = "a test panics when its world breaks")]

mod address;
mod failures;
mod fence;
mod limits;
mod server;
mod updates;
mod vetoes;
mod world;
