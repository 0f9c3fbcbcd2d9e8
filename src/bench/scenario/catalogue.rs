//! Whether the cost of a job grows with the catalogue: 1,000 jobs that are due one after the other, and whose imports
//! lie anywhere, are dispatched and finished, in catalogues of several sizes by turns, so that what else the machine does meanwhile meets all of them alike.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use rand::Rng as _;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::bench::seed::machine_of;
use crate::bench::{Bench, Figure, Goal, Place, Sample, Scenario, life, tell};
use crate::domain::{RcsType, Report, RunId, RunRef, Status};
use crate::store::Store;
use crate::workflow::{Command, Outcome, Policy, Reply};

/// Jobs of one round.
const JOBS: i64 = 1_000;

/// Finishes of one batch, as the consumer's prefetch has it.
const BATCH: usize = 500;

/// Rounds that fill caches, and rounds that count.
const WARM_UP: usize = 3;
const ROUNDS: usize = 15;

/// Where it is written how PostgreSQL finds the due jobs.
const PLANS: &str = "target/bench-plans";

/// What we allow at the largest size, beside the smallest.
const FLAT: Goal = Goal::RatioAtMost(1.3);

pub(super) const CATALOGUE: Scenario = Scenario {
    name: "catalogue",
    about: "dispatch and finish of 1,000 jobs with 10^3, 10^5 and 10^6 imports in the catalogue",
    figures: &[
        figure("dispatch, 10^3 imports", Goal::None),
        figure("finish, 10^3 imports", Goal::None),
        figure("dispatch, 10^5 imports", FLAT),
        figure("finish, 10^5 imports", FLAT),
        figure("dispatch, 10^6 imports", FLAT),
        figure("finish, 10^6 imports, 3*10^6 results", FLAT),
    ],
    measure: |bench| grow(bench, &[1_000, 100_000, 1_000_000]).boxed_local(),
    is_single: true,
};

pub(super) const LARGE_CATALOGUE: Scenario = Scenario {
    name: "catalogue-7",
    about: "the same with 10^3 and 10^7 imports; 15 GB of room and an hour",
    figures: &[
        figure("dispatch, 10^3 beside 10^7", Goal::None),
        figure("finish, 10^3 beside 10^7", Goal::None),
        figure("dispatch, 10^7 imports", FLAT),
        figure("finish, 10^7 imports, 3*10^7 results", FLAT),
    ],
    measure: |bench| grow(bench, &[1_000, 10_000_000]).boxed_local(),
    is_single: true,
};

const fn figure(name: &'static str, goal: Goal) -> Figure {
    Figure { name, unit: "ms/1000 jobs", goal }
}

async fn grow(bench: &Bench, sizes: &[i64]) -> anyhow::Result<Vec<Vec<Sample>>> {
    let mut catalogues = Vec::new();
    for size in sizes {
        let begun = Instant::now();
        catalogues.push(Catalogue::make(bench, *size).await?);
        tell(&format!("    {size} imports were made in {:.0} s", begun.elapsed().as_secs_f64()));
    }
    let mut rounds = Vec::new();
    for _ in 0..WARM_UP + ROUNDS {
        let mut round = Vec::new();
        for catalogue in &mut catalogues {
            round.extend(catalogue.round().await?);
        }
        rounds.push(round);
    }
    for catalogue in catalogues {
        catalogue.explain().await?;
        catalogue.place.close().await?;
    }
    Ok(beside_the_first(&rounds[WARM_UP..]))
}

/// Each figure beside the same of the smallest catalogue, in the same round.
fn beside_the_first(rounds: &[Vec<f64>]) -> Vec<Vec<Sample>> {
    let sample = |round: &[f64], index: usize| match index {
        0 | 1 => Sample::alone(round[index]),
        _ => Sample::beside(round[index], round[index % 2]),
    };
    rounds.iter().map(|round| (0..round.len()).map(|index| sample(round, index)).collect()).collect()
}

struct Catalogue {
    size: i64,
    place: Place,
    sql: Client,
    store: Store,
    policy: Policy,
}

impl Catalogue {
    async fn make(bench: &Bench, size: i64) -> anyhow::Result<Self> {
        let place = bench.servers.place().await?;
        let sql = place.sql().await?;
        life::make(&sql, size).await?;
        let store = Store::connect(&place.database_url.parse()?, "bench").await?;
        Ok(Self { size, place, sql, store, policy: Policy::default() })
    }

