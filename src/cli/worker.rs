//! `worker`: run the reference worker on this machine until a signal asks it to leave.

use std::process::ExitCode;

use super::serve::shutdown_on_signal;
use crate::config::worker::WorkerArgs;
use crate::worker::{Worker, importer};

pub(super) async fn run(args: &WorkerArgs) -> anyhow::Result<ExitCode> {
    let (client, importer) = args.read()?;
    let shutdown = shutdown_on_signal()?;
    let (machine, slots) = (client.machine.clone(), client.slots);
    tracing::info!(%machine, slots, "worker {machine} starts, with room for {slots} imports at once");
    Worker::new(client).run(shutdown, async |run| importer::import(&run, &importer).await).await?;
    tracing::info!(%machine, "worker {machine} has left");
    Ok(ExitCode::SUCCESS)
}
