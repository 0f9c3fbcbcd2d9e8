//! `topology export`: the broker as it should be, for its console to import.

use std::process::ExitCode;

use clap::Args;

use super::accounts::AccountArgs;
use crate::broker::Topology;
use crate::broker::definitions::definitions;
use crate::cli::output::block;
use crate::config::servers::ConsoleArgs;

/// One account of each role: that of AMQP_URL, else `coordinator`; `worker`; `subscriber`; `operator`; unless others
/// of the role are named.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The virtual host [default: that of AMQP_URL, else /]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    #[command(flatten)]
    accounts: AccountArgs,
    /// Only what the accounts may do, not the accounts: importing one that is there takes its password away
    #[arg(long)]
    no_users: bool,
}

pub(super) fn export(args: &ExportArgs, servers: &ConsoleArgs) -> anyhow::Result<ExitCode> {
    let (urls, prefix) = servers.read_names()?;
    let mut accounts = args.accounts.clone();
    let known = urls.as_ref().map_or("coordinator", crate::broker::AmqpUrls::account);
    accounts.coordinator.get_or_insert_with(|| known.to_owned());
    for (names, default) in [
        (&mut accounts.workers, "worker"),
        (&mut accounts.subscribers, "subscriber"),
        (&mut accounts.operators, "operator"),
    ] {
        if names.is_empty() {
            names.push(default.to_owned());
        }
    }
    let vhost = args.vhost.as_deref().or(urls.as_ref().and_then(|urls| urls.vhost())).unwrap_or("/");
    let mut plan = accounts.plan(vhost);
    plan.has_users = !args.no_users;
    block(&serde_json::to_string_pretty(&definitions(&Topology::new(&prefix), &plan))?)?;
    if plan.has_users {
        eprintln!(
            "The accounts have no passwords, and importing takes away those that they have: then set one for each, \
            with `rabbitmqctl change_password NAME`. To leave the accounts alone: --no-users"
        );
    }
    Ok(ExitCode::SUCCESS)
}
