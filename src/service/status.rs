//! How the whole system does, in numbers: what the database knows, and what lies in the queues.

use serde::Serialize;

use crate::broker::{Broker, Queue};
use crate::store::{self, Store};

/// How the whole system does, in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What the database knows.
    #[serde(flatten)]
    pub store: store::Status,
    /// Rejected messages that nobody holds.
    pub rejected: u32,
    /// How long the queues are, in the order of the flow.
    pub queues: Vec<QueueLength>,
}

/// How many messages lie ready in a queue: those that nobody holds.
#[derive(Clone, Debug, Serialize)]
pub struct QueueLength {
    /// The name of the queue.
    pub queue: String,
    /// How many.
    pub ready: u32,
}

impl Status {
    /// Asks both.
    pub async fn read(store: &mut Store, broker: &Broker) -> anyhow::Result<Self> {
        let gauge = broker.gauge().await?;
        let (mut queues, mut rejected) = (Vec::new(), 0);
        for queue in Queue::all() {
            let ready = gauge.ready(queue).await?;
            rejected = if queue == Queue::Rejected { ready } else { rejected };
            queues.push(QueueLength { queue: broker.topology.queue(queue), ready });
        }
        gauge.close().await;
        Ok(Self { store: store.status().await?, rejected, queues })
    }
}
