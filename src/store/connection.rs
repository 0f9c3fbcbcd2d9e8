//! Connections to PostgreSQL, each set up so that nothing of ours can hang or hold a lock for long.

use std::error::Error as _;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::future::poll_fn;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Error;
use crate::tls::{self, Files, Unreadable};

/// How long connecting may take, over all hosts of the list.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The codes of what a server refuses for what we are: class 28 (who we are), a database that is not there, a right
/// that is missing. Whatever else it says at the door will pass.
const REFUSALS: [&str; 3] = ["28", "3D000", "42501"];

/// A coordinator that is stopped inside a transaction holds the event counter; the server ends it.
const LIMITS: &str = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=5s";

/// Where the database is, as `DATABASE_URL` says: one host or several, for a standby.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    files: Files,
    said_by: &'static str,
}

/// What is wrong with the setting.
#[derive(Debug, thiserror::Error)]
#[error("expected postgres://user:password@host[:port]/database ({0})")]
pub struct BadDatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = BadDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, BadDatabaseUrl> {
        let (url, files) = without_files(url)?;
        // rustls always verifies chain and name, which is what `verify-full` asks for; the driver does not
        // know the word.
        let driver_url = url.replace("sslmode=verify-full", "sslmode=require");
        let mut config: Config = driver_url.parse().map_err(|error| BadDatabaseUrl(format!("{error}")))?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(BadDatabaseUrl("it names no host or no database".to_owned()));
        }
        if !url.contains("sslmode=") {
            config.ssl_mode(SslMode::Disable);
        }
        if files != Files::default() && config.get_ssl_mode() != SslMode::Require {
            let useless = "certificates mean nothing without TLS; add sslmode=verify-full";
            return Err(BadDatabaseUrl(useless.to_owned()));
        }
        let options = config.get_options().map_or(LIMITS.to_owned(), |options| format!("{LIMITS} {options}"));
        config
            .options(options)
            .target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite)
            .connect_timeout(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3);
        Ok(Self { config, files, said_by: "" })
    }
}

/// Takes the names of files out of a URL: the driver does not know them.
fn without_files(url: &str) -> Result<(String, Files), BadDatabaseUrl> {
    let mut files = Files::default();
    let Some((address, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), files)) };
    let mut others = Vec::new();
    for parameter in parameters.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8();
        let value = value.map_err(|error| BadDatabaseUrl(format!("{name}: {error}")))?;
        if !files.take(tls::POSTGRESQL, name, &value) {
            others.push(parameter);
        }
    }
    let mark = if others.is_empty() { "" } else { "?" };
    Ok((format!("{address}{mark}{}", others.join("&")), files))
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatabaseUrl({})", self.hosts())
    }
}

impl DatabaseUrl {
    /// Every host and the database, without password.
    #[must_use]
    pub fn hosts(&self) -> String {
        let host = |host: &tokio_postgres::config::Host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host).collect();
        let ports: Vec<String> = self.config.get_ports().iter().map(ToString::to_string).collect();
        format!("{}:{}/{}", hosts.join(","), ports.join(","), self.config.get_dbname().unwrap_or_default())
    }

    /// The same with one more server setting, for connections with other limits.
    pub(super) fn with_option(&self, option: &str) -> Self {
        let mut config = self.config.clone();
        let options = format!("{} -c {option}", config.get_options().unwrap_or_default());
        config.options(options);
        Self { config, ..self.clone() }
    }

    /// Notes which setting it is from, for whoever has to mend it.
    #[must_use]
    pub fn said_by(self, setting: &'static str) -> Self {
        Self { said_by: setting, ..self }
    }

    /// Reads the certificates that are named, to tell at once what is wrong with them.
    ///
    /// # Errors
    /// Which file, and why.
    pub fn check_files(&self) -> Result<(), Unreadable> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            return Ok(());
        }
        self.files.client(tls::POSTGRESQL).map(drop)
    }

    /// What is told when nobody there can be spoken to.
    fn unreachable(&self, mut reason: String) -> Error {
        if !self.said_by.is_empty() {
            reason = format!("{reason} (the address is from {})", self.said_by);
        }
        Error::Connect { hosts: self.hosts(), reason }
    }
}

