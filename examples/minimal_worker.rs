//! A worker in thirty lines: `AMQP_URL=amqp://… MACHINE=name cargo run --example minimal_worker`.

use code_imports::domain::{RcsType, Report, Source, Status};
use code_imports::worker::{Run, Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let (urls, machine) = (std::env::var("AMQP_URL")?.parse()?, std::env::var("MACHINE")?.parse()?);
    let worker = Worker::new(WorkerSettings::new(urls, machine, &[RcsType::Git]));
    let shutdown = CancellationToken::new();
    let interrupted = shutdown.clone();
    tokio::spawn(async move { tokio::signal::ctrl_c().await.map(|()| interrupted.cancel()) });
    Ok(worker.run(shutdown, import).await?)
}

/// Mirrors a Git repository; a real worker also heeds `run.lease` and writes the fence (duty 7).
async fn import(run: Run) -> Report {
    let Source::Url(url) = &run.source else { return Report::of(Status::FailureInvalid) };
    let target = format!("mirrors/{}.git", run.import);
    let script = r#"git init --bare "$2"; exec git -C "$2" fetch --prune -- "$1" "+refs/*:refs/*""#;
    let mut git = tokio::process::Command::new("sh");
    git.args(["-ec", script, "sh", url, &target]).kill_on_drop(true);
    tokio::select! {
        status = git.status() => Report::of(Status::of_exit_code(status.ok().and_then(|status| status.code()))),
        _ = run.stop.stopped() => Report::of(Status::InternalFailure),
    }
}
