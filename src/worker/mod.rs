//! The client part of a worker: take work, run it, report. And an importer of our own: [`importer`].
//!
//! Whoever writes a worker writes one function, from a [`Run`] to a [`Report`](crate::domain::Report), and
//! hands it to [`Worker::run`]; the duties of `messages.md` are done for it.
//!
//! ```text
//!             session: one at a time           client: one task              importer
//! broker ──── deliveries, answers ──────► duties (pure: event → actions) ──► Run
//!        ◄─── publish, acknowledge ──────                                ◄── Report
//! ```
//!
//! | file         | what                                                        |
//! |--------------|-------------------------------------------------------------|
//! | `settings`   | what a worker is told before it begins                      |
//! | `client`     | [`Worker`]: the loop around the duties                      |
//! | `run`        | [`Run`]: what the importer is given                         |
//! | `duties`     | the duties, as rules without I/O                            |
//! | `slots`      | the jobs that are held, each in its stage                   |
//! | `kept`       | messages that are kept until they are answered              |
//! | `pulse`      | heartbeats                                                  |
//! | `session`    | one connection after the other                              |
//! | [`importer`] | the function of the reference worker                        |

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod client;
mod duties;
pub mod importer;
mod kept;
mod lease;
mod log_tail;
mod pulse;
mod report;
mod run;
mod session;
mod settings;
mod slots;

pub use client::{Undrained, Worker};
pub use lease::{BootTime, Lease};
pub use log_tail::LogTail;
pub use run::{Run, Stop, StopReason};
pub use settings::{Timing, WorkerSettings};
