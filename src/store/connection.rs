//! Connections to PostgreSQL, each set up so that nothing of ours can hang or hold a lock for long.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::future::poll_fn;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Error;

/// How long connecting may take, over all hosts of the list.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A coordinator that is stopped inside a transaction holds the event counter; the server ends it.
const LIMITS: &str = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=5s";

/// Where the database is, as `DATABASE_URL` says: one host or several, for a standby.
#[derive(Clone)]
pub struct DatabaseUrl(Config);

/// What is wrong with the setting.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE_URL: expected postgres://user:password@host[:port]/database ({0})")]
pub struct BadDatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = BadDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, BadDatabaseUrl> {
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
        let options = config.get_options().map_or(LIMITS.to_owned(), |options| format!("{LIMITS} {options}"));
        config
            .options(options)
            .target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite)
            .connect_timeout(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3);
        Ok(Self(config))
    }
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
        let hosts: Vec<String> = self.0.get_hosts().iter().map(host).collect();
        let ports: Vec<String> = self.0.get_ports().iter().map(ToString::to_string).collect();
        format!("{}:{}/{}", hosts.join(","), ports.join(","), self.0.get_dbname().unwrap_or_default())
    }

    /// The same with one more server setting, for connections with other limits.
    pub(super) fn with_option(&self, option: &str) -> Self {
        let mut config = self.0.clone();
        let options = format!("{} -c {option}", config.get_options().unwrap_or_default());
        config.options(options);
        Self(config)
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
        let mut config = url.0.clone();
        config.application_name(format!("code-imports {name} {}", env!("CARGO_PKG_VERSION")));
        let connecting = async {
            if config.get_ssl_mode() == SslMode::Disable {
                connect(&config, NoTls).await
            } else {
                let none = "no certificate of an authority could be loaded; is ca-certificates installed?";
                let (tls, _) = MakeRustlsConnect::with_native_certs()
                    .map_err(|_| Error::Connect { hosts: url.hosts(), reason: none.to_owned() })?;
                connect(&config, tls).await
            }
        };
        let late = |_| Error::Connect {
            hosts: url.hosts(),
            reason: format!("no answer within {CONNECT_TIMEOUT:?}"),
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?.map_err(|error| match error {
            Error::Connect { reason, .. } => Error::Connect { hosts: url.hosts(), reason },
            other => other,
        })
    }

    /// Whether the server has warned since it was last asked. A COMMIT that was cancelled while it waited
    /// for the standby reports success, with a warning.
    pub(super) fn take_warning(&self) -> bool {
        self.has_warned.swap(false, Ordering::Relaxed)
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<Link, Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: TlsConnect<Socket>,
{
    let failed = |error: &dyn std::error::Error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Error::Connect { hosts: String::new(), reason: format!("{error}{cause}") }
    };
    let (client, mut driver) = config.connect(tls).await.map_err(|error| failed(&error))?;
    let has_warned = Arc::new(AtomicBool::new(false));
    let warned = Arc::clone(&has_warned);
    // It ends with the client, or with the server, whose last words the client's next call returns.
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message
                && notice.severity() == "WARNING"
            {
                warned.store(true, Ordering::Relaxed);
                tracing::warn!(notice = notice.message(), "the database warned");
            }
        }
    });
    let connection = AsyncPgConnection::try_from(client).await.map_err(|error| failed(&error))?;
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
    fn a_url_without_host_or_database_is_refused_with_what_was_expected() {
        for bad in ["", "nonsense", "postgres://", "postgres://host", "mysql://host/db"] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains("expected postgres://user:password@host"), "{bad}: {error}");
        }
    }
}
