//! How a simulated worker treats a run.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::settings::LONGER_THAN_THAT;

/// Where a worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has the work, and has said nothing.
    Delivered,
    /// Its start is confirmed, and not answered.
    Started,
    /// Its start is answered, and the work not acknowledged.
    Answered,
    /// The run is under way.
    Working,
    /// Its finish is confirmed, and not answered.
    Finished,
}

/// How it treats a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// As the contract says.
    Plain,
    /// It says everything twice.
    Repeats,
    /// It takes its time before every word.
    Delays,
    /// It sends the finish, and then the start.
    Reorders,
    /// It says nothing of the run for longer than the heartbeat timeout, and then reports.
    AnswersLate,
    /// It dies, and the next of its name knows nothing of the run.
    Dies(Step),
    /// It reports again what was answered already.
    ReportsAgain,
    /// Another machine says first that it is done.
    WrongMachine,
    /// It runs for longer than the heartbeat timeout, and says so all the time.
    LastsLong,
}

impl Behaviour {
    /// How often each comes, of a hundred. Where there is no time for it, nothing lasts long.
    pub(crate) fn draw(chance: &mut StdRng, is_long: bool) -> Self {
        let steps = [Step::Delivered, Step::Started, Step::Answered, Step::Working, Step::Finished];
        match chance.random_range(0..100) {
            0..8 => Self::Repeats,
            8..14 => Self::Delays,
            14..20 => Self::Reorders,
            20..22 => Self::AnswersLate,
            22..25 => Self::Dies(steps[chance.random_range(0..steps.len())]),
            25..32 => Self::ReportsAgain,
            32..34 => Self::WrongMachine,
            34..36 if is_long => Self::LastsLong,
            _ => Self::Plain,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Repeats => "repeats",
            Self::Delays => "delays",
            Self::Reorders => "reorders",
            Self::AnswersLate => "answers late, after a reclaim",
            Self::Dies(Step::Delivered) => "dies with the work",
            Self::Dies(Step::Started) => "dies after its start",
            Self::Dies(Step::Answered) => "dies before it acknowledges",
            Self::Dies(Step::Working) => "dies while it works",
            Self::Dies(Step::Finished) => "dies after its finish",
            Self::ReportsAgain => "reports again",
            Self::WrongMachine => "another machine says that it is done",
            Self::LastsLong => "longer than the heartbeat timeout",
        }
    }

    /// How long a run takes.
    pub(crate) fn takes(self, chance: &mut StdRng) -> Duration {
        match self {
            Self::LastsLong => LONGER_THAN_THAT,
            _ => Duration::from_millis(chance.random_range(300..2000)),
        }
    }

    /// How long it waits before a word.
    pub(crate) fn delay(self, chance: &mut StdRng) -> Duration {
        match self {
            Self::Delays => Duration::from_millis(chance.random_range(500..3000)),
            _ => Duration::ZERO,
        }
    }
}

/// How a run ends; mostly well, and never so often badly that nothing is left to do.
pub(crate) fn status(chance: &mut StdRng) -> &'static str {
    match chance.random_range(0..100) {
        0..70 => "SUCCESS",
        70..80 => "SUCCESS_NOCHANGE",
        80..90 => "SUCCESS_PARTIAL",
        90..96 => "FAILURE",
        96..98 => "FAILURE_REMOTE_BROKEN",
        _ => "INTERNAL_FAILURE",
    }
}
