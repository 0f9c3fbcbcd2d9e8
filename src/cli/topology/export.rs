//! `topology export`: the broker as it should be, for its console to import.

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::Args;

use crate::broker::Topology;
use crate::broker::definitions::{Account, Plan, Role, definitions};
use crate::cli::argument::interval;
use crate::cli::output::block;
use crate::config::servers::BrokerArgs;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The virtual host [default: that of AMQP_URL, else /]
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    /// The account of the coordinator [default: that of AMQP_URL, else coordinator]
    #[arg(long, value_name = "NAME")]
    coordinator: Option<String>,
    /// An account for the workers of a machine, and of its name; may be said again
    #[arg(long = "worker", value_name = "NAME", default_value = "worker")]
    workers: Vec<String>,
    /// An account that listens to the events; may be said again
    #[arg(long = "subscriber", value_name = "NAME", default_value = "subscriber")]
    subscribers: Vec<String>,
    /// An account of an operator, of the person's name; may be said again
    #[arg(long = "operator", value_name = "NAME", default_value = "operator")]
    operators: Vec<String>,
    /// Only what the accounts may do, not the accounts: importing one that is there takes its password away
    #[arg(long)]
    no_users: bool,
    /// After so long a consumer that does not acknowledge is cancelled; only for RabbitMQ 3.12 and later, before
    /// which the broker refuses such a policy [default: the broker's, 30 min]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    consumer_timeout: Option<TimeDelta>,
}

pub(super) fn export(args: &ExportArgs, broker: &BrokerArgs) -> anyhow::Result<ExitCode> {
    let (urls, prefix) = broker.read_names()?;
    let or_else = |said: &Option<String>, known: Option<&str>, default: &str| {
        said.clone().unwrap_or_else(|| known.unwrap_or(default).to_owned())
    };
    let known = urls.as_ref().map(crate::broker::AmqpUrls::account);
    let coordinator = [or_else(&args.coordinator, known, "coordinator")];
    let roles = [
        (Role::Coordinator, coordinator.as_slice()),
        (Role::Worker, &args.workers),
        (Role::Subscriber, &args.subscribers),
        (Role::Operator, &args.operators),
    ];
    let account = |role: Role| move |name: &String| Account { name: name.clone(), role };
    let plan = Plan {
        vhost: or_else(&args.vhost, urls.as_ref().and_then(|urls| urls.vhost()), "/"),
        accounts: roles.iter().flat_map(|(role, names)| names.iter().map(account(*role))).collect(),
        has_users: !args.no_users,
        consumer_timeout: args.consumer_timeout.and_then(|timeout| timeout.to_std().ok()),
    };
    block(&serde_json::to_string_pretty(&definitions(&Topology::new(&prefix), &plan))?)?;
    if plan.has_users {
        eprintln!(
            "The accounts have no passwords, and importing takes away those that they have: then set one for each, \
            with `rabbitmqctl change_password NAME`. To leave the accounts alone: --no-users"
        );
    }
    Ok(ExitCode::SUCCESS)
}
