//! `migrate`: bring the database's schema up to date, and make its partitions.

use std::process::ExitCode;

use clap::Args;

use super::output::line;
use crate::config::serve::RetentionArgs;
use crate::config::servers::DatabaseArgs;
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    retention: RetentionArgs,
}

pub(super) async fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let (url, retention) = crate::config::read_database_and_retention(&args.database, &args.retention)?;
    let versions = Store::migrate(&url).await?;
    for version in &versions {
        line(format!("Ran migration {version}."))?;
    }
    if versions.is_empty() {
        line("The schema was up to date.")?;
    }
    Store::connect(&url, "migrate").await?.make_partitions(retention).await?;
    line("The partitions of the days ahead are there.")?;
    Ok(ExitCode::SUCCESS)
}
