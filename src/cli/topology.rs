//! `topology`: set the broker up, compare it, or write it down for the console.
//!
//! Exchanges and queues are declared over AMQP; accounts, what they may do, and policies need the console.

mod accounts;
mod export;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::Usage;
use super::output::line;
use crate::broker::console::Console;
use crate::broker::definitions::Plan;
use crate::broker::setup::Difference;
use crate::broker::{Broker, Topology, name};
use crate::config::servers::ConsoleArgs;

/// What is told where there is no console to ask.
const NO_CONSOLE: &str = "AMQP_CONSOLE_URL is not set, and AMQP knows nothing of them";

#[derive(Debug, Args)]
pub(super) struct TopologyArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    servers: ConsoleArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Set the broker up: every exchange, queue and binding; by its console also policies, and the accounts that are
    /// named; safe to repeat
    Apply {
        #[command(flatten)]
        accounts: accounts::AccountArgs,
        /// Say what would be made or changed, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what is missing or differs; exits 1 if anything does
    Check {
        #[command(flatten)]
        accounts: accounts::AccountArgs,
    },
    /// Print definitions.json, which the console imports: virtual host, exchanges, queues, policies, accounts
    Export(export::ExportArgs),
}

/// The broker, its console if there is one, and how they should be.
struct Desk {
    broker: Broker,
    console: Option<Console>,
    topology: Topology,
    plan: Plan,
}

pub(super) async fn run(args: &TopologyArgs) -> anyhow::Result<ExitCode> {
    let (accounts, verb) = match &args.verb {
        Verb::Export(export) => return export::export(export, &args.servers),
        verb @ (Verb::Apply { accounts, .. } | Verb::Check { accounts }) => (accounts, verb),
    };
    let (urls, prefix, console) = args.servers.read()?;
    let plan = accounts.plan(urls.vhost().unwrap_or("/"));
    if console.is_none() && !plan.accounts.is_empty() {
        let where_it_is = "accounts are the console's: say where it is, --console-url or AMQP_CONSOLE_URL";
        return Err(Usage(where_it_is.to_owned()).into());
    }
    let broker = Broker::new(urls, &prefix, &name::here("cli"));
    let desk = Desk { broker, console, topology: Topology::new(&prefix), plan };
    let done = match verb {
        Verb::Apply { dry_run: false, .. } => desk.apply().await,
        Verb::Apply { .. } => desk.show().await,
        _ => desk.check().await,
    };
    desk.broker.close().await;
    done
}

impl Desk {
    /// The console's part first: it makes what the other connects to.
    async fn apply(&self) -> anyhow::Result<ExitCode> {
        if let Some(console) = &self.console {
            for difference in console.differences(&self.topology, &self.plan).await? {
                let password = console.mend(&self.plan, &difference).await?;
                line(format!("Mended, because {difference}."))?;
                if let (Some(password), Difference::Account(account)) = (password, &difference) {
                    line(format!(
                        "The password of {}, which is shown once: {}",
                        account.name,
                        password.reveal()
                    ))?;
                }
            }
        }
        self.broker.declare().await?;
        line(format!("Every exchange and queue of {} is there.", self.topology.prefix()))?;
        match &self.console {
            Some(_) => line(self.told_of_console())?,
            None => line(format!("Accounts and policies were not applied: {NO_CONSOLE}."))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What is told when the console's part is as it should be.
    fn told_of_console(&self) -> &'static str {
        if self.plan.accounts.is_empty() {
            "Policies are as they should be; no account was named."
        } else {
            "Policies, and the accounts that were named, are as they should be."
        }
    }

    /// Says what `apply` would do.
    async fn show(&self) -> anyhow::Result<ExitCode> {
        let wrong = self.wrong().await?;
        for what in &wrong {
            line(format!("Would mend: {what}"))?;
        }
        if wrong.is_empty() {
            line("Nothing would be changed.")?;
        }
        self.tell_without_console()?;
        Ok(ExitCode::SUCCESS)
    }

    async fn check(&self) -> anyhow::Result<ExitCode> {
        let wrong = self.wrong().await?;
        for what in &wrong {
            line(what)?;
        }
        if wrong.is_empty() {
            line("Every exchange and queue is as it should be.")?;
        }
        if let Some(console) = &self.console {
            if wrong.is_empty() {
                line(self.told_of_console())?;
            }
            for stranger in console.strangers(&self.topology, &self.plan).await? {
                line(format!("note: {stranger}"))?;
            }
        }
        self.tell_without_console()?;
        Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What is missing or differs, each in one line.
    async fn wrong(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        if let Some(console) = &self.console {
            let differences = console.differences(&self.topology, &self.plan).await?;
            wrong.extend(differences.iter().map(|it| format!("{}: {it}", self.plan.vhost)));
            if differences.contains(&Difference::Vhost) {
                // Then there is nothing in it, either, and nowhere to connect to.
                return Ok(wrong);
            }
        }
        wrong.extend(self.broker.check().await?.iter().map(ToString::to_string));
        Ok(wrong)
    }

    fn tell_without_console(&self) -> anyhow::Result<()> {
        if self.console.is_none() {
            line(format!("Accounts and policies were not compared: {NO_CONSOLE}."))?;
        }
        Ok(())
    }
}
