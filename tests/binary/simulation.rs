//! Workers in the test's own process, which do all that the contract says and import nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use code_imports::domain::{RcsType, Report, Status};
use code_imports::worker::{Run, StopReason, Timing, Undrained, Worker, WorkerSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::process::within;
use crate::world::World;

/// What was reported: job, run and status of each, with blanks between.
type Reports = Arc<Mutex<BTreeSet<String>>>;

/// A worker that runs.
pub(crate) struct Simulation {
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), Undrained>>,
    reported: Reports,
}

impl Simulation {
    /// Begins a worker whose runs take this long and succeed, unless they are interrupted.
    pub(crate) fn begin(amqp_url: &str, machine: &str, slots: usize, run_takes: Duration) -> Self {
        let settings =
            WorkerSettings::new(amqp_url.parse().unwrap(), machine.parse().unwrap(), &[RcsType::Git]);
        // An answer that died with its coordinator is asked for again before the test loses its patience.
        let timing = Timing {
            repeats: vec![Duration::from_secs(2)],
            reconnect: (Duration::from_millis(100), Duration::from_secs(1)),
            ..Timing::default()
        };
        let worker = Worker::new(WorkerSettings { slots, timing, ..settings });
        let (shutdown, reported) = (CancellationToken::new(), Reports::default());
        let reports = Arc::clone(&reported);
        let import = async move |run: Run| {
            let status = match tokio::time::timeout(run_takes, run.stop.stopped()).await {
                Err(_) => Status::Success,
                Ok(StopReason::Interrupted) => Status::InternalFailure,
                Ok(reason) => panic!("a healthy run was stopped: {reason}"),
            };
            reports.lock().unwrap().insert(format!("{} {} {status}", run.job, run.id));
            Report::of(status)
        };
        let ended = tokio::spawn(worker.run(shutdown.clone(), import));
        Self { shutdown, ended, reported }
    }

    /// Lets it leave; it must have been answered all that it reported, which is told.
    pub(crate) async fn leave(self) -> BTreeSet<String> {
        self.shutdown.cancel();
        within("the end of a simulated worker", self.ended).await.unwrap().unwrap();
        std::mem::take(&mut *self.reported.lock().unwrap())
    }
}

/// Every finish that was answered is there, once. So is that of a run which began when its worker was leaving.
pub(crate) async fn check_results(world: &World, reported: BTreeSet<String>) {
    let query = "SELECT concat_ws(' ', job_id, run, status) FROM results WHERE machine LIKE 'simulated-%'";
    let rows = world.sql().await.query(query, &[]).await.unwrap();
    let mut results: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    results.sort();
    results.retain(|run| reported.contains(run) || !run.ends_with("INTERNAL_FAILURE"));
    assert_eq!(results, reported.into_iter().collect::<Vec<_>>());
}
