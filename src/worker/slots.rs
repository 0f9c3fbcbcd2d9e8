//! What a worker holds: each job in its stage.
//!
//! ```text
//! work ──► Starting ──accepted──► Running ──ended──► Finishing ──answered──► gone
//!              └──refused──► gone    └──stop──► Stopped ──ended──► gone
//! ```
//!
//! All but Finishing take a slot.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::kept::Kept;
use super::lease::Lease;
use super::log_tail::LogTail;
use super::run::Stop;
use crate::broker::take::DeliveryTag;
use crate::domain::{JobId, RunId, RunRef};
use crate::protocol::work::Work;
use crate::protocol::worker::BeatBody;

/// How far a job has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its start is not answered.
    Starting(Starting),
    /// It runs.
    Running(Running),
    /// It was told to stop and has not ended; nothing is reported for it.
    Stopped,
    /// Its finish is not answered.
    Finishing(Finishing),
}

/// A job whose start is not answered.
#[derive(Debug)]
pub(super) struct Starting {
    pub(super) work: Work,
    pub(super) run: RunRef,
    pub(super) start: Kept,
    /// The delivery of its work, as long as we hold it in this session.
    pub(super) delivery: Option<DeliveryTag>,
    /// It was refused because the machine was not ONLINE, and waits until it is (duty 3).
    pub(super) awaits_machine: bool,
}

/// A job that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) run: RunRef,
    pub(super) log_tail: LogTail,
    pub(super) lease: Lease,
    pub(super) stop: Stop,
}

/// A job whose finish is not answered.
#[derive(Debug)]
pub(super) struct Finishing {
    pub(super) run: RunRef,
    pub(super) log_tail: String,
    pub(super) finish: Kept,
}

/// The jobs that a worker holds.
#[derive(Debug)]
pub(super) struct Slots {
    count: usize,
    jobs: BTreeMap<JobId, Stage>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self { count, jobs: BTreeMap::new() }
    }

    /// Whether one more job would have a slot.
    pub(super) fn has_room(&self) -> bool {
        self.taken() < self.count
    }

    /// How many slots are taken.
    pub(super) fn taken(&self) -> usize {
        self.jobs.values().filter(|stage| !matches!(stage, Stage::Finishing(_))).count()
    }

    /// How many finishes are not answered.
    pub(super) fn finishing(&self) -> usize {
        self.jobs.len().saturating_sub(self.taken())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn get_mut(&mut self, job: JobId) -> Option<&mut Stage> {
        self.jobs.get_mut(&job)
    }

    pub(super) fn insert(&mut self, job: JobId, stage: Stage) {
        self.jobs.insert(job, stage);
    }

    pub(super) fn remove(&mut self, job: JobId) -> Option<Stage> {
        self.jobs.remove(&job)
    }

    /// The job whose start or finish awaits an answer to this id.
    pub(super) fn awaiting(&self, id: Uuid) -> Option<JobId> {
        let awaits = |stage: &Stage| match stage {
            Stage::Starting(starting) => starting.start.id() == id,
            Stage::Finishing(finishing) => finishing.finish.id() == id,
            Stage::Running(_) | Stage::Stopped => false,
        };
        self.jobs.iter().find(|(_, stage)| awaits(stage)).map(|(job, _)| *job)
    }

    /// Those whose starts are not answered.
    pub(super) fn starting(&mut self) -> impl Iterator<Item = &mut Starting> {
        self.jobs.values_mut().filter_map(|stage| match stage {
            Stage::Starting(starting) => Some(starting),
            _ => None,
        })
    }

    /// Those that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Running> {
        self.jobs.values().filter_map(|stage| match stage {
            Stage::Running(running) => Some(running),
            _ => None,
        })
    }

    /// The run of a job, if it runs as that one.
    pub(super) fn running_as(&self, job: JobId, run: RunId) -> Option<&Running> {
        match self.jobs.get(&job) {
            Some(Stage::Running(running)) if running.run.run == run => Some(running),
            _ => None,
        }
    }

    /// The messages that are repeated until they are answered.
    pub(super) fn kept(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.jobs.values_mut().filter_map(|stage| match stage {
            Stage::Starting(starting) if !starting.awaits_machine => Some(&mut starting.start),
            Stage::Finishing(finishing) => Some(&mut finishing.finish),
            _ => None,
        })
    }

    /// Lets go of every delivery that is held, and says which.
    pub(super) fn take_deliveries(&mut self) -> Vec<DeliveryTag> {
        self.starting().filter_map(|starting| starting.delivery.take()).collect()
    }

    /// Drops the starts that wait for the machine to be ONLINE.
    pub(super) fn drop_those_that_await_the_machine(&mut self) {
        self.jobs.retain(|_, stage| !matches!(stage, Stage::Starting(Starting { awaits_machine: true, .. })));
    }

    /// What heartbeats say: the runs whose start was accepted and whose finish is not answered.
    pub(super) fn beats(&self) -> Vec<BeatBody> {
        let beat =
            |run: &RunRef, log_tail| BeatBody { job: run.job, import: run.import, run: run.run, log_tail };
        let beats = self.jobs.values().filter_map(|stage| match stage {
            Stage::Running(running) => Some(beat(&running.run, running.log_tail.text())),
            Stage::Finishing(finishing) => Some(beat(&finishing.run, finishing.log_tail.clone())),
            Stage::Starting(_) | Stage::Stopped => None,
        });
        beats.collect()
    }
}
