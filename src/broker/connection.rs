//! One connection, made anew when somebody needs it and it is dead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, ErrorKind, Event};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{Error, GOODBYE_LIMIT, in_time};
use crate::tls::{self, Files, Unreadable};

/// How long connecting to one host may take; lapin ignores the limit in the URL. Three of a list take less than
/// what waits for a connection is given.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest frame, unless the URL says another: what RabbitMQ offers. A header is one frame, so a smaller one would
/// break the connection that reads the headers of others. lapin's buffers hold 32 frames each way; of a size that is
/// known from the beginning they take memory only as they are used, else they are filled with zeros, 8 MiB a
/// connection.
const FRAME_MAX_BYTES: u32 = 131_072;

/// A vanished peer is noticed after twice this.
const HEARTBEAT_SECONDS: u16 = 10;

/// Where the broker is: one URL or several with commas between, for a cluster.
#[derive(Clone)]
pub struct AmqpUrls {
    places: Vec<Place>,
    /// The index of the one that answered last; all clones share it. The others are tried after it, in turn: a node
    /// that hangs is waited for once, and not by every connection.
    answered: Arc<AtomicUsize>,
    said_by: &'static str,
}

/// One URL.
#[derive(Clone)]
struct Place {
    uri: AMQPUri,
    files: Files,
}

/// What is wrong with the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAmqpUrl(String);

impl AmqpUrls {
    /// The account of the first URL.
    #[must_use]
    pub fn account(&self) -> &str {
        self.first().map_or("", |uri| &uri.authority.userinfo.username)
    }

    /// The virtual host of the first URL.
    #[must_use]
    pub fn vhost(&self) -> Option<&str> {
        self.first().map(|uri| uri.vhost.as_str())
    }

    /// Host and port of the first URL, unless one has to speak TLS there.
    pub(super) fn plain_address(&self) -> Option<String> {
        let uri = self.first().filter(|uri| uri.scheme == AMQPScheme::AMQP)?;
        Some(format!("{}:{}", uri.authority.host, uri.authority.port))
    }

    /// The account and its password, for whoever is to log in at the console.
    #[must_use]
    pub fn login(&self) -> (&str, &str) {
        let login = self.first().map(|uri| &uri.authority.userinfo);
        login.map_or(("", ""), |login| (&login.username, &login.password))
    }

    /// Every `host:port/vhost`, without passwords.
    #[must_use]
    pub fn hosts(&self) -> String {
        let address = |place: &Place| format!("{}/{}", place.host(), place.uri.vhost);
        self.places.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// All of them with their indices, beginning with the one that answered last.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &Place)> {
        let first = self.answered.load(Ordering::Relaxed);
        self.places.iter().enumerate().cycle().skip(first).take(self.places.len())
    }

