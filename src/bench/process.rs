//! `serve` as a child process, the program as it is shipped: its time, its memory, its counts.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::console::request;

/// How long it may take until it is ready, or gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running coordinator.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    pid: u32,
    port: u16,
    /// How long it took from its start until it was ready.
    pub ready_after: Duration,
}

impl Serve {
    /// Starts it, and waits until it is ready.
    pub async fn start(database_url: &str, amqp_url: &str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let begun = Instant::now();
        let child = Command::new(std::env::current_exe()?)
            .arg("serve")
            // Its own defaults count, not what the caller has set.
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("AMQP_URL", amqp_url)
            .env("CODE_IMPORTS_HTTP", format!("127.0.0.1:{port}"))
            .env("CODE_IMPORTS_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start serve")?;
        let pid = child.id().context("serve ended at once")?;
        let mut serve = Self { child, pid, port, ready_after: Duration::ZERO };
        until(Duration::from_millis(5), "serve is ready", async || Ok(serve.get("/readyz").await.is_ok()))
            .await?;
        serve.ready_after = begun.elapsed();
        Ok(serve)
    }

    /// Processor time that it has used, of all threads.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.pid)
    }

    /// Resident memory in MiB: now, and the most there ever was.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let mebibytes = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
            Ok(kibibytes / 1024.0)
        };
        Ok((mebibytes("VmRSS:")?, mebibytes("VmHWM:")?))
    }

    /// A number that it counts, by its whole name in `/metrics`; 0 before the first.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.get("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Ok(value.unwrap_or(0.0))
    }

    /// How many messages a batch of a queue had on average.
    pub async fn mean_batch(&self, queue: &str) -> anyhow::Result<f64> {
        let sum = self.metric(&format!("code_imports_batch_messages_sum{{queue=\"{queue}\"}}")).await?;
        let count = self.metric(&format!("code_imports_batch_messages_count{{queue=\"{queue}\"}}")).await?;
        Ok(sum / count.max(1.0))
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, Signal::TERM)?;
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.context("serve did not stop")??;
        if !status.success() {
            bail!("serve ended with {status}");
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        request(("127.0.0.1", self.port), "GET", path, None, "").await
    }
}

/// Processor time of a process, of all its threads.
pub(super) fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program comes second and may hold blanks.
    let (_, after_name) = stat.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}

/// A port that is free now.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Looks again and again until something is so.
pub async fn until(
    every: Duration,
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let waiting = async {
        let mut looks = tokio::time::interval(every);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if is_so().await? {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.with_context(|| format!("waited too long until {what}"))?
}

/// Waits so long: for what is measured by the clock.
pub async fn pass(time: Duration) {
    let mut ticks = tokio::time::interval(time);
    ticks.tick().await;
    ticks.tick().await;
}
