//! `after-restore`: what must be done after the database was restored to an earlier moment.

use std::process::ExitCode;

use clap::Args;

use super::output::line;
use crate::config::servers::DatabaseArgs;
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct AfterRestoreArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(super) async fn run(args: &AfterRestoreArgs) -> anyhow::Result<ExitCode> {
    let mut store = Store::connect(&args.database.read()?, "after-restore").await?;
    store.after_restore().await?;
    line("The event log has begun a new epoch, and no id will be given out twice. Start `serve` again.")?;
    Ok(ExitCode::SUCCESS)
}