/// A connection, and whether the server has warned on it.
pub(super) struct Link {
    pub(super) connection: AsyncPgConnection,
    has_warned: Arc<AtomicBool>,
}

impl Link {
    /// Connects; `pg_stat_activity` shows `name`, and our version, by which `doctor` finds those of another.
    pub(super) async fn connect(url: &DatabaseUrl, name: &str) -> Result<Self, Error> {
        let mut config = url.config.clone();
        config.application_name(format!("code-imports {name} {}", env!("CARGO_PKG_VERSION")));
        let connecting = async {
            if config.get_ssl_mode() == SslMode::Disable {
                connect(&config, NoTls).await
            } else {
                let client = url.files.client(tls::POSTGRESQL);
                let client = client.map_err(|error| Failed::Unreachable(error.to_string()))?;
                connect(&config, MakeRustlsConnect::new(ClientConfig::clone(&client))).await
            }
        };
        let late = |_| url.unreachable(format!("no answer within {CONNECT_TIMEOUT:?}"));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?;
        connected.map_err(|failed| match failed {
            Failed::Refused(reason) => Error::TurnedAway { hosts: url.hosts(), reason },
            Failed::Unreachable(reason) => url.unreachable(reason),
        })
    }

    /// Whether the server has warned since it was last asked. A COMMIT that was cancelled while it waited
    /// for the standby reports success, with a warning.
    pub(super) fn take_warning(&self) -> bool {
        self.has_warned.swap(false, Ordering::Relaxed)
    }
}

/// Why the server does not take us.
enum Failed {
    /// It is there, and says no: the account, its password, its certificate or the database is wrong.
    Refused(String),
    /// It cannot be spoken to.
    Unreachable(String),
}

impl Failed {
    fn of(error: &tokio_postgres::Error) -> Self {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let failure = format!("{error}{cause}");
        let remedy = tls::remedy(tls::POSTGRESQL, &failure);
        let reason = remedy.map_or(failure.clone(), |remedy| format!("{failure}; {remedy}"));
        let is_refusal =
            error.code().is_some_and(|code| REFUSALS.iter().any(|it| code.code().starts_with(it)));
        if is_refusal { Self::Refused(reason) } else { Self::Unreachable(reason) }
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<Link, Failed>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: TlsConnect<Socket>,
{
    let (client, mut driver) = config.connect(tls).await.map_err(|error| Failed::of(&error))?;
    let has_warned = Arc::new(AtomicBool::new(false));
    let warned = Arc::clone(&has_warned);
    // It ends with the client, or with the server, whose last words the client's next call returns.
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
            // A ROLLBACK finds nothing to do behind a COMMIT that the server made one already, and says so.
            if let AsyncMessage::Notice(notice) = message
                && notice.severity() == "WARNING"
                && *notice.code() != SqlState::NO_ACTIVE_SQL_TRANSACTION
            {
                warned.store(true, Ordering::Relaxed);
                tracing::warn!(notice = notice.message(), "the database warned");
            }
        }
    });
    let connection = AsyncPgConnection::try_from(client).await;
    let connection = connection.map_err(|error| Failed::Unreachable(error.to_string()))?;
    Ok(Link { connection, has_warned })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url: DatabaseUrl = "postgres://me:secret@a:5432,b:5433/ci".parse().unwrap();
        assert_eq!(url.hosts(), "a,b:5432,5433/ci");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn files_of_certificates_are_taken_out_of_the_url() {
        let url = "postgres://me@a/ci?sslrootcert=/a%20b/ca.pem&sslmode=verify-full&sslcert=c&sslkey=k";
        let url: DatabaseUrl = url.parse().unwrap();
        assert_eq!(url.files.authorities, Some("/a b/ca.pem".into()));
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        let error = "postgres://me@a/ci?sslrootcert=x".parse::<DatabaseUrl>().unwrap_err().to_string();
        assert!(error.contains("add sslmode=verify-full"), "{error}");
    }

    #[test]
    fn a_url_without_host_or_database_is_refused_with_what_was_expected() {
        for bad in ["", "nonsense", "postgres://", "postgres://host", "mysql://host/db"] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains("expected postgres://user:password@host"), "{bad}: {error}");
        }
    }
}
