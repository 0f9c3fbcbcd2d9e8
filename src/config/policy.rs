//! The numbers that rules go by, and what may be imported.

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;

use super::{Check, LONGEST, SECOND, own_hostname};
use crate::domain::SourcePolicy;
use crate::domain::source::BlockedHost;
use crate::workflow::Policy;

/// The numbers that rules go by. Whoever asks goes by them, so `serve` and the command line must be told the
/// same: best by the environment.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rules (the same for `serve` and for the command line)")]
pub struct PolicyArgs {
    /// From one run's start to the next, where an import says nothing of its own: SVN, GIT, HG, BZR (section 5)
    #[arg(
        long,
        env = "CODE_IMPORTS_UPDATE_INTERVAL",
        value_name = "TIME",
        default_value = "6h",
        global = true,
        hide_short_help = true
    )]
    update_interval: String,

    /// The same for CVS, which has no cheap way to ask what is new (section 5)
    #[arg(
        long,
        env = "CODE_IMPORTS_CVS_UPDATE_INTERVAL",
        value_name = "TIME",
        default_value = "12h",
        global = true,
        hide_short_help = true
    )]
    cvs_update_interval: String,

    /// After so many failures in a row an import is FAILING (section 5)
    #[arg(
        long,
        env = "CODE_IMPORTS_FAILURE_LIMIT",
        value_name = "COUNT",
        default_value = "5",
        global = true,
        hide_short_help = true
    )]
    failure_limit: String,

    /// The second retry after trouble of our own waits so long, the next twice that, and so on (section 5)
    #[arg(
        long,
        env = "CODE_IMPORTS_INFRASTRUCTURE_BACKOFF",
        value_name = "TIME",
        default_value = "5min",
        global = true,
        hide_short_help = true
    )]
    infrastructure_backoff: String,

    /// After so much silence a running job is reclaimed (section 4)
    #[arg(
        long,
        env = "CODE_IMPORTS_HEARTBEAT_TIMEOUT",
        value_name = "TIME",
        default_value = "300s",
        global = true,
        hide_short_help = true
    )]
    heartbeat_timeout: String,

    /// After so much silence a machine goes OFFLINE (section 7)
    #[arg(
        long,
        env = "CODE_IMPORTS_MACHINE_TIMEOUT",
        value_name = "TIME",
        default_value = "300s",
        global = true,
        hide_short_help = true
    )]
    machine_timeout: String,

    /// A machine is QUIESCING for at least so long before it counts as drained (section 7)
    #[arg(
        long,
        env = "CODE_IMPORTS_QUIESCE_GRACE",
        value_name = "TIME",
        default_value = "30s",
        global = true,
        hide_short_help = true
    )]
    quiesce_grace: String,

    /// A job that was handed out and not started within this is handed out again (section 9)
    #[arg(
        long,
        env = "CODE_IMPORTS_DISPATCH_TIMEOUT",
        value_name = "TIME",
        default_value = "10min",
        global = true,
        hide_short_help = true
    )]
    dispatch_timeout: String,

    #[command(flatten)]
    sources: SourceArgs,
}

impl PolicyArgs {
    pub(super) fn check(&self, check: &mut Check) -> Policy {
        let mut time = |flag, text| delta(check.duration(flag, text, SECOND..=LONGEST));
        Policy {
            update_interval: time("update-interval", &self.update_interval),
            cvs_update_interval: time("cvs-update-interval", &self.cvs_update_interval),
            infrastructure_backoff: time("infrastructure-backoff", &self.infrastructure_backoff),
            heartbeat_timeout: time("heartbeat-timeout", &self.heartbeat_timeout),
            machine_timeout: time("machine-timeout", &self.machine_timeout),
            dispatch_timeout: time("dispatch-timeout", &self.dispatch_timeout),
            quiesce_grace: delta(check.duration(
                "quiesce-grace",
                &self.quiesce_grace,
                Duration::ZERO..=LONGEST,
            )),
            failure_limit: check.number("failure-limit", &self.failure_limit, 1..=1_000_000),
            sources: self.sources.check(check),
        }
    }
}

/// What may be imported (section 8). Workers ask again, so they must be told the same.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sources (the same for `serve`, `worker` and the command line)")]
pub struct SourceArgs {
    /// Schemes that are allowed beyond the usual ones, with commas between: file, ssh, svn+ssh, bzr+ssh
    /// (section 8) [default: none]
    #[arg(
        long,
        env = "CODE_IMPORTS_EXTRA_SCHEMES",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true,
        global = true,
        hide_short_help = true
    )]
    extra_schemes: String,

    /// Hosts from which, and from below which, nothing is imported, with commas between (section 8)
    /// [default: localhost and this host's name]
    #[arg(
        long,
        env = "CODE_IMPORTS_BLOCKED_HOSTS",
        value_name = "LIST",
        global = true,
        hide_short_help = true
    )]
    blocked_hosts: Option<String>,

    /// Networks that are allowed although their addresses are loopback, private or otherwise special, with
    /// commas between: 10.1.0.0/16,fd00::/8 (section 8) [default: none]
    #[arg(
        long,
        env = "CODE_IMPORTS_ALLOWED_NETWORKS",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true,
        global = true,
        hide_short_help = true
    )]
    allowed_networks: String,
}

impl SourceArgs {
    pub(super) fn check(&self, check: &mut Check) -> SourcePolicy {
        let schemes = "some of file, ssh, svn+ssh, bzr+ssh with commas between";
        SourcePolicy {
            extra_schemes: check.list("extra-schemes", &self.extra_schemes, schemes),
            blocked_hosts: match &self.blocked_hosts {
                Some(hosts) => check.list("blocked-hosts", hosts, "host names with commas between"),
                None => own_hosts(),
            },
            allowed_networks: check.list(
                "allowed-networks",
                &self.allowed_networks,
                "networks like 10.1.0.0/16 with commas between",
            ),
        }
    }
}

/// What is blocked unless somebody says otherwise: `localhost` and this host.
fn own_hosts() -> Vec<BlockedHost> {
    let own = own_hostname().and_then(|name| name.as_str().parse().ok());
    [BlockedHost::localhost()].into_iter().chain(own).collect()
}

/// What was checked to be at most ten years fits.
pub(super) fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}