    /// Makes jobs anywhere in the catalogue due, and lets them go through; how many milliseconds their dispatch and
    /// their finish took.
    async fn round(&mut self) -> anyhow::Result<[f64; 2]> {
        self.make_due().await?;
        let begun = Instant::now();
        let now = self.store.now().await?;
        self.store.requested_jobs(RcsType::Git, None, now, JOBS).await?;
        let due = self.store.due_jobs(RcsType::Git, None, now, JOBS).await?;
        let commands: Vec<Command> = due.iter().map(|due| Command::Dispatch { job: due.id }).collect();
        let outcomes = self.store.apply(&commands, &self.policy).await?;
        let dispatched = milliseconds(begun);

        let run = |outcome: Outcome| match outcome {
            Outcome::Applied(Reply::Dispatched { job, .. }) => {
                Some(RunRef { job: job.id, import: job.import_id, run: RunId(Uuid::new_v4()) })
            }
            _ => None,
        };
        let runs: Vec<RunRef> = outcomes.into_iter().filter_map(run).collect();
        ensure!(runs.len() == commands.len(), "not every due job was dispatched");
        let starts = each(&runs, |run, machine| Command::Start { run, machine });
        self.apply(&starts?).await?;
        let report = Report::of(Status::Success);
        let finishes = each(&runs, |run, machine| Command::Finish { run, machine, report: report.clone() })?;
        let begun = Instant::now();
        self.apply(&finishes).await?;
        Ok([dispatched, milliseconds(begun)])
    }

    async fn make_due(&self) -> anyhow::Result<()> {
        // In the smallest one all are due, in others those after some time of the hours in which they would be.
        let hours = if self.size <= JOBS { 0.0 } else { rand::rng().random_range(2.0..5.5) };
        let from = "SELECT (clock_timestamp() + make_interval(secs => $1::float8 * 3600))::text";
        let from: String = self.sql.query_one(from, &[&hours]).await?.get(0);
        let rows = self
            .sql
            .execute(
                "UPDATE jobs SET date_due = clock_timestamp() - interval '1 s' WHERE id IN (
                     SELECT id FROM jobs WHERE rcs_type = 'GIT' AND state = 'PENDING' AND date_dispatched IS NULL
                         AND date_due >= $2::text::timestamptz ORDER BY date_due, id LIMIT $1)",
                &[&JOBS, &from],
            )
            .await?;
        ensure!(rows == JOBS.unsigned_abs(), "{rows} jobs are due");
        Ok(())
    }

    async fn apply(&mut self, commands: &[Command]) -> anyhow::Result<()> {
        for batch in commands.chunks(BATCH) {
            let outcomes = self.store.apply(batch, &self.policy).await?;
            ensure!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied(_))), "{outcomes:?}");
        }
        Ok(())
    }

    /// Writes down how the due jobs are found and marked.
    async fn explain(&self) -> anyhow::Result<()> {
        self.make_due().await?;
        let find = "SELECT date_due, id FROM jobs WHERE state = 'PENDING' AND date_dispatched IS NULL
            AND rcs_type = 'GIT' AND date_due <= now() AND date_due >= 'epoch'
            ORDER BY date_due, id LIMIT 1000";
        let mark = format!(
            "UPDATE jobs SET date_dispatched = clock_timestamp() WHERE id = ANY (ARRAY(SELECT id FROM ({find}) AS due))"
        );
        let mut text = String::new();
        for statement in [find, &mark] {
            let plan = self.sql.query(&format!("EXPLAIN (ANALYZE, BUFFERS, WAL) {statement}"), &[]).await?;
            let lines: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            write!(text, "{statement}\n\n{}\n\n", lines.join("\n"))?;
        }
        std::fs::create_dir_all(PLANS)?;
        let file = Path::new(PLANS).join(format!("dispatch-{}.txt", self.size));
        std::fs::write(&file, text).with_context(|| file.display().to_string())
    }
}

fn each(
    runs: &[RunRef],
    command: impl Fn(RunRef, crate::domain::Hostname) -> Command,
) -> anyhow::Result<Vec<Command>> {
    runs.iter().map(|run| Ok(command(*run, machine_of(run.import.0).parse()?))).collect()
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
