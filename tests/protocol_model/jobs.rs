//! Two coordinators, two workers, and what is on its way between them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use code_imports::domain::{JobId, ReviewStatus, Status, Timestamp};
use code_imports::workflow::{Command, Outcome};
use stateright::{Model, Property};

use crate::database::{Attempt, Database, finish, finish_of_current, heartbeat, kill, said, start};

/// How much happens, and what is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jobs {
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    pub(crate) kills: u8,
    pub(crate) beats: u8,
    pub(crate) flaw: Flaw,
}

/// A guard that is broken, to see that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// A worker is answered before the COMMIT.
    AnswersFirst,
    /// A finish counts whatever run it names.
    AnyRunFinishes,
    /// What was not confirmed stays marked, and marks never expire.
    MarksStay,
    /// The rule refuses what is marked, however long ago, though the dispatcher asks for it again.
    MarksAreRefused,
    /// Workers do not repeat what is not answered.
    NobodyRepeats,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) struct State {
    database: Database,
    /// What is on its way, or lies in a queue; in no order.
    messages: Vec<Message>,
    hands: [Hand; 2],
    workers: [Worker; 2],
    /// The finishes that were answered `accepted`.
    accepted: BTreeSet<(JobId, Attempt)>,
    faults: u8,
    ticks: u8,
    kills: u8,
    beats: u8,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Message {
    Work(JobId),
    Said(Word, JobId, Attempt),
    Answer(Word, JobId, Attempt, bool),
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    Start,
    Heartbeat,
    Finish,
}

/// What a coordinator has in hand.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
enum Hand {
    Empty,
    /// A delivery.
    Taken(Message),
    /// A delivery that was judged and committed, and is not acknowledged.
    Committed(Message, bool),
    /// A job that was marked, and is not published.
    Marked(JobId, Timestamp),
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Worker {
    attempt: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Stage {
    Idle,
    /// Its start is not answered; the work is not acknowledged.
    Asks(JobId),
    Runs(JobId),
    /// Its finish is not answered.
    Reports(JobId),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Mark(usize),
    Publish(usize),
    Nack(usize),
    Take(usize, Message),
    Commit(usize),
    Settle(usize),
    Reclaim(usize),
    Kill,
    Work(usize, Message),
    Hear(usize, Message),
    Beat(usize),
    Report(usize),
    Repeat(usize),
    Tick,
    Lose(Message),
    Double(Message),
    Stop(usize),
    Die(usize),
}

impl Model for Jobs {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            database: Database::new(),
            messages: Vec::new(),
            hands: [Hand::Empty; 2],
            workers: [Worker { attempt: 0, stage: Stage::Idle }; 2],
            accepted: BTreeSet::new(),
            faults: self.faults,
            ticks: self.ticks,
            kills: self.kills,
            beats: self.beats,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.fair(state, actions);
        let run = state.database.job().filter(|job| job.run().is_some());
        if state.kills > 0 && run.is_some() {
            actions.push(Action::Kill);
        }
        for (index, worker) in state.workers.iter().enumerate() {
            if state.beats > 0 && matches!(worker.stage, Stage::Runs(_)) {
                actions.push(Action::Beat(index));
            }
        }
        // Only time mends some faults.
        if state.faults == 0 || state.ticks == 0 {
            return;
        }
        actions.extend(different(&state.messages).flat_map(|it| [Action::Lose(it), Action::Double(it)]));
        for (index, hand) in state.hands.iter().enumerate() {
            if *hand != Hand::Empty {
                actions.push(Action::Stop(index));
            }
            if matches!(hand, Hand::Marked(..)) {
                actions.push(Action::Nack(index));
            }
        }
        let busy = |(_, worker): &(usize, &Worker)| worker.stage != Stage::Idle;
        actions.extend(state.workers.iter().enumerate().filter(busy).map(|(index, _)| Action::Die(index)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Mark(_) | Action::Publish(_) | Action::Nack(_) => self.dispatch(&mut state, action),
            Action::Take(coordinator, message) => {
                state.remove(message);
                if self.flaw == Flaw::AnswersFirst {
                    state.answer(message, true);
                }
                state.hands[coordinator] = Hand::Taken(message);
            }
            Action::Commit(coordinator) => self.commit(&mut state, coordinator),
            Action::Settle(coordinator) => {
                let Hand::Committed(message, is_accepted) = state.hands[coordinator] else { return None };
                if self.flaw != Flaw::AnswersFirst {
                    state.answer(message, is_accepted);
                }
                state.hands[coordinator] = Hand::Empty;
            }
            Action::Reclaim(_) => {
                let job = state.database.job()?;
                let reclaim = Command::Reclaim { import: job.import_id, job: job.id };
                state.database.apply(&reclaim);
            }
            Action::Kill => {
                let kill = kill(state.database.job()?.id);
                state.database.apply(&kill);
                state.kills -= 1;
            }
            Action::Work(..) | Action::Hear(..) | Action::Beat(_) | Action::Report(_) | Action::Repeat(_) => {
                state.work(action);
            }
            Action::Tick => {
                state.database.pass(TimeDelta::minutes(11));
                state.ticks -= 1;
            }
            Action::Lose(_) | Action::Double(_) | Action::Stop(_) | Action::Die(_) => state.fail(action),
        }
        // It does not matter which coordinator it is.
        state.hands.sort();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("runs of an import never overlap", |_, state: &State| {
                !state.database.has_overlapped
            }),
            Property::always("a job has one result at most", |_, state: &State| {
                let mut jobs = BTreeSet::new();
                state.database.results().all(|(job, ..)| jobs.insert(job))
            }),
            Property::always("every accepted finish is a result", |_, state: &State| {
                let is_there = |(job, attempt): &(JobId, Attempt)| {
                    let run = said(*job, *attempt).run;
                    state
                        .database
                        .results()
                        .any(|(id, by, status)| (id, by) == (*job, run) && status.is_reported_by_workers())
                };
                state.accepted.iter().all(is_there)
            }),
            Property::always("an import that is REVIEWED has its job", |_, state: &State| {
                state.database.import().review_status == ReviewStatus::Reviewed
                    && state.database.job().is_some()
            }),
            Property::always("no job that is due waits for ever", |model: &Self, state: &State| {
                model.goes_on(state) || !state.database.has_due_job()
            }),
            Property::always("no worker waits for ever", |model: &Self, state: &State| {
                model.goes_on(state) || state.workers.iter().all(|worker| worker.stage == Stage::Idle)
            }),
            Property::sometimes("a run is killed", |model: &Self, state: &State| {
                model.kills == 0 || state.database.results().any(|(.., status)| status == Status::Killed)
            }),
            Property::sometimes("a run is reclaimed", |_, state: &State| {
                state.database.results().any(|(.., status)| status == Status::Reclaimed)
            }),
            Property::sometimes("a worker is told to stop", |model: &Self, state: &State| {
                let is_stop = |it: &Message| matches!(it, Message::Answer(Word::Heartbeat, .., false));
                model.beats == 0 || state.messages.iter().any(is_stop)
            }),
            Property::sometimes("a run is reported", |_, state: &State| !state.accepted.is_empty()),
            Property::sometimes("a second run is started", |_, state: &State| {
                state.database.results().next().is_some() && state.database.open > 0
            }),
        ]
    }
}

impl Jobs {
    /// What happens without a fault, and without anybody's wish.
    fn fair(self, state: &State, actions: &mut Vec<Action>) {
        if state.ticks > 0 {
            actions.push(Action::Tick);
        }
        for (index, hand) in state.hands.iter().enumerate() {
            match hand {
                Hand::Empty => {
                    let said = different(&state.messages).filter(|it| matches!(it, Message::Said(..)));
                    actions.extend(said.map(|message| Action::Take(index, message)));
                    // Dispatcher and reaper look before they ask.
                    if state.database.has_silent_job() {
                        actions.push(Action::Reclaim(index));
                    } else if state.database.has_unmarked_job(self.flaw != Flaw::MarksStay) {
                        actions.push(Action::Mark(index));
                    }
                }
                Hand::Taken(_) => actions.push(Action::Commit(index)),
                Hand::Committed(..) => actions.push(Action::Settle(index)),
                Hand::Marked(..) => actions.push(Action::Publish(index)),
            }
        }
        for (index, worker) in state.workers.iter().enumerate() {
            let awaits = match worker.stage {
                // Nor which worker is the first.
                Stage::Idle if index > 0 && state.workers[0].attempt == 0 => None,
                Stage::Idle => {
                    let work = different(&state.messages).filter(|it| matches!(it, Message::Work(_)));
                    actions.extend(work.map(|message| Action::Work(index, message)));
                    None
                }
                Stage::Asks(job) => Some((Word::Start, job)),
                Stage::Runs(_) => {
                    actions.push(Action::Report(index));
                    None
                }
                Stage::Reports(job) => Some((Word::Finish, job)),
            };
            let answers = different(&state.messages).filter(|it| it.is_answer_to(index));
            actions.extend(answers.map(|message| Action::Hear(index, message)));
            let is_lost = |(word, job)| !state.is_on_its_way(word, job, (index, worker.attempt));
            if self.flaw != Flaw::NobodyRepeats && awaits.is_some_and(is_lost) {
                actions.push(Action::Repeat(index));
            }
        }
    }

    /// Whether something is left that happens by itself, and changes something.
    fn goes_on(self, state: &State) -> bool {
        let mut left = Vec::new();
        self.fair(state, &mut left);
        left.into_iter().any(|action| self.next_state(state, action).is_some())
    }

    fn dispatch(self, state: &mut State, action: Action) {
        match action {
            Action::Mark(coordinator) => {
                let Some(job) = state.database.job().cloned() else { return };
                if self.flaw == Flaw::MarksAreRefused && job.date_dispatched.is_some() {
                    return;
                }
                let outcome = state.database.apply(&Command::Dispatch { job: job.id });
                if matches!(outcome, Outcome::Applied(_)) {
                    state.hands[coordinator] = Hand::Marked(job.id, state.database.now());
                }
            }
            Action::Publish(coordinator) | Action::Nack(coordinator) => {
                let Hand::Marked(job, date_dispatched) = state.hands[coordinator] else { return };
                state.hands[coordinator] = Hand::Empty;
                if action == Action::Publish(coordinator) {
                    state.add(Message::Work(job));
                    return;
                }
                state.faults -= 1;
                if self.flaw != Flaw::MarksStay {
                    state.database.apply(&Command::Undispatch { job, date_dispatched });
                }
            }
            _ => unreachable!("{action:?} dispatches nothing"),
        }
    }

    fn commit(self, state: &mut State, coordinator: usize) {
        let Hand::Taken(message) = state.hands[coordinator] else { return };
        let Message::Said(word, job, attempt) = message else { return };
        let command = match word {
            Word::Start => start(job, attempt),
            Word::Heartbeat => heartbeat(job, attempt),
            Word::Finish if self.flaw == Flaw::AnyRunFinishes => {
                finish_of_current(&state.database, job, attempt)
            }
            Word::Finish => finish(job, attempt),
        };
        let outcome = state.database.apply(&command);
        let is_accepted = match word {
            // What its answer does not stop.
            Word::Heartbeat => {
                let run = state.database.job().and_then(|current| Some((current.id, current.run()?.id)));
                run == Some((job, said(job, attempt).run))
            }
            Word::Start | Word::Finish => !matches!(outcome, Outcome::Rejected(_)),
        };
        state.hands[coordinator] = Hand::Committed(message, is_accepted);
    }
}

impl State {
    fn add(&mut self, message: Message) {
        self.messages.push(message);
        self.messages.sort();
    }

    fn remove(&mut self, message: Message) {
        let place = self.messages.iter().position(|it| *it == message).unwrap();
        self.messages.remove(place);
    }

    fn answer(&mut self, message: Message, is_accepted: bool) {
        let Message::Said(word, job, attempt) = message else { return };
        if word == Word::Finish && is_accepted {
            self.accepted.insert((job, attempt));
        }
        self.add(Message::Answer(word, job, attempt, is_accepted));
    }

    /// Whether a word, or its answer, is somewhere.
    fn is_on_its_way(&self, word: Word, job: JobId, attempt: Attempt) -> bool {
        let said = Message::Said(word, job, attempt);
        let answers = [true, false].map(|is_accepted| Message::Answer(word, job, attempt, is_accepted));
        let is_in_hand =
            |hand: &Hand| matches!(hand, Hand::Taken(it) | Hand::Committed(it, _) if *it == said);
        self.messages.iter().any(|it| *it == said || answers.contains(it))
            || self.hands.iter().any(is_in_hand)
    }

    fn work(&mut self, action: Action) {
        match action {
            Action::Work(index, message) => {
                let Message::Work(job) = message else { return };
                self.remove(message);
                self.workers[index].attempt += 1;
                self.workers[index].stage = Stage::Asks(job);
                self.add(Message::Said(Word::Start, job, (index, self.workers[index].attempt)));
            }
            Action::Hear(index, message) => {
                self.remove(message);
                let Message::Answer(word, job, attempt, is_accepted) = message else { return };
                let worker = &mut self.workers[index];
                // An answer that nobody waits for is ignored.
                if attempt.1 != worker.attempt {
                    return;
                }
                worker.stage = match (word, worker.stage) {
                    (Word::Start, Stage::Asks(_)) if is_accepted => Stage::Runs(job),
                    (Word::Start, Stage::Asks(_)) | (Word::Finish, Stage::Reports(_)) => Stage::Idle,
                    (Word::Heartbeat, Stage::Runs(_)) if !is_accepted => Stage::Idle,
                    (_, stage) => stage,
                };
            }
            Action::Beat(index) => {
                let Stage::Runs(job) = self.workers[index].stage else { return };
                self.add(Message::Said(Word::Heartbeat, job, (index, self.workers[index].attempt)));
                self.beats -= 1;
            }
            Action::Report(index) | Action::Repeat(index) => {
                let (word, job, stage) = match self.workers[index].stage {
                    Stage::Asks(job) => (Word::Start, job, Stage::Asks(job)),
                    Stage::Runs(job) | Stage::Reports(job) => (Word::Finish, job, Stage::Reports(job)),
                    Stage::Idle => return,
                };
                self.workers[index].stage = stage;
                self.add(Message::Said(word, job, (index, self.workers[index].attempt)));
            }
            _ => unreachable!("{action:?} is no worker's"),
        }
    }

    fn fail(&mut self, action: Action) {
        self.faults -= 1;
        match action {
            Action::Lose(message) => self.remove(message),
            Action::Double(message) => self.add(message),
            Action::Stop(coordinator) => {
                // What it had not acknowledged is delivered again.
                if let Hand::Taken(message) | Hand::Committed(message, _) = self.hands[coordinator] {
                    self.add(message);
                }
                self.hands[coordinator] = Hand::Empty;
            }
            Action::Die(index) => {
                if let Stage::Asks(job) = self.workers[index].stage {
                    self.add(Message::Work(job));
                }
                self.workers[index].stage = Stage::Idle;
            }
            _ => unreachable!("{action:?} is no fault"),
        }
    }
}

impl Message {
    fn is_answer_to(self, worker: usize) -> bool {
        matches!(self, Self::Answer(_, _, attempt, _) if attempt.0 == worker)
    }
}

/// Each message once: it does not matter which of two that are the same.
fn different(messages: &[Message]) -> impl Iterator<Item = Message> {
    let mut seen = BTreeSet::new();
    messages.iter().copied().filter(move |message| seen.insert(*message))
}
