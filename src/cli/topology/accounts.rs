//! Which accounts are meant.

use chrono::TimeDelta;
use clap::Args;

use crate::broker::definitions::{Account, Plan, Role};
use crate::cli::argument::interval;

#[derive(Clone, Debug, Args)]
pub(super) struct AccountArgs {
    /// The account of the coordinator
    #[arg(long, value_name = "NAME")]
    pub(super) coordinator: Option<String>,
    /// An account for the workers of a machine, and of its name; may be said again
    #[arg(long = "worker", value_name = "NAME")]
    pub(super) workers: Vec<String>,
    /// An account that listens to the events; may be said again
    #[arg(long = "subscriber", value_name = "NAME")]
    pub(super) subscribers: Vec<String>,
    /// An account of an operator, of the person's name; may be said again
    #[arg(long = "operator", value_name = "NAME")]
    pub(super) operators: Vec<String>,
    /// After so long a consumer that does not acknowledge is cancelled; only for RabbitMQ 3.12 and later, before
    /// which the broker refuses such a policy [default: the broker's, 30 min]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub(super) consumer_timeout: Option<TimeDelta>,
}

impl AccountArgs {
    /// What is wanted of a virtual host: the accounts that were named, and no others.
    pub(super) fn plan(&self, vhost: &str) -> Plan {
        let coordinator: Vec<String> = self.coordinator.iter().cloned().collect();
        let roles = [
            (Role::Coordinator, &coordinator),
            (Role::Worker, &self.workers),
            (Role::Subscriber, &self.subscribers),
            (Role::Operator, &self.operators),
        ];
        let account = |role: Role| move |name: &String| Account { name: name.clone(), role };
        Plan {
            vhost: vhost.to_owned(),
            accounts: roles.iter().flat_map(|(role, names)| names.iter().map(account(*role))).collect(),
            has_users: true,
            consumer_timeout: self.consumer_timeout.and_then(|timeout| timeout.to_std().ok()),
        }
    }
}
