//! The coordinator, played by a test.

use std::time::Duration;

use code_imports::broker::consume::{Consumption, Verdict};
use code_imports::broker::publish::Outgoing;
use code_imports::broker::{Broker, Exchange, Queue};
use code_imports::domain::{RcsType, Report};
use code_imports::protocol::Received;
use code_imports::worker::{Run, Timing, Undrained, Worker, WorkerSettings};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::common::Vhost;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a worker said, and how it is answered.
pub(crate) struct Said {
    pub(crate) received: Received,
    pub(crate) body: Value,
    pub(crate) answer: oneshot::Sender<Value>,
}

/// The coordinator's side: it hears starts, heartbeats and finishes, each when it wants to.
pub(crate) struct Coordinator {
    pub(crate) vhost: Vhost,
    pub(crate) broker: Broker,
    pub(crate) starts: mpsc::Receiver<Said>,
    pub(crate) heartbeats: mpsc::Receiver<Said>,
    pub(crate) finishes: mpsc::Receiver<Said>,
    pub(crate) worker: Option<JoinHandle<Result<(), Undrained>>>,
    pub(crate) shutdown: CancellationToken,
}

impl Coordinator {
    pub(crate) async fn new() -> Self {
        let vhost = Vhost::new();
        let broker = broker(&vhost.url);
        broker.declare().await.unwrap();
        let [starts, heartbeats, finishes] =
            [Queue::Start, Queue::Heartbeat, Queue::Finish].map(|queue| hear(&vhost.url, queue));
        let shutdown = CancellationToken::new();
        Self { vhost, broker, starts, heartbeats, finishes, worker: None, shutdown }
    }

    /// Begins a worker, at this URL of the broker.
    pub(crate) fn begin_at<F>(
        &mut self,
        url: &str,
        slots: usize,
        import: impl Fn(Run) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Report> + Send + 'static,
    {
        let timing = Timing {
            repeats: vec![Duration::from_millis(200)],
            reconnect: (Duration::from_millis(10), Duration::from_millis(100)),
            drain: Duration::from_secs(5),
            ..Timing::default()
        };
        // The account at the broker is called so, too.
        let machine = "coordinator".parse().unwrap();
        let rcs_types = [RcsType::Git, RcsType::Svn];
        let settings = WorkerSettings::new(url.parse().unwrap(), machine, &rcs_types);
        let worker = Worker::new(WorkerSettings { prefix: "ci".to_owned(), slots, timing, ..settings });
        self.worker =
            Some(tokio::spawn(worker.run(self.shutdown.clone(), async move |run| import(run).await)));
    }

    /// Begins a worker and lets it consume.
    pub(crate) async fn begin<F>(&mut self, slots: usize, import: impl Fn(Run) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Report> + Send + 'static,
    {
        self.begin_at(&self.vhost.url.clone(), slots, import);
        self.online().await;
    }

    pub(crate) async fn online(&mut self) {
        next(&mut self.heartbeats).await.answer(state("ONLINE"));
    }

    /// The next start; the machine is ONLINE for whatever session says something before it.
    pub(crate) async fn start_once_online(&mut self) -> Said {
        loop {
            tokio::select! {
                heartbeat = next(&mut self.heartbeats) => drop(heartbeat.answer(state("ONLINE"))),
                start = next(&mut self.starts) => return start,
            }
        }
    }

    /// Hands out jobs.
    pub(crate) async fn hand_out(&self, jobs: &[i64]) {
        let publisher = self.broker.publisher().await.unwrap();
        let work = |job: &i64| Outgoing {
            routing_key: "git".to_owned(),
            message_id: job.to_string(),
            kind: "work",
            body: work(*job).to_string().into_bytes(),
            ..Outgoing::default()
        };
        let messages: Vec<Outgoing> = jobs.iter().map(work).collect();
        publisher.publish_all(&self.broker.topology.exchange(Exchange::Work), &messages).await.unwrap();
    }

    /// Waits until so many messages lie ready in the queue for Git.
    pub(crate) async fn ready(&self, count: u32) {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let waiting = async {
            let gauge = self.broker.gauge().await.unwrap();
            while gauge.ready(Queue::Work(RcsType::Git)).await.unwrap() != count {
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never {count} ready"));
    }

    /// Lets the worker leave.
    pub(crate) async fn leave(&mut self) -> Result<(), Undrained> {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.worker.take().unwrap()).await.unwrap().unwrap()
    }
}

impl Said {
    pub(crate) fn answer(self, body: Value) -> Value {
        self.answer.send(body).unwrap();
        self.body
    }
}

pub(crate) async fn next(said: &mut mpsc::Receiver<Said>) -> Said {
    tokio::time::timeout(PATIENCE, said.recv()).await.expect("the worker says something").unwrap()
}

/// Consumes a queue, message by message, each as soon as the one before is answered.
pub(crate) fn hear(url: &str, queue: Queue) -> mpsc::Receiver<Said> {
    let (say, said) = mpsc::channel(1);
    let broker = broker(url);
    // A consumer's future can not be sent to another thread, so it is made there; it ends with its queue. It
    // has connections of its own, since they end with the thread.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(pass_on(&broker, queue, say));
    });
    said
}

fn broker(url: &str) -> Broker {
    Broker::new(url.parse().unwrap(), "ci", "test")
}

async fn pass_on(broker: &Broker, queue: Queue, say: mpsc::Sender<Said>) {
    let idle = Duration::from_secs(30);
    let (consumption, shutdown) = (Consumption { queue, batch: 1, idle }, CancellationToken::new());
    let judged = broker.consume(consumption, &shutdown, async |messages| {
        let mut verdicts = Vec::new();
        for received in messages {
            let (answer, answered) = oneshot::channel();
            let body = serde_json::from_slice(&received.body).unwrap();
            drop(say.send(Said { received: received.clone(), body, answer }).await);
            let answer = answered.await.ok().map(|answer| answer.to_string().into_bytes());
            verdicts.push(Verdict { answer, ..Verdict::default() });
        }
        Ok::<_, code_imports::broker::Error>(verdicts)
    });
    drop(judged.await);
}

pub(crate) fn work(job: i64) -> Value {
    json!({"job": job, "import": {"id": 7, "unique_name": "~a/b/c", "rcs_type": "GIT", "url": "https://***@h.org/r"},
        "date_due": "2026-11-23T10:00:00Z", "heartbeat_interval_s": 30, "heartbeat_timeout_s": 300,
        "previous": {"status": "SUCCESS", "date": "2026-11-23T04:00:07Z"}})
}

pub(crate) fn state(name: &str) -> Value {
    json!({"machine_state": name, "stop": [], "heartbeat_interval_s": 1, "heartbeat_timeout_s": 300})
}

pub(crate) fn accepted() -> Value {
    json!({"outcome": "accepted", "import":
        {"id": 7, "unique_name": "~a/b/c", "rcs_type": "GIT", "url": "https://me:s3cret@h.org/r"}})
}

pub(crate) fn refused(code: &str) -> Value {
    json!({"outcome": "refused", "code": code, "reason": "no"})
}
