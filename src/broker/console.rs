//! The management API, by which the console works: accounts, what they may do, and policies, of which AMQP knows
//! nothing.
//!
//! Only people's tools ask it, a few questions each, so its calls block a thread of their own for a moment.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use url::Url;

use super::accounts::Password;
use super::definitions::Permissions;
use super::{AmqpUrls, Error};
use crate::tls::{self, Certificates, Files, Unreadable};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Where the console is, and who logs in there if that is said.
#[derive(Clone)]
pub struct ConsoleUrl {
    base: Url,
    login: Option<(String, String)>,
    files: Files,
}

/// What is wrong with the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http[s]://[user:password@]host[:port] ({0})")]
pub struct BadConsoleUrl(String);

impl std::str::FromStr for ConsoleUrl {
    type Err = BadConsoleUrl;

    fn from_str(text: &str) -> Result<Self, BadConsoleUrl> {
        let mut base: Url = text.parse().map_err(|error| BadConsoleUrl(format!("{error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(BadConsoleUrl("it begins with neither http:// nor https://".to_owned()));
        }
        let decoded = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8();
            text.map(|text| text.to_string()).map_err(|error| BadConsoleUrl(error.to_string()))
        };
        let login = match base.password() {
            Some(password) => Some((decoded(base.username())?, decoded(password)?)),
            None => None,
        };
        let mut files = Files::default();
        for (name, value) in base.query_pairs() {
            if !files.take(tls::AMQP, &name, &value) {
                return Err(BadConsoleUrl(format!("{name} means nothing here")));
            }
        }
        if files != Files::default() && base.scheme() != "https" {
            return Err(BadConsoleUrl(
                "certificates mean nothing without TLS; begin it with https://".to_owned(),
            ));
        }
        let plain = base.set_username("").and_then(|()| base.set_password(None));
        plain.map_err(|()| BadConsoleUrl("it names no host".to_owned()))?;
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base, login, files })
    }
}

impl std::fmt::Debug for ConsoleUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConsoleUrl({})", self.base)
    }
}

/// The console, and who asks it.
pub struct Console {
    base: String,
    account: String,
    authorization: String,
    is_secure: bool,
    files: Files,
}

/// An account, as the broker keeps it.
#[derive(Clone, Deserialize)]
pub(super) struct User {
    pub(super) tags: Vec<String>,
    password_hash: String,
    hashing_algorithm: Option<String>,
}

impl User {
    /// Whether the console lets it see what this tag says; an administrator sees all.
    pub(super) fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|it| it == tag || it == "administrator")
    }
}

/// What an account may do in a virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Permitted {
    pub(super) user: String,
    pub(super) vhost: String,
    #[serde(flatten)]
    pub(super) permissions: Permissions,
}

impl Console {
    /// Knows a console; nothing is asked yet. Who logs in is the account of `AMQP_URL`, and certificates are those of
    /// there, unless the console's address says otherwise.
    #[must_use]
    pub fn new(url: &ConsoleUrl, urls: &AmqpUrls) -> Self {
        let login = url.login.clone();
        let (account, password) =
            login.unwrap_or_else(|| (urls.login().0.to_owned(), urls.login().1.to_owned()));
        let login = data_encoding::BASE64.encode(format!("{account}:{password}").as_bytes());
        let files = if url.files == Files::default() { urls.files() } else { url.files.clone() };
        Self {
            base: url.base.as_str().trim_end_matches('/').to_owned(),
            account,
            authorization: format!("Basic {login}"),
            is_secure: url.base.scheme() == "https",
            files,
        }
    }

    pub(super) async fn has_vhost(&self, vhost: &str) -> Result<bool, Error> {
        Ok(self.get::<Value>(&["vhosts", vhost]).await?.is_some())
    }

    pub(super) async fn put_vhost(&self, vhost: &str) -> Result<(), Error> {
        self.put(&["vhosts", vhost], json!({})).await
    }

    pub(super) async fn user(&self, name: &str) -> Result<Option<User>, Error> {
        self.get(&["users", name]).await
    }

    pub(super) async fn put_user(&self, name: &str, password: &Password, tags: &[&str]) -> Result<(), Error> {
        self.put(&["users", name], json!({"password": password.reveal(), "tags": tags.join(",")})).await
    }

    /// Sets the tags of an account, and leaves its password as it is.
    pub(super) async fn put_tags(&self, name: &str, user: &User, tags: &[String]) -> Result<(), Error> {
        let mut body = json!({"password_hash": user.password_hash, "tags": tags.join(",")});
        if let (Some(algorithm), Some(body)) = (&user.hashing_algorithm, body.as_object_mut()) {
            body.insert("hashing_algorithm".to_owned(), algorithm.as_str().into());
        }
        self.put(&["users", name], body).await
    }

    pub(super) async fn delete_user(&self, name: &str) -> Result<(), Error> {
        self.ask(Method::DELETE, &["users", name], None).await.map(drop)
    }

    /// Closes every connection of an account, and says how many there were that the console knew of. It answers 500
    /// where one of them ends at that moment, by itself or with its account: then the others are closed by asking once
    /// more.
    pub(super) async fn close_connections(&self, account: &str) -> Result<usize, Error> {
        let path = ["connections", "username", account];
        let open: Vec<Value> = self.get(&path).await?.unwrap_or_default();
        if self.ask(Method::DELETE, &path, None).await.is_err() {
            self.ask(Method::DELETE, &path, None).await?;
        }
        Ok(open.len())
    }

    /// What an account may do, in every virtual host.
    pub(super) async fn permissions_of(&self, account: &str) -> Result<Vec<Permitted>, Error> {
        Ok(self.get(&["users", account, "permissions"]).await?.unwrap_or_default())
    }

