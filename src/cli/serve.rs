//! `serve`: run the coordinator until a signal asks it to leave.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::serve::ServeArgs;
use crate::service::{Ended, serve};

/// The event log went back: a service manager must not start it again; somebody must run `after-restore`.
const LOG_WENT_BACK: u8 = 3;

pub(super) async fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = args.read()?;
    let shutdown = shutdown_on_signal()?;
    match serve(settings, shutdown).await? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        Ended::LogWentBack => Ok(ExitCode::from(LOG_WENT_BACK)),
    }
}

/// A token that is cancelled by the first SIGTERM, SIGINT or SIGHUP. The second one leaves at once.
pub(super) fn shutdown_on_signal() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // A terminal that is closed; who runs a service without one says `nohup` or has a service manager.
    let mut hangup = signal(SignalKind::hangup())?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
            if token.is_cancelled() {
                tracing::warn!("a second signal came; left at once");
                std::process::exit(1);
            }
            tracing::info!("a signal came; what is in hand is finished, the next signal leaves at once");
            token.cancel();
        }
    });
    Ok(shutdown)
}
