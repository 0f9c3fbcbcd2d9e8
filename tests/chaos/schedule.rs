//! What is broken, and when: all of it drawn from the seed, so that a seed tells the same story again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use strum::VariantArray;

use crate::settings::Settings;

/// What can be done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::VariantArray, strum::IntoStaticStr)]
pub(crate) enum Kind {
    #[strum(serialize = "coordinator killed")]
    KillCoordinator,
    #[strum(serialize = "coordinator stopped and continued")]
    StopCoordinator,
    #[strum(serialize = "coordinator told to leave")]
    TerminateCoordinator,
    #[strum(serialize = "coordinator killed at a failpoint")]
    DieAtFailpoint,
    #[strum(serialize = "coordinator stopped at a failpoint")]
    StopAtFailpoint,
    #[strum(serialize = "both coordinators killed")]
    KillBoth,
    #[strum(serialize = "worker killed")]
    KillWorker,
    #[strum(serialize = "worker stopped and continued")]
    StopWorker,
    #[strum(serialize = "worker stopped until after its reclaim")]
    StopWorkerLong,
    #[strum(serialize = "library worker dropped")]
    DropLibraryWorker,
    #[strum(serialize = "RabbitMQ restarted")]
    RestartBroker,
    #[strum(serialize = "RabbitMQ killed")]
    KillBroker,
    #[strum(serialize = "RabbitMQ stopped for a while")]
    StopBroker,
    #[strum(serialize = "RabbitMQ hung for a while")]
    HangBroker,
    #[strum(serialize = "queue purged")]
    PurgeQueue,
    #[strum(serialize = "queue deleted")]
    DeleteQueue,
    #[strum(serialize = "topology deleted")]
    DeleteTopology,
    #[strum(serialize = "connections closed from the console")]
    CloseConnections,
    #[strum(serialize = "memory alarm")]
    MemoryAlarm,
    #[strum(serialize = "delivery limit exceeded")]
    DeliveryLimit,
    #[strum(serialize = "PostgreSQL restarted")]
    RestartDatabase,
    #[strum(serialize = "PostgreSQL killed")]
    KillDatabase,
    #[strum(serialize = "PostgreSQL stopped immediately")]
    StopDatabase,
    #[strum(serialize = "PostgreSQL connections terminated")]
    TerminateConnections,
    #[strum(serialize = "disk full")]
    FullDisk,
    #[strum(serialize = "lock held")]
    HoldLock,
    #[strum(serialize = "statement timeout")]
    StatementTimeout,
    #[strum(serialize = "failover to the standby")]
    FailOver,
    #[strum(serialize = "network cut")]
    Cut,
    #[strum(serialize = "network delayed")]
    Delay,
    #[strum(serialize = "network throttled")]
    Throttle,
    #[strum(serialize = "network half open")]
    HalfOpen,
    #[strum(serialize = "poison")]
    Poison,
    #[strum(serialize = "one of ours away for longer than the heartbeat timeout")]
    Outage,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// Whether both can be done at once: not to the same, and not for long.
    pub(crate) fn goes_with(self, other: Self) -> bool {
        self.area() != other.area() && ![self, other].contains(&Self::Outage)
    }

    /// What it is done to.
    fn area(self) -> u8 {
        match self {
            // A message that exceeds its delivery limit needs the coordinators down.
            kind if kind <= Self::KillBoth || kind == Self::DeliveryLimit => 0,
            kind if kind <= Self::DropLibraryWorker => 1,
            kind if kind <= Self::MemoryAlarm => 2,
            kind if kind <= Self::FailOver => 3,
            kind if kind <= Self::HalfOpen => 4,
            _ => 5,
        }
    }

    /// Whether it needs a build with failpoints.
    fn needs_failpoints(self) -> bool {
        matches!(self, Self::DieAtFailpoint | Self::StopAtFailpoint)
    }
}

/// One fault: its details come from numbers of its own, so that it is the same whatever happened before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) kind: Kind,
    /// How long it lasts, where it lasts.
    pub(crate) lasts: Duration,
    /// The seed of its details.
    pub(crate) details: u64,
    /// How long nothing is done afterwards.
    pub(crate) pause: Duration,
    /// Whether the next one does not wait for this one's end.
    pub(crate) is_joined: bool,
}

/// Faults without end, every kind as often as the others.
pub(crate) struct Schedule {
    chance: StdRng,
    deck: Vec<Kind>,
    /// Every kind once, of those that there is time for.
    kinds: Vec<Kind>,
}

impl Schedule {
    pub(crate) fn new(settings: Settings) -> Self {
        let is_built = |kind: Kind| cfg!(feature = "failpoints") || !kind.needs_failpoints();
        let has_time = |kind: Kind| kind != Kind::Outage || settings.is_long();
        let kinds = Kind::VARIANTS.iter().copied().filter(|kind| is_built(*kind) && has_time(*kind));
        Self { chance: StdRng::seed_from_u64(settings.seed), deck: Vec::new(), kinds: kinds.collect() }
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.kinds);
            // There are many of each.
            self.deck.extend([Kind::Poison, Kind::Poison, Kind::Cut, Kind::HalfOpen, Kind::KillCoordinator]);
            self.deck.shuffle(&mut self.chance);
        }
        let kind = self.deck.pop()?;
        let chance = &mut self.chance;
        Some(Planned {
            kind,
            lasts: Duration::from_millis(chance.random_range(1500..9000)),
            details: chance.random(),
            pause: Duration::from_millis(chance.random_range(300..2500)),
            is_joined: chance.random_bool(0.15),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn storm(seed: u64, minutes: u64) -> Settings {
        Settings { seed, storm: Duration::from_mins(minutes) }
    }

    #[test]
    fn a_seed_tells_the_same_story_again() {
        let story = |seed| Schedule::new(storm(seed, 3)).take(100).collect::<Vec<_>>();
        assert_eq!(story(7), story(7));
        assert_ne!(story(7), story(8));
    }

    #[test]
    fn every_kind_has_its_turn() {
        let is_built = |kind: &&Kind| cfg!(feature = "failpoints") || !kind.needs_failpoints();
        let built: BTreeSet<Kind> = Kind::VARIANTS.iter().filter(is_built).copied().collect();
        let drawn = |minutes| -> BTreeSet<Kind> {
            Schedule::new(storm(7, minutes)).take(built.len() + 5).map(|planned| planned.kind).collect()
        };
        assert_eq!(drawn(3), built);
        assert_eq!(drawn(2), &built - &BTreeSet::from([Kind::Outage]));
    }
}
