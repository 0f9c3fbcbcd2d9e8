//! What a batch leaves to be written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use super::{Hearing, Made};
use crate::domain::{Import, ImportId, Job, JobId, Machine, NewEvent, NewResult, Timestamp};

/// What must be written once a batch is decided.
#[derive(Debug, Default)]
pub struct Changes {
    /// The time of the transaction.
    pub now: Timestamp,
    /// Imports that were made, changed and deleted.
    pub imports: Difference<ImportId, Import>,
    /// Jobs that were made, changed and deleted.
    pub jobs: Difference<JobId, Job>,
    /// Other jobs that changed, of which nothing but the heartbeat and the log tail did.
    pub beats: Vec<Job>,
    /// Results that jobs left behind.
    pub results: Vec<NewResult>,
    /// Machines that changed.
    pub machines: Vec<Machine>,
    /// What we know of our own listening, if that changed.
    pub hearing: Option<Hearing>,
    /// What asks made, by their message ids.
    pub answers: BTreeMap<String, Made>,
    /// Asks that were refused, and so may be judged again.
    pub refused: BTreeSet<String>,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
}

/// The rows of one table that differ, each in the order of its id.
#[derive(Debug)]
pub struct Difference<K, V> {
    /// Rows that are new.
    pub inserted: Vec<V>,
    /// Rows that changed.
    pub updated: Vec<V>,
    /// Rows that are gone.
    pub deleted: Vec<K>,
}

impl<K, V> Difference<K, V> {
    /// Whether no row differs.
    pub fn is_empty(&self) -> bool {
        self.inserted.is_empty() && self.updated.is_empty() && self.deleted.is_empty()
    }
}

impl<K, V> Default for Difference<K, V> {
    fn default() -> Self {
        Self { inserted: Vec::new(), updated: Vec::new(), deleted: Vec::new() }
    }
}

/// Rows that were touched, by whether they were there before and are there now.
pub(super) fn difference<K: Copy + Eq + Hash + Ord, V>(
    touched: &HashSet<K>,
    loaded: &HashSet<K>,
    mut now: HashMap<K, V>,
) -> Difference<K, V> {
    let mut difference = Difference::default();
    let touched: BTreeSet<K> = touched.iter().copied().collect();
    for id in touched {
        match (loaded.contains(&id), now.remove(&id)) {
            (true, Some(row)) => difference.updated.push(row),
            (false, Some(row)) => difference.inserted.push(row),
            (true, None) => difference.deleted.push(id),
            (false, None) => {}
        }
    }
    difference
}