    /// The URL by which another account connects, with `PASSWORD` where its password belongs.
    #[must_use]
    pub fn of_account(&self, account: &str) -> String {
        let url = |place: &Place| {
            let uri = &place.uri;
            let scheme = if uri.scheme == AMQPScheme::AMQPS { "amqps" } else { "amqp" };
            let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let account = account.replace('/', "%2F");
            let (host, port) = (&uri.authority.host, uri.authority.port);
            format!("{scheme}://{account}:PASSWORD@{host}:{port}/{}", escaped(&uri.vhost))
        };
        self.places.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// The files of certificates that the first URL names.
    pub(super) fn files(&self) -> Files {
        self.places.first().map(|place| place.files.clone()).unwrap_or_default()
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
        let mut secure = self.places.iter().filter(|place| place.uri.scheme == AMQPScheme::AMQPS);
        secure.try_for_each(|place| place.files.client(tls::AMQP).map(drop))
    }

    fn first(&self) -> Option<&AMQPUri> {
        self.places.first().map(|place| &place.uri)
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
        let places: Result<Vec<_>, _> = list.split(',').map(|url| place(url.trim())).collect();
        places.map(|places| Self { places, answered: Arc::default(), said_by: "" })
    }
}

/// Reads one URL, and refuses the forms that lapin would take for something else.
fn place(url: &str) -> Result<Place, BadAmqpUrl> {
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
    let mut files = Files::default();
    let parameters = url::Url::parse(url).map_err(|error| BadAmqpUrl(format!("{expected} ({error})")))?;
    for (name, value) in parameters.query_pairs() {
        let is_certificate = files.take(tls::AMQP, &name, &value);
        if is_certificate && uri.scheme != AMQPScheme::AMQPS {
            return Err(BadAmqpUrl(format!("{name} means nothing without TLS; begin it with amqps://")));
        }
        if name == "verify" && value != "verify_peer" {
            return Err(BadAmqpUrl(format!("verify={value}: the broker is always verified (verify_peer)")));
        }
    }
    Ok(Place { uri, files })
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

    /// Connects to the first host that takes us. If none does, one that refused us is told of rather than one that is
    /// not there.
    async fn connect(&self) -> Result<Connection, Error> {
        let mut reasons = Vec::new();
        let mut refused = None;
        for (index, place) in self.urls.in_turn() {
            let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
            let there = place.clone();
            let connecting = self.runtime.spawn(async move { there.connect(properties).await });
            match tokio::time::timeout(CONNECT_TIMEOUT, AbortOnDropHandle::new(connecting)).await {
                Ok(Ok(Ok(connection))) => {
                    self.note_answer(index, place, &reasons);
                    self.listen(&connection);
                    return Ok(connection);
                }
                Ok(Ok(Err(Failed::Refused(reason)))) => {
                    let account = place.uri.authority.userinfo.username.clone();
                    reasons.push(self.of_host(place, reason.clone()));
                    refused.get_or_insert(Error::Refused { host: place.host(), account, reason });
                }
                Ok(Ok(Err(Failed::Unreachable(reason)))) => reasons.push(self.of_host(place, reason)),
                Ok(Err(ended)) => reasons.push(self.of_host(place, ended.to_string())),
                Err(_) => reasons.push(self.of_host(place, format!("no answer within {CONNECT_TIMEOUT:?}"))),
            }
        }
        let mut reason = reasons.join("; ");
        if !self.urls.said_by.is_empty() {
            reason = format!("{reason} (the address is from {})", self.urls.said_by);
        }
        Err(refused.unwrap_or(Error::Connect { hosts: self.urls.hosts(), reason }))
    }

    /// A reason with the host that it is from, where there are several.
    fn of_host(&self, place: &Place, reason: String) -> String {
        if self.urls.places.len() > 1 { format!("{}: {reason}", place.host()) } else { reason }
    }

    /// Remembers which host answers. A change is said once, whoever of us meets it first.
    fn note_answer(&self, index: usize, place: &Place, reasons: &[String]) {
        if self.urls.answered.swap(index, Ordering::Relaxed) != index {
            let (host, reasons) = (place.host(), reasons.join("; "));
            tracing::warn!(host, reasons, "went over to RabbitMQ at {host}: {reasons}");
        }
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

/// Why a host does not take us.
enum Failed {
    /// It knows who we are, or wants to, and says no.
    Refused(String),
    /// It cannot be spoken to.
    Unreachable(String),
}

impl Place {
    /// Its host and port, without the password.
    fn host(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    async fn connect(&self, properties: ConnectionProperties) -> Result<Connection, Failed> {
        let uri = self.uri.clone();
        let is_secure = uri.scheme == AMQPScheme::AMQPS;
        let connected = if is_secure {
            let client =
                self.files.client(tls::AMQP).map_err(|error| Failed::Unreachable(error.to_string()))?;
            // Boxed, or every future that may connect would be as large as a handshake.
            Box::pin(connect_securely(uri, client, properties)).await
        } else {
            Connection::connect_uri(uri, properties).await
        };
        connected.map_err(|error| {
            if let ErrorKind::ProtocolError(reason) = error.kind() {
                return Failed::Refused(reason.get_message().to_string());
            }
            let failure = error.to_string();
            let hung_up = || tls::hung_up(tls::AMQP, &failure).filter(|_| is_secure);
            let remedy = tls::remedy(tls::AMQP, &failure).or_else(hung_up);
            Failed::Unreachable(remedy.map_or(failure.clone(), |remedy| format!("{failure}; {remedy}")))
        })
    }
}

/// Connects with a client of our own: lapin's would trust the system's authorities beside those that are named.
async fn connect_securely(
    uri: AMQPUri,
    client: Arc<ClientConfig>,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    let connector = RustlsConnector::from(client);
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        uri,
        runtime,
        async move |uri: AMQPUri, runtime| {
            let host = uri.authority.host.clone();
            let addresses = runtime.to_socket_addrs((host.clone(), uri.authority.port));
            let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
            Ok(stream.into_rustls(&connector, &host).await?)
        },
        properties,
    )
    .await
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
    fn the_url_of_another_account_has_a_place_for_its_password() {
        let urls: AmqpUrls =
            "amqps://me:secret@a/%2f?cacertfile=/ca.pem,amqp://me:secret@b:1/ci".parse().unwrap();
        let other = urls.of_account("bazaar-importer");
        assert_eq!(
            other,
            "amqps://bazaar-importer:PASSWORD@a:5671/%2F,amqp://bazaar-importer:PASSWORD@b:1/ci"
        );
        assert_eq!(urls.files().authorities, Some("/ca.pem".into()));
    }

    #[test]
    fn the_one_that_answered_last_is_tried_first_and_then_the_others_in_turn() {
        let urls: AmqpUrls = "amqp://a/%2f,amqp://b/%2f,amqp://c/%2f".parse().unwrap();
        let hosts = || urls.in_turn().map(|(_, place)| place.host()).collect::<Vec<_>>();
        assert_eq!(hosts(), ["a:5672", "b:5672", "c:5672"]);
        urls.clone().answered.store(1, Ordering::Relaxed);
        assert_eq!(hosts(), ["b:5672", "c:5672", "a:5672"]);
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
        check("amqp://host/x?cacertfile=/ca.pem", "begin it with amqps://");
        check("amqps://host/x?verify=verify_none", "always verified");
    }
}
