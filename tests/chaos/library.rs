//! Workers of our own library, in this process, whose runs import nothing.

use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use code_imports::domain::{RcsType, Report, Status};
use code_imports::worker::{Run, StopReason, Timing, Undrained, Worker, WorkerSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::history::{History, now};

/// So many runs at once.
const SLOTS: usize = 4;

/// So long after the end of an import its finish may not be confirmed yet, since the broker is away.
const SAYS_SO: TimeDelta = TimeDelta::seconds(60);

/// Two machines.
pub(crate) struct Library {
    url: String,
    history: History,
    members: [Mutex<Option<Member>>; 2],
}

struct Member {
    leave: CancellationToken,
    life: JoinHandle<Result<(), Undrained>>,
}

impl Library {
    pub(crate) fn start(url: &str, history: &History) -> Self {
        let members = [0, 1].map(|number| Mutex::new(Some(begin(number, url, history))));
        Self { url: url.to_owned(), history: history.clone(), members }
    }

    /// One of them dies, and another begins under its name.
    pub(crate) async fn die(&self, number: usize) {
        let from = now();
        let member = self.members[number].lock().unwrap().take();
        if let Some(member) = member {
            member.life.abort();
            drop(member.life.await);
        }
        let machine = name(number);
        let is_lost = |story: &crate::history::RunStory| {
            story.machine == machine && story.finish_answer.is_none() && story.silent.is_none()
        };
        let died = now();
        for story in self.history.facts().runs.values_mut().filter(|story| is_lost(story)) {
            story.silent = Some(died);
            story.is_forgotten = true;
            // Its import ended; whether it came to say so, only the library knew.
            story.finish_confirmed = story.finish_confirmed.filter(|ended| died - *ended > SAYS_SO);
        }
        *self.members[number].lock().unwrap() = Some(begin(number, &self.url, &self.history));
        // Of a run that it had begun it may not have told us.
        self.history.disturbed(&machine, from);
    }

    /// Lets them leave; tells which could not, since not all that they reported was answered.
    pub(crate) async fn leave(&self) -> Vec<String> {
        let mut left_behind = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            let member = member.lock().unwrap().take();
            let Some(Member { leave, life }) = member else { continue };
            leave.cancel();
            let drained = tokio::time::timeout(Duration::from_secs(90), life).await;
            // It says so only when everything was answered, by yes or no: which, its log says.
            if !matches!(drained, Ok(Ok(Ok(())))) {
                left_behind.push(format!("{}: {drained:?}", name(number)));
            }
        }
        left_behind
    }
}

fn name(number: usize) -> String {
    format!("library-{number}")
}

fn begin(number: usize, url: &str, history: &History) -> Member {
    let url = format!("{url}?heartbeat=4");
    let settings = WorkerSettings::new(url.parse().unwrap(), name(number).parse().unwrap(), &[RcsType::Hg]);
    let timing = Timing {
        repeats: vec![Duration::from_secs(3)],
        reconnect: (Duration::from_millis(200), Duration::from_secs(2)),
        drain: Duration::from_secs(80),
        ..Timing::default()
    };
    let worker = Worker::new(WorkerSettings { slots: SLOTS, timing, ..settings });
    let (leave, history) = (CancellationToken::new(), history.clone());
    let import = async move |run: Run| import(&history, number, run).await;
    let life = tokio::spawn(worker.run(leave.clone(), import));
    Member { leave, life }
}

/// A run of a second or so.
async fn import(history: &History, number: usize, run: Run) -> Report {
    history.run(run.id.0, |story| {
        (story.machine, story.job, story.import) = (name(number), run.job.0, run.import.0);
    });
    history.behaved("of the library");
    let takes = Duration::from_millis(300 + run.job.0.unsigned_abs() * 37 % 1500);
    run.log_tail.push("it is at work");
    let status = match tokio::time::timeout(takes, run.stop.stopped()).await {
        Err(_) => Status::Success,
        Ok(StopReason::Interrupted) => Status::InternalFailure,
        Ok(StopReason::Superseded) => return Report::of(Status::InternalFailure),
    };
    history.run(run.id.0, |story| {
        story.status = status.to_string();
        // It keeps the report until it is answered, whatever happens but its death.
        story.finish_confirmed = Some(now());
    });
    Report::of(status)
}
