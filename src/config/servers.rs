//! Where PostgreSQL and RabbitMQ are.

use clap::Args;

use super::{Check, Invalid};
use crate::broker::AmqpUrls;
use crate::broker::console::{Console, ConsoleUrl};
use crate::store::DatabaseUrl;

/// The longest prefix: a queue's name has at most 255 bytes.
const MAX_PREFIX_BYTES: usize = 100;

/// Where the database is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct DatabaseArgs {
    /// Where PostgreSQL is: `postgres://user:password@host:port/database`; several hosts, with commas between,
    /// where there is a standby. Better in the environment: everybody sees a flag
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", global = true)]
    database_url: Option<String>,
}

impl DatabaseArgs {
    /// Reads the setting alone.
    pub fn read(&self) -> Result<DatabaseUrl, Invalid> {
        let mut check = Check::default();
        let url = self.check(&mut check);
        check.finish(url)
    }

    pub(super) fn check(&self, check: &mut Check) -> Option<DatabaseUrl> {
        let Some(url) = self.database_url.as_deref().filter(|url| !url.is_empty()) else {
            check.note(
                "DATABASE_URL is not set: say where PostgreSQL is, postgres://user:password@host[:port]/database; \
                `make services` starts a private one and prints its address",
            );
            return None;
        };
        let setting = setting("DATABASE_URL", "--database-url", url);
        let parsed =
            url.parse::<DatabaseUrl>().map_err(|error| check.note(format!("{setting}: {error}"))).ok()?;
        parsed.check_files().map_err(|error| check.note(format!("{setting}: {error}"))).ok()?;
        Some(parsed.said_by(setting))
    }
}

/// By which of the two a value was set, for whoever has to mend it: the flag counts over the environment, so a value
/// that the environment does not have is the flag's.
fn setting(variable: &'static str, flag: &'static str, value: &str) -> &'static str {
    if std::env::var_os(variable).is_some_and(|set| set == value) { variable } else { flag }
}

/// Reads where the broker is.
fn urls(urls: &str, check: &mut Check) -> Option<AmqpUrls> {
    let setting = setting("AMQP_URL", "--amqp-url", urls);
    let parsed = urls.parse::<AmqpUrls>().map_err(|error| check.note(format!("{setting}: {error}"))).ok()?;
    parsed.check_files().map_err(|error| check.note(format!("{setting}: {error}"))).ok()?;
    Some(parsed.said_by(setting))
}

/// Where the broker is, and what our things are called there.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct BrokerArgs {
    /// Where RabbitMQ is: `amqp://user:password@host:port/vhost`, or `amqps`; several, with commas between, for a
    /// cluster. Better in the environment: everybody sees a flag
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL", global = true)]
    amqp_url: Option<String>,

    /// What the name of every exchange and queue begins with
    #[arg(
        long,
        env = "CODE_IMPORTS_PREFIX",
        value_name = "NAME",
        default_value = "code-imports",
        global = true
    )]
    prefix: String,
}

impl BrokerArgs {
    /// Reads the settings alone.
    pub fn read(&self) -> Result<(AmqpUrls, String), Invalid> {
        let mut check = Check::default();
        let settings = self.check(&mut check);
        check.finish(settings)
    }

    /// Reads the settings of those who do not connect: the prefix, and where the broker is if that is said.
    pub fn read_names(&self) -> Result<(Option<AmqpUrls>, String), Invalid> {
        let mut check = Check::default();
        let prefix = self.check_prefix(&mut check);
        let said = self.amqp_url.as_deref().filter(|urls| !urls.is_empty());
        let urls = said.and_then(|said| urls(said, &mut check));
        check.finish(Some((urls, prefix)))
    }

    fn check_prefix(&self, check: &mut Check) -> String {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let prefix = &self.prefix;
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES || !prefix.bytes().all(is_plain) {
            let rule = "1 to 100 letters, digits, - _ and .";
            check.wrong("prefix", format!("expected {rule}, not {prefix:?}"));
        }
        prefix.clone()
    }

    pub(super) fn check(&self, check: &mut Check) -> Option<(AmqpUrls, String)> {
        let prefix = self.check_prefix(check);
        let Some(said) = self.amqp_url.as_deref().filter(|urls| !urls.is_empty()) else {
            check.note(
                "AMQP_URL is not set: say where RabbitMQ is, amqp[s]://user:password@host[:port]/vhost; \
                `make services` starts a private one and prints its address",
            );
            return None;
        };
        Some((urls(said, check)?, prefix))
    }
}

/// Where the broker's console is, for what AMQP knows nothing of.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct ConsoleArgs {
    #[command(flatten)]
    broker: BrokerArgs,

    /// Where RabbitMQ's console is: `http[s]://[user:password@]host:port`; without an account, that of AMQP_URL logs in
    #[arg(long, env = "AMQP_CONSOLE_URL", hide_env_values = true, value_name = "URL", global = true)]
    console_url: Option<String>,
}

impl ConsoleArgs {
    /// Reads where the broker is, and its console if that is said.
    pub fn read(&self) -> Result<(AmqpUrls, String, Option<Console>), Invalid> {
        let mut check = Check::default();
        let broker = self.broker.check(&mut check);
        let console = self.check(&mut check);
        let settings = broker.map(|(urls, prefix)| {
            let console = console.map(|url| Console::new(&url, &urls));
            (urls, prefix, console)
        });
        check.finish(settings)
    }

    /// Reads the settings of those who do not connect.
    pub fn read_names(&self) -> Result<(Option<AmqpUrls>, String), Invalid> {
        self.broker.read_names()
    }

    fn check(&self, check: &mut Check) -> Option<ConsoleUrl> {
        let said = self.console_url.as_deref().filter(|url| !url.is_empty())?;
        let setting = setting("AMQP_CONSOLE_URL", "--console-url", said);
        said.parse().map_err(|error| check.note(format!("{setting}: {error}"))).ok()
    }
}
