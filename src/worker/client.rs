//! The loop around the duties.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::duties::{Action, Command, Duties, Event};
use super::lease::BootTime;
use super::report::of_panic;
use super::run::Run;
use super::session::{Word, hold_sessions};
use super::settings::WorkerSettings;
use crate::domain::{JobId, Report};

/// Words of the session that wait to be heard; then it waits, and with it the broker.
const MAX_WORDS: usize = 1024;

/// The longest time without a look at the clock: after a sleep of the machine, what is due is done soon.
const TICK: Duration = Duration::from_secs(1);

/// How long saying goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// The client part of a worker.
#[derive(Debug)]
pub struct Worker {
    settings: WorkerSettings,
}

/// The worker has left, and not everything had ended; the coordinator will reclaim what is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("left with {jobs} jobs that had not ended and {finishes} finishes that were not answered")]
pub struct Undrained {
    /// How many jobs had not ended.
    pub jobs: usize,
    /// How many had ended, but nobody has answered so.
    pub finishes: usize,
}

impl Worker {
    /// A worker; nothing is connected yet.
    #[must_use]
    pub fn new(settings: WorkerSettings) -> Self {
        Self { settings }
    }

    /// Takes work, has it imported and reports, until `shutdown`.
    ///
    /// `import` is called for as many runs at once as there are slots. They are polled together, on the task
    /// that awaits this: it must not block. When [`Run::stop`] says so it must return soon; what it returns for
    /// a run that was superseded is not heard, and a failure of one that was interrupted is reported as
    /// INTERNAL_FAILURE. One that panics is reported so, too.
    ///
    /// Everything else goes on in a task of its own, whatever `import` does. The broker may come and go; runs
    /// survive it. After `shutdown` nothing is begun any more, what runs is interrupted and reported, and all
    /// that is given a time ([`Timing::drain`](super::Timing::drain)). Whoever can not wait so long drops the
    /// future.
    ///
    /// # Errors
    /// [`Undrained`] when that time was too short.
    pub async fn run(
        self,
        shutdown: CancellationToken,
        import: impl AsyncFn(Run) -> Report,
    ) -> Result<(), Undrained> {
        // As many as can have begun and not ended, so it is never full.
        let (begin, mut assigned) = mpsc::channel(self.settings.slots.max(1));
        let (end, ended) = mpsc::channel(self.settings.slots.max(1));
        let client = tokio::spawn(Client::new(self.settings, begin).work(ended, shutdown));
        let mut client = AbortOnDropHandle::new(client);
        let mut runs = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(run) = assigned.recv() => runs.push(perform(&import, run)),
                Some(result) = runs.next(), if !runs.is_empty() => {
                    // When nobody listens any more, the client has left.
                    drop(end.send(result).await);
                }
                left = &mut client => return left.unwrap_or_else(|error| match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => unreachable!("only dropping the handle aborts it"),
                }),
            }
        }
    }
}

/// Imports; a panic becomes a report, so that one bad import does not end them all.
async fn perform(import: &impl AsyncFn(Run) -> Report, run: Run) -> (JobId, Report) {
    let job = run.job;
    let report = AssertUnwindSafe(async { import(run).await }).catch_unwind().await;
    (job, report.unwrap_or_else(|panic| of_panic(panic.as_ref())))
}

/// Does what the duties say.
struct Client {
    duties: Duties,
    begin: mpsc::Sender<Run>,
    /// Where the session takes commands, while there is one.
    commands: Option<mpsc::Sender<Command>>,
    words: mpsc::Receiver<Word>,
    sessions: AbortOnDropHandle<()>,
    goodbye: CancellationToken,
}

impl Client {
    fn new(settings: WorkerSettings, begin: mpsc::Sender<Run>) -> Self {
        let (speak, words) = mpsc::channel(MAX_WORDS);
        let goodbye = CancellationToken::new();
        let duties = Duties::new(&settings);
        let sessions = tokio::spawn(hold_sessions(settings, speak, goodbye.clone()));
        let sessions = AbortOnDropHandle::new(sessions);
        Self { duties, begin, commands: None, words, sessions, goodbye }
    }

    /// Reacts to whatever happens, until there is nothing left to do after `shutdown`.
    async fn work(
        mut self,
        mut ended: mpsc::Receiver<(JobId, Report)>,
        shutdown: CancellationToken,
    ) -> Result<(), Undrained> {
        let mut is_leaving = false;
        while !self.duties.may_leave(BootTime::now()) {
            let tick = self.next_tick();
            let event = tokio::select! {
                () = shutdown.cancelled(), if !is_leaving => {
                    is_leaving = true;
                    Event::Leaving
                }
                Some((job, report)) = ended.recv() => Event::Ended(job, report),
                word = tokio::time::timeout(tick, self.words.recv()) => match word {
                    Ok(Some(word)) => self.event(word),
                    Ok(None) => unreachable!("sessions are held until we say goodbye"),
                    Err(_) => Event::Ticked,
                },
            };
            for action in self.duties.react(event, BootTime::now()) {
                self.perform(action);
            }
        }
        self.say_goodbye().await
    }

    fn event(&mut self, word: Word) -> Event {
        match word {
            Word::Began(commands) => {
                self.commands = Some(commands);
                Event::Connected
            }
            Word::Happened(event) => {
                if matches!(event, Event::Disconnected) {
                    self.commands = None;
                }
                event
            }
        }
    }

    /// Does one thing, and waits for nothing.
    fn perform(&mut self, action: Action) {
        match action {
            Action::Begin(run) => {
                if let Err(TrySendError::Full(_)) = self.begin.try_send(*run) {
                    unreachable!("a run begins only in a free slot");
                }
            }
            Action::Tell(command) => {
                let told = self.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok());
                if !told {
                    // The session is over, or so far behind that it has to be: it will say so.
                    self.commands = None;
                }
            }
        }
    }

    fn next_tick(&mut self) -> Duration {
        let now = BootTime::now();
        self.duties.due().map_or(TICK, |due| due.since(now)).min(TICK)
    }

    /// Lets the session do what it was told last, and waits for its end.
    async fn say_goodbye(self) -> Result<(), Undrained> {
        let (jobs, finishes) = self.duties.left();
        self.goodbye.cancel();
        drop(self.commands);
        // It has nobody to tell any more.
        drop(self.words);
        drop(tokio::time::timeout(GOODBYE_TIMEOUT, self.sessions).await);
        if (jobs, finishes) == (0, 0) { Ok(()) } else { Err(Undrained { jobs, finishes }) }
    }
}
