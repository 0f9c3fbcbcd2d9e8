//! Keeps Git mirrors of foreign repositories fresh.
//!
//! ```text
//!                      work                                    events (fanout)
//!         ┌───────────────────────────────► workers            ▲
//!         │ dispatcher                        │ start, heartbeat, finish
//!         │                                   ▼                │ relay
//!    due jobs ◄── store ◄── workflow ◄── consumers             event log (gapless)
//!         └────────── PostgreSQL ──────────────────────────────┘
//! ```
//!
//! In reading order:
//!
//! | module       | what                                                                        |
//! |--------------|-----------------------------------------------------------------------------|
//! | [`domain`]   | the nouns: import, job, machine, result, event, source                      |
//! | [`workflow`] | the rules, pure: the state table is there, and the only way to change a job |
//! | [`protocol`] | the words: every JSON body                                                  |
//! | [`store`]    | PostgreSQL: the one door through which rules are applied                    |
//! | [`broker`]   | RabbitMQ: topology, batches, confirms                                       |
//! | [`service`]  | the loops of the coordinator, where store and broker meet                   |
//! | [`worker`]   | the client library, and the worker that imports Git                         |
//! | [`mod@bench`] | the coordinator beside what the machine can do at all                       |
//! | [`config`]   | every setting                                                               |
//! | [`cli`]      | the command line                                                            |
//! | `tls`        | certificates, for the servers' sake: database, broker and console           |
//!
//! A program that uses this as a library gives its threads large stacks (`RUST_MIN_STACK=67108864`): a sender may
//! nest the headers of a message as deep as a frame is long, and they are read recursively.

// Nothing that comes over the wire, and nothing that a tool prints, may end the program. What cannot be is said by
// `assert!` or `unreachable!`, with why. The modules that read either, or decide on it, look at arithmetic, too.
#![cfg_attr(
    not(test),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)
)]

pub mod bench;
pub mod broker;
pub mod cli;
pub mod config;
pub mod domain;
mod failpoint;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod protocol;
pub mod service;
pub mod store;
mod tls;
pub mod worker;
pub mod workflow;
