//! `topology`: declare the broker's exchanges and queues, or compare them.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::line;
use crate::broker::Broker;
use crate::config::servers::BrokerArgs;

#[derive(Debug, Args)]
pub(super) struct TopologyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Declare every exchange, queue and binding; safe to repeat
    Apply(BrokerArgs),
    /// Say what is missing or differs; exits 1 if anything does
    Check(BrokerArgs),
}

pub(super) async fn run(args: &TopologyArgs) -> anyhow::Result<ExitCode> {
    let (Verb::Apply(broker) | Verb::Check(broker)) = &args.verb;
    let (urls, prefix) = broker.read()?;
    let broker = Broker::new(urls, &prefix, "code-imports cli");
    let done = match &args.verb {
        Verb::Apply(_) => apply(&broker, &prefix).await,
        Verb::Check(_) => check(&broker).await,
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
