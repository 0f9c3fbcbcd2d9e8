//! Workers that speak AMQP themselves, so that they can misbehave.
//!
//! A machine lives through sessions: what it has not been answered it says again. When a behaviour lets it die, all
//! that it knows is gone with it.

mod errand;
mod session;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::history::{History, now};
use crate::process::pass;
use crate::settings::{HEARTBEAT_TIMEOUT, Settings};
use errand::Errand;

/// How long the silence of a worker that answers late lasts: longer than the heartbeat timeout.
const LATE: Duration = Duration::from_secs(HEARTBEAT_TIMEOUT.as_secs() + 8);

/// So many runs at once.
const SLOTS: usize = 6;

/// A simulated machine.
pub(crate) struct Machine {
    pub(crate) name: String,
    /// Where the broker is.
    pub(crate) url: String,
    pub(crate) history: History,
    /// Every choice of its comes from here.
    chance: StdRng,
    /// Its clock is off by so many seconds.
    clock: i64,
    /// Whether some of its runs last long.
    is_long: bool,
    /// Whether it does as the contract says, whatever it draws: at the end all do.
    is_good: bool,
    /// Runs that it holds, by job.
    errands: BTreeMap<i64, Errand>,
}

/// What a machine is told from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    /// Takes nothing new, waits until all is answered, and leaves.
    pub(crate) leave: CancellationToken,
    /// From now on it behaves.
    pub(crate) behave: CancellationToken,
}

/// Why a session ended.
pub(crate) enum End {
    /// The connection, or the broker.
    Lost(#[expect(dead_code, reason = "for whoever debugs")] String),
    /// It died, as a behaviour wanted.
    Died,
    /// All is answered, and it was told to leave.
    Left,
}

impl Machine {
    /// The `number`-th machine, whose clock is off by so many seconds.
    pub(crate) fn new(number: u64, url: &str, history: &History, settings: Settings, clock: i64) -> Self {
        let chance = StdRng::seed_from_u64(settings.seed.wrapping_mul(31).wrapping_add(number));
        Self {
            name: format!("simulated-{number}"),
            url: url.to_owned(),
            history: history.clone(),
            chance,
            clock,
            is_long: settings.is_long(),
            is_good: false,
            errands: BTreeMap::new(),
        }
    }

    /// Lives until it is told to leave, and nothing is left to be answered.
    pub(crate) async fn live(mut self, orders: Orders) {
        loop {
            self.is_good = orders.behave.is_cancelled();
            match self.session(&orders).await {
                End::Left => return,
                End::Died => {
                    self.forget();
                    pass(Duration::from_millis(self.chance.random_range(200..2500))).await;
                }
                End::Lost(_) => {
                    for errand in self.errands.values_mut() {
                        errand.lost_its_session();
                    }
                    // One that is slow to come back is silent for longer than we were away, and healthy all the same.
                    let is_slow = self.is_long && self.chance.random_bool(0.3);
                    let most = if is_slow { 5_000..10_000 } else { 100..1_500 };
                    pass(Duration::from_millis(self.chance.random_range(most))).await;
                }
            }
        }
    }

    /// Dies: the next of its name knows nothing of what this one held.
    fn forget(&mut self) {
        for errand in std::mem::take(&mut self.errands).into_values() {
            self.history.run(errand.run, |story| {
                story.silent = story.silent.or(Some(now()));
                story.is_forgotten = true;
            });
        }
    }

    fn free_slots(&self) -> usize {
        SLOTS.saturating_sub(self.errands.len())
    }

    /// A new token of a run; its time is that of the machine's clock.
    fn new_run(&mut self) -> Uuid {
        let seconds = (now().timestamp() + self.clock).unsigned_abs();
        let time = uuid::Timestamp::from_unix_time(seconds, 0, 0, 0);
        Uuid::new_v7(time)
    }
}
