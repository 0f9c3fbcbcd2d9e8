//! `topology`: declare the broker's exchanges and queues, compare them, or write them down for the console.

mod export;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::line;
use crate::broker::{Broker, name};
use crate::config::servers::BrokerArgs;

#[derive(Debug, Args)]
pub(super) struct TopologyArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Declare every exchange, queue and binding; safe to repeat
    Apply,
    /// Say what is missing or differs; exits 1 if anything does
    Check,
    /// Print definitions.json, which the console imports: virtual host, exchanges, queues, policies, accounts
    Export(export::ExportArgs),
}

pub(super) async fn run(args: &TopologyArgs) -> anyhow::Result<ExitCode> {
    if let Verb::Export(export) = &args.verb {
        return export::export(export, &args.broker);
    }
    let (urls, prefix) = args.broker.read()?;
    let broker = Broker::new(urls, &prefix, &name::here("cli"));
    let done = match &args.verb {
        Verb::Apply => apply(&broker, &prefix).await,
        Verb::Check | Verb::Export(_) => check(&broker).await,
    };
    broker.close().await;
    done
}

async fn apply(broker: &Broker, prefix: &str) -> anyhow::Result<ExitCode> {
    broker.declare().await?;
    line(format!("Every exchange and queue of {prefix} is there."))?;
    Ok(ExitCode::SUCCESS)
}

async fn check(broker: &Broker) -> anyhow::Result<ExitCode> {
    let wrong = broker.check().await?;
    for what in &wrong {
        line(what)?;
    }
    if wrong.is_empty() {
        line("Every exchange and queue is as it should be.")?;
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