    /// Who may do what in a virtual host.
    pub(super) async fn permissions_in(&self, vhost: &str) -> Result<Vec<Permitted>, Error> {
        Ok(self.get(&["vhosts", vhost, "permissions"]).await?.unwrap_or_default())
    }

    pub(super) async fn put_permissions(
        &self,
        vhost: &str,
        account: &str,
        permissions: &Permissions,
    ) -> Result<(), Error> {
        self.put(&["permissions", vhost, account], json!(permissions)).await
    }

    pub(super) async fn policies(&self, vhost: &str) -> Result<Vec<Value>, Error> {
        Ok(self.get(&["policies", vhost]).await?.unwrap_or_default())
    }

    pub(super) async fn put_policy(&self, vhost: &str, name: &str, policy: Value) -> Result<(), Error> {
        self.put(&["policies", vhost, name], policy).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, Error> {
        let Some(answer) = self.ask(Method::GET, path, None).await? else { return Ok(None) };
        let read = serde_json::from_str(&answer);
        read.map(Some).map_err(|error| Error::Console(format!("its answer to /{}: {error}", path.join("/"))))
    }

    async fn put(&self, path: &[&str], body: Value) -> Result<(), Error> {
        self.ask(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// Asks one thing; none if there is no such thing.
    async fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Option<String>, Error> {
        let segment = |text: &&str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let path = path.iter().map(segment).collect::<Vec<_>>().join("/");
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("{}/api/{path}", self.base))
            .header("Authorization", &self.authorization)
            .header("Content-Type", "application/json")
            .body(body.map(|body| body.to_string()).unwrap_or_default());
        let request = request.map_err(|error| self.unreachable(&error.to_string()))?;
        let agent = self.agent().map_err(|error| self.unreachable(&error.to_string()))?;
        let asking = tokio::task::spawn_blocking(move || {
            let mut answer = agent.run(request)?;
            Ok::<_, ureq::Error>((answer.status().as_u16(), answer.body_mut().read_to_string()?))
        });
        let asked = asking.await.map_err(|error| self.unreachable(&error.to_string()))?;
        match asked.map_err(|error| self.unreachable(&error.to_string()))? {
            (200..=299, answer) => Ok(Some(answer)),
            (404, _) => Ok(None),
            (401 | 403, answer) => Err(Error::Refused {
                host: self.base.clone(),
                account: self.account.clone(),
                reason: format!(
                    "{}; accounts and policies need one with the tag administrator",
                    said(&answer)
                ),
            }),
            (status, answer) => {
                Err(Error::Console(format!("it answered {status} to {method} /{path}: {}", said(&answer))))
            }
        }
    }

    fn unreachable(&self, failure: &str) -> Error {
        let hung_up = || tls::hung_up(tls::AMQP, failure).filter(|_| self.is_secure);
        let remedy = tls::remedy(tls::AMQP, failure).or_else(hung_up);
        let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        Error::Connect { hosts: format!("the console {}", self.base), reason: format!("{failure}{remedy}") }
    }

    /// The client. It goes where it is told and nowhere else: no redirection or proxy gets the password.
    fn agent(&self) -> Result<Agent, Unreadable> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(LIMIT));
        if self.is_secure {
            config = config.tls_config(secure(self.files.read(tls::AMQP)?)?);
        }
        Ok(config.build().new_agent())
    }
}

fn secure(certificates: Certificates) -> Result<TlsConfig, Unreadable> {
    let of_der = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
    let roots: Vec<_> = certificates.authorities.iter().map(of_der).collect();
    let own = match certificates.own {
        Some(own) => {
            let chain: Vec<_> = own.chain.iter().map(of_der).collect();
            let key = PrivateKey::from_pem(&own.key_pem).map_err(Unreadable::new)?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
        None => None,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).client_cert(own);
    Ok(config.unversioned_rustls_crypto_provider(provider).build())
}

/// What an answer says, in one line: `{"error": …, "reason": …}`, or whatever a proxy says in its place.
fn said(answer: &str) -> String {
    let parsed: Value = serde_json::from_str(answer).unwrap_or_default();
    let reason = parsed.get("reason").and_then(Value::as_str).unwrap_or(answer);
    crate::protocol::beginning_of(reason, 300).lines().collect::<Vec<_>>().join(" ")
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("base", &self.base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_in_is_the_account_of_the_broker_unless_the_address_says_another() {
        let urls: AmqpUrls = "amqps://me:secret@a/%2f?cacertfile=/ca.pem".parse().unwrap();
        let console = |url: &str| Console::new(&url.parse().unwrap(), &urls);
        let same = console("https://a:15671/");
        assert_eq!((same.base.as_str(), same.account.as_str()), ("https://a:15671", "me"));
        assert_eq!(same.files.authorities, Some("/ca.pem".into()));
        let other = console("http://admin:p%40ss@b/console");
        assert_eq!((other.base.as_str(), other.account.as_str()), ("http://b/console", "admin"));
        assert_eq!(other.authorization, "Basic YWRtaW46cEBzcw==");
        let shown = format!("{other:?} {:?}", "http://admin:hidden@b".parse::<ConsoleUrl>());
        assert!(!shown.contains("hidden") && !shown.contains("YWRt"), "{shown}");
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for (url, expected) in [
            ("localhost:15672", "neither http:// nor https://"),
            ("nonsense", "expected http[s]://"),
            ("http://a/?cacertfile=x", "begin it with https://"),
            ("http://a/?verify=x", "verify means nothing here"),
        ] {
            let error = url.parse::<ConsoleUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
    }
}
