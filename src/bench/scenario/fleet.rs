//! Workers that do nothing but speak, and the subscriber from which they learn that a start was applied: all of a
//! fleet in three connections.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::drained::{finish, per_second};
use crate::bench::Place;
use crate::bench::bare::broker::{Message, Publisher, Taker};
use crate::bench::process::pass;
use crate::bench::seed::machine_of;

/// How often runs are looked at that are to end.
const LOOK: Duration = Duration::from_millis(1);

/// A fleet at work.
pub(super) struct Fleet {
    seen: Arc<Mutex<Seen>>,
    finished: watch::Receiver<usize>,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// What the fleet has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Jobs that were started, by their imports.
    runs: HashMap<i64, (i64, Uuid)>,
    /// When a finish was published, by its import.
    published: HashMap<i64, Instant>,
    /// From a finish to its event.
    latencies: Vec<Duration>,
    first_work: Option<Instant>,
}

/// As much of a message of work as a worker without work needs.
#[derive(Deserialize)]
struct Work {
    job: i64,
    import: Named,
}

/// As much of an event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    import: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: i64,
}

impl Fleet {
    /// Begins to work. A run takes between half and one and a half of `length`, or no time if that is 0.
    pub(super) async fn start(place: &Place, length: Duration) -> anyhow::Result<Self> {
        let url = &place.amqp_url;
        let subscriber = Taker::subscribe(url, "code-imports.events").await?;
        let (starts, publishing_starts) = Publisher::open(url, "code-imports.worker").await?.pump();
        let (finishes, publishing_finishes) = Publisher::open(url, "code-imports.worker").await?.pump();
        let worker = Taker::open(url, "code-imports.work.git").await?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (count, counted) = watch::channel(0);
        let (ends, ending) = mpsc::unbounded_channel();
        let working = {
            let seen = Arc::clone(&seen);
            tokio::spawn(worker.take(usize::MAX, move |body| seen.locked().work(body, &starts)))
        };
        let listening = {
            let seen = Arc::clone(&seen);
            let hear = move |body: &[u8]| seen.locked().event(body, &ends, &count);
            tokio::spawn(subscriber.take(usize::MAX, hear))
        };
        let ending = tokio::spawn(end_runs(Arc::clone(&seen), ending, length, finishes));
        let tasks = vec![working, listening, ending, publishing_starts, publishing_finishes];
        Ok(Self { seen, finished: counted, tasks })
    }

    /// Waits until so many jobs were finished, and their events came.
    pub(super) async fn finished(&mut self, count: usize) -> anyhow::Result<()> {
        self.finished.wait_for(|finished| *finished >= count).await.context("the subscriber ended")?;
        Ok(())
    }

    /// How many jobs were finished until now.
    pub(super) fn count(&self) -> usize {
        *self.finished.borrow()
    }

    /// Jobs finished per second, over so long from now on.
    pub(super) async fn rate(&self, span: Duration) -> f64 {
        let (begun, before) = (Instant::now(), self.count());
        pass(span).await;
        let done = i64::try_from(self.count() - before).unwrap_or(i64::MAX);
        per_second(done, begun.elapsed())
    }

    /// Since when there is work.
    pub(super) fn first_work(&self) -> anyhow::Result<Instant> {
        self.seen.locked().first_work.context("there was no work")
    }

    /// From the publishing of each finish to its event, in milliseconds.
    pub(super) fn latencies(&self) -> Vec<f64> {
        self.seen.locked().latencies.iter().map(|latency| latency.as_secs_f64() * 1000.0).collect()
    }

    /// Forgets what was measured until now.
    pub(super) fn forget(&self) {
        self.seen.locked().latencies.clear();
    }

    /// Goes away, as a fleet does that loses its power.
    pub(super) fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

/// A lock that outlives a panic of its holder.
trait Locked<T> {
    fn locked(&self) -> std::sync::MutexGuard<'_, T>;
}

impl<T> Locked<T> for Mutex<T> {
    fn locked(&self) -> std::sync::MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn work(&mut self, body: &[u8], starts: &mpsc::UnboundedSender<Message>) {
        let Ok(Work { job, import }) = serde_json::from_slice(body) else { return };
        self.first_work.get_or_insert_with(Instant::now);
        let run = Uuid::new_v4();
        self.runs.insert(import.id, (job, run));
        let body = json!({"job": job, "import": import.id, "run": run, "machine": machine_of(import.id)});
        // The other end is gone when the fleet stops.
        drop(starts.send(Message { kind: "start", body: body.to_string().into_bytes() }));
    }

    fn event(&mut self, body: &[u8], ends: &mpsc::UnboundedSender<i64>, count: &watch::Sender<usize>) {
        let Ok(Event { kind, import: Some(Named { id }) }) = serde_json::from_slice(body) else { return };
        match kind {
            "START" => drop(ends.send(id)),
            "FINISH" => {
                self.latencies.extend(self.published.remove(&id).map(|published| published.elapsed()));
                count.send_modify(|count| *count += 1);
            }
            _ => {}
        }
    }

    fn finish(&mut self, import: i64) -> Option<Message> {
        let (job, run) = self.runs.remove(&import)?;
        self.published.insert(import, Instant::now());
        Some(Message { kind: "finish", body: finish(job, import, &run.to_string()).to_string().into_bytes() })
    }
}

/// Ends each run when its time has come.
async fn end_runs(
    seen: Arc<Mutex<Seen>>,
    mut started: mpsc::UnboundedReceiver<i64>,
    length: Duration,
    finishes: mpsc::UnboundedSender<Message>,
) -> anyhow::Result<()> {
    let mut ends: BTreeSet<(Instant, i64)> = BTreeSet::new();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        let mut due = Vec::new();
        tokio::select! {
            import = started.recv() => match import {
                Some(import) if length.is_zero() => due.push(import),
                Some(import) => {
                    let end = Instant::now() + length.mul_f64(rand::rng().random_range(0.5..1.5));
                    ends.insert((end, import));
                }
                None => return Ok(()),
            },
            _ = looks.tick(), if !length.is_zero() => {}
        }
        while ends.first().is_some_and(|(end, _)| *end <= Instant::now()) {
            due.extend(ends.pop_first().map(|(_, import)| import));
        }
        for message in due.into_iter().filter_map(|import| seen.locked().finish(import)) {
            finishes.send(message).ok().context("the publisher of finishes ended")?;
        }
    }
}
