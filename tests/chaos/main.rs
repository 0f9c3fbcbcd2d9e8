//! A machine that breaks things: `make chaos`. What it does, and how a seed is replayed, is in ARCHITECTURE.md.
//!
//! | file                        | what                                                          |
//! |-----------------------------|---------------------------------------------------------------|
//! | `schedule`, `faults`        | what is broken, and how                                       |
//! | `postgresql`, `rabbitmq`    | servers that can be ended                                     |
//! | `link`, `process`           | networks and processes that can be ended                      |
//! | `coordinator`, `world`      | everything that runs                                          |
//! | `worker`, `behaviour`       | workers that misbehave                                        |
//! | `library`, `real`           | workers of ours                                               |
//! | `operator`, `subscriber`, `rejects` | people, and programs that listen                      |
//! | `history`, `answers`, `evidence` | what the harness knows, and what is found                |
//! | `referee`, `report`         | whether every promise was kept                                |

#![allow(clippy::unwrap_used, reason = "a harness that cannot go on panics")]

mod answers;
mod behaviour;
mod coordinator;
mod evidence;
mod faults;
mod history;
mod library;
mod link;
mod operator;
mod postgresql;
mod process;
mod rabbitmq;
mod real;
mod referee;
mod rejects;
mod report;
mod schedule;
mod settings;
mod storm;
mod subscriber;
mod worker;
mod world;

use settings::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// The seed of CI; `make chaos` gives it others, and more time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_short_seed_loses_nothing() {
    let settings = Settings::read();
    // Dropped, it leaves no server behind.
    let report = tokio::select! {
        report = storm::run(settings) => report,
        () = told_to_stop() => panic!("told to stop"),
    };
    report.write();
    assert!(report.is_good(), "seed {}:\n{report}", settings.seed);
}

async fn told_to_stop() {
    let [mut interrupt, mut terminate] =
        [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).unwrap());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
