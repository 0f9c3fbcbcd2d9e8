//! One connection, made anew when somebody needs it and it is dead.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{Error, GOODBYE_LIMIT, in_time};

/// How long connecting to one host may take; lapin ignores the limit in the URL.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest frame, unless the URL says another: what RabbitMQ offers. A header is one frame, so a smaller one would
/// break the connection that reads the headers of others. lapin's buffers hold 32 frames each way; of a size that is
/// known from the beginning they take memory only as they are used, else they are filled with zeros, 8 MiB a
/// connection.
const FRAME_MAX_BYTES: u32 = 131_072;

/// A vanished peer is noticed after twice this.
const HEARTBEAT_SECONDS: u16 = 10;

/// Where the broker is: one URL or several with commas between, for a cluster.
#[derive(Clone)]
pub struct AmqpUrls(Vec<AMQPUri>);

/// What is wrong with the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AMQP_URL: {0}")]
pub struct BadAmqpUrl(String);

impl AmqpUrls {
    /// The account of the first URL.
    #[must_use]
    pub fn account(&self) -> &str {
        self.0.first().map_or("", |uri| &uri.authority.userinfo.username)
    }

    /// The virtual host of the first URL.
    #[must_use]
    pub fn vhost(&self) -> Option<&str> {
        self.0.first().map(|uri| uri.vhost.as_str())
    }

    /// The account and its password, for whoever is to log in at the console of a private broker.
    #[must_use]
    pub fn login(&self) -> (&str, &str) {
        let login = self.0.first().map(|uri| &uri.authority.userinfo);
        login.map_or(("", ""), |login| (&login.username, &login.password))
    }

    /// Every `host:port/vhost`, without passwords.
    #[must_use]
    pub fn hosts(&self) -> String {
        let host = |uri: &AMQPUri| format!("{}:{}/{}", uri.authority.host, uri.authority.port, uri.vhost);
        self.0.iter().map(host).collect::<Vec<_>>().join(",")
    }
}

impl std::fmt::Debug for AmqpUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AmqpUrls({})", self.hosts())
    }
}

impl std::str::FromStr for AmqpUrls {
    type Err = BadAmqpUrl;

    fn from_str(list: &str) -> Result<Self, BadAmqpUrl> {
        let uris: Result<Vec<_>, _> = list.split(',').map(|url| uri(url.trim())).collect();
        uris.map(Self)
    }
}

/// Reads one URL, and refuses the two forms that lapin would take for something else.
fn uri(url: &str) -> Result<AMQPUri, BadAmqpUrl> {
    let expected = "expected amqp[s]://user:password@host[:port]/vhost, several with commas between";
    if url.contains("://[") || url.contains("@[") {
        return Err(BadAmqpUrl("an IPv6 literal is not understood; use a host name".to_owned()));
    }
    let mut uri: AMQPUri = url.parse().map_err(|error| BadAmqpUrl(format!("{expected} ({error})")))?;
    if uri.vhost.is_empty() {
        return Err(BadAmqpUrl("the virtual host is empty; for the default one end it with /%2f".to_owned()));
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    uri.query.frame_max.get_or_insert(FRAME_MAX_BYTES);
    Ok(uri)
}

/// One connection.
pub(super) struct Link {
    urls: AmqpUrls,
    name: String,
    connection: Mutex<Option<Connection>>,
    blocked: Arc<SyncMutex<Option<String>>>,
    /// Where lapin's own tasks run: whoever connects first may be gone before the connection is.
    runtime: Handle,
}

impl Link {
    pub(super) fn new(urls: AmqpUrls, name: String, runtime: Handle) -> Self {
        Self { urls, name, connection: Mutex::new(None), blocked: Arc::default(), runtime }
    }

    /// A new channel; on a new connection where there is none that lives.
    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        let mut connection = self.connection.lock().await;
        // Taken, so that one on which this fails is not asked again.
        let alive = connection.take().filter(|connection| connection.status().connected());
        let alive = match alive {
            Some(alive) => alive,
            None => self.connect().await?,
        };
        let channel = in_time("opening a channel", async { Ok(alive.create_channel().await?) }).await?;
        *connection = Some(alive);
        Ok(channel)
    }

    /// Whether the broker has blocked it, and what it says of it.
    pub(super) fn blocked(&self) -> Option<String> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            // It may be dead already; then there is nobody to say goodbye to, and lapin waits for an answer
            // that does not come.
            let goodbye = connection.close(200, "goodbye".into());
            drop(tokio::time::timeout(GOODBYE_LIMIT, goodbye).await);
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let mut reason = String::from("no host is named");
        for uri in &self.urls.0 {
            let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
            let uri = uri.clone();
            let connecting = self.runtime.spawn(async { Connection::connect_uri(uri, properties).await });
            match tokio::time::timeout(CONNECT_TIMEOUT, AbortOnDropHandle::new(connecting)).await {
                Ok(Ok(Ok(connection))) => {
                    self.listen(&connection);
                    return Ok(connection);
                }
                Ok(Ok(Err(error))) => reason = error.to_string(),
                Ok(Err(ended)) => reason = ended.to_string(),
                Err(_) => reason = format!("no answer within {CONNECT_TIMEOUT:?}"),
            }
        }
        Err(Error::Connect { hosts: self.urls.hosts(), reason })
    }

    /// Notes when the broker blocks the connection; one listener a connection, since two would compete.
    fn listen(&self, connection: &Connection) {
        let mut events = connection.events_listener();
        let blocked = Arc::clone(&self.blocked);
        let name = self.name.clone();
        *blocked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.runtime.spawn(async move {
            while let Some(event) = events.next().await {
                let now = match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(connection = name, reason, "the broker blocked the connection");
                        Some(reason)
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!(connection = name, "the broker unblocked the connection");
                        None
                    }
                    _ => continue,
                };
                *blocked.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            *blocked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_urls_is_shown_without_passwords() {
        let urls: AmqpUrls = "amqp://me:secret@a/%2f, amqps://me:secret@b:5671/ci".parse().unwrap();
        assert_eq!(urls.hosts(), "a:5672//,b:5671/ci");
        assert_eq!(urls.account(), "me");
        assert!(!format!("{urls:?}").contains("secret"));
    }

    #[test]
    fn a_url_that_would_be_misunderstood_is_refused_with_the_remedy() {
        #[track_caller]
        fn check(url: &str, expected: &str) {
            let error = url.parse::<AmqpUrls>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("amqp://[::1]:5672/%2f", "use a host name");
        check("amqp://me:pw@[::1]/%2f", "use a host name");
        check("amqp://host/", "end it with /%2f");
        check("http://host/x", "expected amqp[s]://");
        check("", "expected amqp[s]://");
    }
}
