//! A fleet of 2,000 machines with twenty running jobs each, for ten minutes: whether any job is taken away from a
//! machine that is well, and how late jobs start while somebody could run them.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::bench::bare::broker::{Message, Publisher, Taker};
use crate::bench::record::percentile;
use crate::bench::seed::{self, run_of};
use crate::bench::{Bench, Figure, Goal, Sample, Scenario, tell};

const MACHINE_COUNT: i64 = 2_000;

/// Jobs of one machine at once.
const SLOTS: i64 = 20;

/// Running when it begins: nineteen of twenty slots, so that one is always free, with as many due as end.
const RUNNING: i64 = MACHINE_COUNT * (SLOTS - 1);

/// The mean of the exponential lengths of runs.
const MEAN_LENGTH: Duration = Duration::from_mins(5);

/// How long the fleet is watched.
const TIME: Duration = Duration::from_mins(10);

/// How often every machine speaks.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// How often it is looked which runs end and which machines speak.
const LOOK: Duration = Duration::from_millis(15);

pub(super) const MACHINES: Scenario = Scenario {
    name: "fleet",
    about: "2,000 machines of 20 running jobs each, for ten minutes",
    figures: &[
        Figure { name: "jobs reclaimed", unit: "jobs", goal: Goal::AtMost(0.0) },
        Figure { name: "lateness, p99", unit: "s", goal: Goal::AtMost(2.0) },
        Figure { name: "lateness, p50", unit: "s", goal: Goal::None },
        Figure { name: "runs ended", unit: "jobs", goal: Goal::None },
    ],
    measure: |bench| fleet(bench).boxed_local(),
    is_single: true,
};

async fn fleet(bench: &Bench) -> anyhow::Result<Vec<Vec<Sample>>> {
    let place = bench.servers.place().await?;
    let sql = place.sql().await?;
    seed_fleet(&sql).await?;
    let url = &place.amqp_url;
    let (heard, hearing) = mpsc::unbounded_channel();
    let told = heard.clone();
    let taker = Taker::open(url, "code-imports.work.git").await?;
    let subscriber = Taker::subscribe(url, "code-imports.events").await?;
    let working = tokio::spawn(taker.take(usize::MAX, move |body| read(body, &told, Word::Work)));
    let listening = tokio::spawn(subscriber.take(usize::MAX, move |body| read(body, &heard, Word::Event)));
    let (starts, starting) = Publisher::open(url, "code-imports.worker").await?.pump();
    let (beats, beating) = Publisher::open(url, "code-imports.worker").await?.pump();
    let serve = place.serve().await?;
    let mut state = Fleet::new(starts, beats);
    state.watch(hearing).await?;
    serve.stop().await?;
    for task in [working, listening, starting, beating] {
        task.abort();
    }
    place.close().await?;
    Ok(vec![state.samples()?])
}

/// The running jobs, and as many more imports as there are ends, due evenly over the time.
async fn seed_fleet(sql: &Client) -> anyhow::Result<()> {
    let due = RUNNING * i64::try_from(TIME.as_secs() / MEAN_LENGTH.as_secs())?;
    seed::imports(sql, RUNNING + due, 21_600).await?;
    sql.execute(
        "INSERT INTO machines (hostname, state, date_state, heartbeat)
         SELECT 'machine-' || n, 'ONLINE', now(), now() FROM generate_series(0, $1::bigint - 1) AS n
         ON CONFLICT (hostname) DO UPDATE SET heartbeat = now()",
        &[&MACHINE_COUNT],
    )
    .await?;
    seed::runs(sql, RUNNING, MACHINE_COUNT).await?;
    sql.execute(
        "INSERT INTO jobs (id, import_id, rcs_type, state, date_created, date_due)
         SELECT $1 + n, $1 + n, 'GIT', 'PENDING', now(),
             clock_timestamp() + interval '5 s' + make_interval(secs => $3::float8 * n / $2::bigint)
         FROM generate_series(1, $2::bigint) AS n, (SELECT $1::bigint) AS first",
        &[&RUNNING, &due, &TIME.as_secs_f64()],
    )
    .await?;
    seed::settle(sql, RUNNING + due).await
}

/// What comes to the fleet.
enum Word {
    Work(Work),
    Event(Event),
}

#[derive(Deserialize)]
struct Work {
    job: i64,
    import: Named,
    date_due: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    date: DateTime<Utc>,
    import: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: i64,
}

fn read<T: for<'a> Deserialize<'a>>(body: &[u8], hand: &UnboundedSender<Word>, word: fn(T) -> Word) {
    if let Ok(read) = serde_json::from_slice(body) {
        // The other end is gone when the time is over.
        drop(hand.send(word(read)));
    }
}

/// A run of the fleet, by its import.
struct Run {
    job: i64,
    token: Uuid,
    machine: i64,
    date_due: Option<DateTime<Utc>>,
}

struct Fleet {
    starts: UnboundedSender<Message>,
    beats: UnboundedSender<Message>,
    runs: HashMap<i64, Run>,
    /// The imports that each machine runs.
    machines: Vec<Vec<i64>>,
    ends: BTreeSet<(Instant, i64)>,
    lateness: Vec<f64>,
    reclaimed: u32,
    ended: u32,
}

