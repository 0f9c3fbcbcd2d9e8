//! One run, as a simulated worker holds it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::behaviour::{Behaviour, Step};

/// Without an answer it says the same again after this.
const REPEAT: Duration = Duration::from_secs(4);

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its start is to be sent, or to be answered.
    Starting,
    /// It runs.
    Working,
    /// Its finish is to be sent, or to be answered.
    Finishing,
    /// All is answered; it may be said again once more.
    Done,
}

#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) job: i64,
    pub(crate) import: i64,
    pub(crate) run: Uuid,
    pub(crate) behaviour: Behaviour,
    pub(crate) status: &'static str,
    pub(crate) takes: Duration,
    pub(crate) stage: Stage,
    /// The delivery that is not acknowledged yet.
    pub(crate) tag: Option<u64>,
    pub(crate) start_id: String,
    pub(crate) finish_id: String,
    /// When the next thing is to be done.
    pub(crate) due: Instant,
    /// Whether its start has been confirmed, and its finish.
    pub(crate) is_started: bool,
    pub(crate) is_finished: bool,
    /// Since when nothing is said of it, as if it were forgotten.
    pub(crate) is_silent: bool,
}

/// What is to be published.
pub(crate) struct Word {
    pub(crate) key: &'static str,
    pub(crate) message_id: String,
    pub(crate) body: Value,
}

impl Errand {
    pub(crate) fn start(&self, machine: &str) -> Word {
        let body = json!({"job": self.job, "import": self.import, "run": self.run, "machine": machine});
        Word { key: "start", message_id: self.start_id.clone(), body }
    }

    pub(crate) fn finish(&self, machine: &str) -> Word {
        let body = json!({"job": self.job, "import": self.import, "run": self.run, "machine": machine,
            "status": self.status, "log_tail": format!("job {} of {machine}", self.job),
            "stats": {"revisions": 1}});
        Word { key: "finish", message_id: self.finish_id.clone(), body }
    }

    /// What a heartbeat says of it, if anything.
    pub(crate) fn beat(&self) -> Option<Value> {
        let is_running = matches!(self.stage, Stage::Working | Stage::Finishing) && !self.is_silent;
        let log_tail = format!("job {} is at it", self.job);
        is_running
            .then(|| json!({"job": self.job, "import": self.import, "run": self.run, "log_tail": log_tail}))
    }

    /// Whether it is to die at this step.
    pub(crate) fn dies_at(&self, step: Step) -> bool {
        self.behaviour == Behaviour::Dies(step)
    }

    pub(crate) fn wait_for_answer(&mut self) {
        self.due = Instant::now() + REPEAT;
    }

    /// What was not answered is said again at once.
    pub(crate) fn lost_its_session(&mut self) {
        self.tag = None;
        if self.stage != Stage::Working {
            self.due = Instant::now();
        }
    }
}
