//! What only `serve` is told.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::policy::{PolicyArgs, delta};
use super::servers::{BrokerArgs, DatabaseArgs};
use super::{Check, DAY, Invalid, LONGEST, SECOND};
use crate::service::Settings;
use crate::store::Retention;

/// An echo that is 30 s old counts for nothing (section 10), so one must be sent more often.
const LONGEST_ECHO_INTERVAL: Duration = Duration::from_secs(29);

/// All that `serve` is told.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    loops: LoopArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Loops")]
struct LoopArgs {
    /// How often workers are asked for a heartbeat
    #[arg(long, env = "CODE_IMPORTS_HEARTBEAT_INTERVAL", value_name = "TIME", default_value = "30s")]
    heartbeat_interval: String,

    /// How often we send ourselves an echo and look for silence; below 30s (section 10)
    #[arg(long, env = "CODE_IMPORTS_ECHO_INTERVAL", value_name = "TIME", default_value = "10s")]
    echo_interval: String,

    /// The fewest work messages of an RCS that may lie ready (section 9)
    #[arg(long, env = "CODE_IMPORTS_WINDOW_MIN", value_name = "MESSAGES", default_value = "10")]
    window_min: String,

    /// The most work messages of an RCS that may lie ready (section 9)
    #[arg(long, env = "CODE_IMPORTS_WINDOW_MAX", value_name = "MESSAGES", default_value = "5000")]
    window_max: String,

    /// Let a machine's words count only with its own broker account, of its name, as their verified `user_id`
    #[arg(long, env = "CODE_IMPORTS_VERIFY_MACHINES")]
    verify_machines: bool,

    /// Where health, readiness and metrics are served: an address and port, or `none`
    #[arg(long, env = "CODE_IMPORTS_HTTP", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: String,
}

/// How long history is kept, and in what pieces.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "History")]
pub struct RetentionArgs {
    /// Results older than this are dropped
    #[arg(long, env = "CODE_IMPORTS_RETENTION_RESULTS", value_name = "TIME", default_value = "365d")]
    retention_results: String,

    /// Published events older than this are dropped
    #[arg(long, env = "CODE_IMPORTS_RETENTION_EVENTS", value_name = "TIME", default_value = "365d")]
    retention_events: String,

    /// A command that comes again within this is known, and answered the same (section 10)
    #[arg(long, env = "CODE_IMPORTS_RETENTION_COMMANDS", value_name = "TIME", default_value = "7d")]
    retention_commands: String,

    /// So many ids make a partition of the event log
    #[arg(
        long,
        env = "CODE_IMPORTS_EVENTS_PER_PARTITION",
        value_name = "EVENTS",
        default_value = "10000000"
    )]
    events_per_partition: String,
}

impl RetentionArgs {
    pub(super) fn check(&self, check: &mut Check) -> Retention {
        let mut days = |flag, text| delta(check.duration(flag, text, DAY..=LONGEST));
        Retention {
            results: days("retention-results", &self.retention_results),
            events: days("retention-events", &self.retention_events),
            applied_commands: days("retention-commands", &self.retention_commands),
            events_per_partition: check.number(
                "events-per-partition",
                &self.events_per_partition,
                1_000..=1_000_000_000_000,
            ),
        }
    }
}

impl ServeArgs {
    /// Reads and checks everything.
    pub fn read(&self) -> Result<Settings, Invalid> {
        let mut check = Check::default();
        let database = self.database.check(&mut check);
        let broker = self.broker.check(&mut check);
        let policy = self.policy.check(&mut check);
        let retention = self.retention.check(&mut check);
        let loops = &self.loops;
        let heartbeat_interval =
            check.duration("heartbeat-interval", &loops.heartbeat_interval, SECOND..=DAY);
        let echo_interval =
            check.duration("echo-interval", &loops.echo_interval, SECOND..=LONGEST_ECHO_INTERVAL);
        let window_min = check.number("window-min", &loops.window_min, 1..=1_000_000);
        let window_max = check.number("window-max", &loops.window_max, 1..=1_000_000);
        let http = loops.http(&mut check);

        let twice = delta(heartbeat_interval * 2);
        let too_short = "a timeout must be at least twice the interval, or a healthy job is reclaimed";
        check.require(
            ["heartbeat-timeout", "heartbeat-interval"],
            policy.heartbeat_timeout >= twice,
            too_short,
        );
        check.require(["machine-timeout", "heartbeat-interval"], policy.machine_timeout >= twice, too_short);
        check.require(["window-min", "window-max"], window_min <= window_max, "the first is larger");

        let settings = database.zip(broker).map(|(database, (amqp, prefix))| Settings {
            database,
            amqp,
            prefix,
            policy,
            heartbeat_interval,
            retention,
            window_min,
            window_max,
            echo_interval,
            verify_machines: loops.verify_machines,
            http,
        });
        check.finish(settings)
    }
}

impl LoopArgs {
    fn http(&self, check: &mut Check) -> Option<SocketAddr> {
        if self.http == "none" {
            return None;
        }
        let address = self.http.parse();
        address
            .map_err(|_| {
                check.wrong("http", format!("expected 127.0.0.1:8080 or none, not {:?}", self.http));
            })
            .ok()
    }
}