impl Fleet {
    fn new(starts: UnboundedSender<Message>, beats: UnboundedSender<Message>) -> Self {
        let machines = (0..MACHINE_COUNT).map(|_| Vec::new()).collect();
        let (runs, ends, lateness) = (HashMap::new(), BTreeSet::new(), Vec::new());
        let mut fleet = Self { starts, beats, runs, machines, ends, lateness, reclaimed: 0, ended: 0 };
        for import in 1..=RUNNING {
            let machine = import % MACHINE_COUNT;
            fleet.take(import, Run { job: import, token: run_of(import), machine, date_due: None });
            fleet.begin(import);
        }
        fleet
    }

    /// Plays the fleet until the time is over.
    async fn watch(&mut self, mut hearing: UnboundedReceiver<Word>) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut looks = tokio::time::interval(LOOK);
        let mut spoken = 0;
        while begun.elapsed() < TIME {
            tokio::select! {
                word = hearing.recv() => match word.context("nobody listens any more")? {
                    Word::Work(given) => self.work(given),
                    Word::Event(event) => self.event(event),
                },
                _ = looks.tick() => {
                    self.end_runs();
                    let to_speak = begun.elapsed().as_secs_f64() / HEARTBEAT_INTERVAL.as_secs_f64();
                    spoken = self.speak(spoken, to_speak);
                }
            }
        }
        Ok(())
    }

    /// Every machine in turn; `turns` is how many turns of all machines should be over.
    fn speak(&self, mut spoken: i64, turns: f64) -> i64 {
        let count = f64::from(i32::try_from(MACHINE_COUNT).unwrap_or(i32::MAX));
        while f64::from(i32::try_from(spoken).unwrap_or(i32::MAX)) < turns * count {
            let machine = spoken % MACHINE_COUNT;
            let place = usize::try_from(machine).unwrap_or_default();
            let running =
                self.machines[place].iter().filter_map(|import| Some((import, self.runs.get(import)?)));
            let jobs: Vec<_> = running
                .map(|(import, run)| json!({"job": run.job, "import": import, "run": run.token, "log_tail": "at it"}))
                .collect();
            send(&self.beats, "heartbeat", &json!({"machine": name(machine), "jobs": jobs}));
            spoken += 1;
        }
        spoken
    }

    /// A machine with a free slot starts it.
    fn work(&mut self, work: Work) {
        let Work { job, import: Named { id: import }, date_due } = work;
        let free = (0..MACHINE_COUNT).map(|n| (import + n) % MACHINE_COUNT);
        let mut free = free.filter(|machine| {
            let running = &self.machines[usize::try_from(*machine).unwrap_or_default()];
            i64::try_from(running.len()).is_ok_and(|running| running < SLOTS)
        });
        let Some(machine) = free.next() else {
            tell("    no slot is free: a job waits for its next dispatch");
            return;
        };
        let token = Uuid::new_v4();
        let body = json!({"job": job, "import": import, "run": token, "machine": name(machine)});
        send(&self.starts, "start", &body);
        self.take(import, Run { job, token, machine, date_due: Some(date_due) });
    }

    fn take(&mut self, import: i64, run: Run) {
        self.machines[usize::try_from(run.machine).unwrap_or_default()].push(import);
        self.runs.insert(import, run);
    }

    /// A run that began ends after an exponential time.
    fn begin(&mut self, import: i64) {
        let share: f64 = rand::rng().random_range(f64::MIN_POSITIVE..1.0);
        self.ends.insert((Instant::now() + MEAN_LENGTH.mul_f64(-share.ln()), import));
    }

    fn event(&mut self, event: Event) {
        let Event { kind, date, import } = event;
        self.reclaimed += u32::from(kind == "RECLAIM");
        let Some((import, run)) = import.and_then(|import| Some((import.id, self.runs.get(&import.id)?)))
        else {
            return;
        };
        if let Some(due) = run.date_due.filter(|_| kind == "START") {
            self.lateness.push((date - due).as_seconds_f64());
            self.begin(import);
        }
    }

    fn end_runs(&mut self) {
        while self.ends.first().is_some_and(|(end, _)| *end <= Instant::now()) {
            let Some((_, import)) = self.ends.pop_first() else { break };
            let Some(run) = self.runs.remove(&import) else { continue };
            let body = json!({
                "job": run.job, "import": import, "run": run.token, "machine": name(run.machine), "status": "SUCCESS",
            });
            send(&self.starts, "finish", &body);
            self.machines[usize::try_from(run.machine).unwrap_or_default()].retain(|other| *other != import);
            self.ended += 1;
        }
    }

    fn samples(&self) -> anyhow::Result<Vec<Sample>> {
        let late = |percent| percentile(self.lateness.clone(), percent).context("nothing was started");
        let figures = [self.reclaimed.into(), late(99)?, late(50)?, self.ended.into()];
        Ok(figures.map(Sample::alone).to_vec())
    }
}

fn name(machine: i64) -> String {
    format!("machine-{machine}")
}

fn send(hand: &UnboundedSender<Message>, kind: &'static str, body: &serde_json::Value) {
    // A publisher that ended is seen by what does not come any more.
    drop(hand.send(Message { kind, body: body.to_string().into_bytes() }));
}
