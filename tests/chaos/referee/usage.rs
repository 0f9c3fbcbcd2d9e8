//! What is left when all is calm.

use super::Harm;
use crate::evidence::Evidence;
use crate::history::Facts;

/// MiB that a coordinator may hold.
const COORDINATOR_MEMORY: u64 = 400;

/// MiB that RabbitMQ may hold.
const RABBITMQ_MEMORY: u64 = 1_000;

/// Connections to either server: two coordinators have a dozen each.
const CONNECTIONS: u64 = 40;

/// Messages that may lie in a queue of workers' words: an echo, and what was said just now.
const QUEUED: u64 = 5;

/// Work that may lie ready: a window, and what is dispatched again.
const WORK: u64 = 60;

pub(super) fn all_is_normal(_: &Facts, evidence: &Evidence) -> Vec<(Harm, String)> {
    let most_memory = |name: &str| if name == "RabbitMQ" { RABBITMQ_MEMORY } else { COORDINATOR_MEMORY };
    let most_queued = |name: &str| match name {
        _ if name.starts_with("work.") => WORK,
        _ => QUEUED,
    };
    let too_much = |what: String, is: u64, most: u64| {
        (is > most).then(|| (Harm::Wrong, format!("{what}: {is}, not {most}")))
    };
    let memory = evidence
        .memory
        .iter()
        .filter_map(|(name, is)| too_much(format!("MiB of {name}"), *is, most_memory(name)));
    let queues = evidence
        .queues
        .iter()
        .filter_map(|(name, is)| too_much(format!("messages in {name}"), *is, most_queued(name)));
    let connections = evidence
        .connections
        .iter()
        .filter_map(|(name, is)| too_much(format!("connections to {name}"), *is, CONNECTIONS));
    memory.chain(queues).chain(connections).collect()
}
