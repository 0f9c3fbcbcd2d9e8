//! `worker`: run the reference worker on this machine until a signal asks it to leave.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::serve::shutdown_on_signal;
use crate::config::worker::{WorkerArgs, WorkerSettings};

#[expect(clippy::unused_async, reason = "the worker that is to be wired in waits")]
pub(super) async fn run(args: &WorkerArgs) -> anyhow::Result<ExitCode> {
    let settings = args.read()?;
    let shutdown = shutdown_on_signal()?;
    work(&settings, &shutdown)
}

// Until `crate::worker` is merged: `worker::supported` is asked of each of `settings.rcs_types`, then
// `worker::Worker` runs with the Git importer, and takes the place of this.
fn work(settings: &WorkerSettings, _shutdown: &CancellationToken) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no worker yet; {} would have been one", settings.machine)
}
