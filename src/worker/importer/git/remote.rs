//! The remote: checked, resolved, and bound to the addresses that were checked.

use std::net::{IpAddr, SocketAddr};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::domain::{RcsType, Source, SourcePolicy, Status};
use crate::worker::importer::failure::{Failure, Step};
use crate::worker::importer::process::Supervisor;

/// Answers git's question for user and password from the environment: neither is ever an argument.
///
/// `GIT_ASKPASS` would be given the user's name as part of its prompt, and an argument is for every eye.
const CREDENTIAL_HELPER: &str = r#"credential.helper=!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$CODE_IMPORTS_USER" "$CODE_IMPORTS_PASSWORD"; }; f"#;

/// For HTTP. A redirect would lead to an address that nobody checked. A server that counts objects sends a
/// byte a second; one that sends less for five minutes is dead.
const HTTP_OPTIONS: [&str; 3] =
    ["http.followRedirects=false", "http.lowSpeedLimit=1", "http.lowSpeedTime=300"];

/// What `git` is told about a remote.
pub(super) struct Remote {
    /// Without user-info.
    pub(super) url: String,
    /// `key=value`, without secrets.
    pub(super) options: Vec<String>,
    /// Secrets, and what is to be known of the remote beside its URL.
    pub(super) environment: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("url", &self.url)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Checks a source by the one place that checks sources, and all addresses that its host has now.
    pub(super) async fn of(source: &Source, policy: &SourcePolicy, supervisor: &Supervisor) -> Step<Self> {
        let source = policy.check(RcsType::Git, &source.clone().into())?;
        let mut addresses = Vec::new();
        if let Some((host, port)) = source.host_and_port() {
            addresses = match source.literal_address() {
                Some(address) => vec![address],
                None => supervisor.wait_for(look_up(host, port)).await??,
            };
            policy.check_addresses(host, &addresses)?;
        }
        Self::at(&source, &addresses)
    }

    /// A checked source, to be reached at these addresses only.
    fn at(source: &Source, addresses: &[IpAddr]) -> Step<Self> {
        let url = source.key();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        // One protocol, so that no tool and no server can switch to another.
        let mut remote = Self {
            url: url.clone(),
            options: Vec::new(),
            environment: vec![("GIT_ALLOW_PROTOCOL", scheme.to_owned())],
        };
        match scheme {
            "http" | "https" => remote.prepare_http(source, addresses)?,
            "git" => remote.prepare_git(source, rest, addresses),
            "ssh" => remote.prepare_ssh(source, rest),
            _ => {}
        }
        Ok(remote)
    }

    fn prepare_http(&mut self, source: &Source, addresses: &[IpAddr]) -> Step<()> {
        self.options.extend(HTTP_OPTIONS.map(str::to_owned));
        if let (None, Some((host, port))) = (source.literal_address(), source.host_and_port()) {
            let addresses: Vec<String> = addresses.iter().map(|a| in_brackets(*a)).collect();
            self.options.push(format!("http.curloptResolve={host}:{port}:{}", addresses.join(",")));
        }
        if let Some((user, password)) = user_info(source)? {
            self.options.push(CREDENTIAL_HELPER.to_owned());
            self.environment.extend([("CODE_IMPORTS_USER", user), ("CODE_IMPORTS_PASSWORD", password)]);
        }
        Ok(())
    }

    /// Git's own protocol names the host in its request, so that one address may serve many hosts: it is
    /// connected by address, and the name is sent all the same. It knows no user.
    fn prepare_git(&mut self, source: &Source, rest: &str, addresses: &[IpAddr]) {
        let (Some((_, port)), Some(address)) = (source.host_and_port(), addresses.first()) else { return };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        self.url = format!("git://{}{path}", SocketAddr::new(*address, port));
        self.environment.push(("GIT_OVERRIDE_VIRTUAL_HOST", authority.to_owned()));
    }

    /// The user is part of the address and, unlike a password, can not be passed otherwise. The host is not
    /// bound to an address: its key is checked, by the `known_hosts` of the account that the worker runs as.
    fn prepare_ssh(&mut self, source: &Source, rest: &str) {
        if let Some((user, _)) = raw_user_info(source) {
            self.url = format!("ssh://{user}@{rest}");
        }
        self.environment.push(("GIT_SSH_COMMAND", "ssh -o BatchMode=yes".to_owned()));
        self.environment.push(("GIT_SSH_VARIANT", "ssh".to_owned()));
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<IpAddr>, Failure> {
    let failed = |detail: String| Failure::new(Status::Failure, "dns", format!("{host}: {detail}"));
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| failed(error.to_string()))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() { Err(failed("no address".to_owned())) } else { Ok(addresses) }
}

fn in_brackets(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// User and password, decoded.
fn user_info(source: &Source) -> Step<Option<(String, String)>> {
    let Some((user, password)) = raw_user_info(source) else { return Ok(None) };
    let decode = |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
    let is_plain = |text: &String| !text.contains(|c: char| c.is_control());
    match (decode(&user), decode(&password)) {
        (Ok(user), Ok(password)) if is_plain(&user) && is_plain(&password) => Ok(Some((user, password))),
        // A line break would be read by git as one more answer.
        _ => {
            Err(Failure::new(Status::FailureForbidden, "forbidden", "The user-info is no plain text.").into())
        }
    }
}

/// User and password as they stand in the URL.
fn raw_user_info(source: &Source) -> Option<(String, String)> {
    let Source::Url(url) = source else { return None };
    let url = Url::parse(url).ok()?;
    let (user, password) = (url.username(), url.password());
    (!user.is_empty() || password.is_some()).then(|| (user.to_owned(), password.unwrap_or("").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::importer::failure::Stopped;

    fn remote(url: &str, addresses: &[&str]) -> Remote {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Remote::at(&Source::Url(url.to_owned()), &addresses).unwrap()
    }

    fn environment(remote: &Remote, name: &str) -> Option<String> {
        remote.environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn http_is_bound_to_the_addresses_that_were_checked() {
        let remote = remote("https://a.org/b", &["192.0.2.1", "2001:db8::1"]);
        let pin = "http.curloptResolve=a.org:443:192.0.2.1,[2001:db8::1]";
        assert!(remote.options.iter().any(|option| option == pin), "{remote:?}");
        assert_eq!(environment(&remote, "GIT_ALLOW_PROTOCOL").as_deref(), Some("https"));
        assert_eq!(remote.url, "https://a.org/b");
    }

    #[test]
    fn secrets_are_in_the_environment_alone() {
        let remote = remote("https://me:s3cr%40t@a.org/b", &["192.0.2.1"]);
        assert_eq!(remote.url, "https://a.org/b");
        assert_eq!(environment(&remote, "CODE_IMPORTS_USER").as_deref(), Some("me"));
        assert_eq!(environment(&remote, "CODE_IMPORTS_PASSWORD").as_deref(), Some("s3cr@t"));
        assert!(!format!("{remote:?}").contains("s3cr"), "{remote:?}");
    }

    #[test]
    fn user_info_with_a_line_break_is_forbidden() {
        let source = Source::Url("https://me:a%0Ahost=b@a.org/b".to_owned());
        let stop = Remote::at(&source, &[]).unwrap_err();
        assert!(
            matches!(stop, Stopped::Failed(Failure { status: Status::FailureForbidden, .. })),
            "{stop:?}"
        );
    }

    #[test]
    fn the_git_protocol_goes_to_a_checked_address_and_names_its_host() {
        let remote = remote("git://a.org:1234/b/c", &["2001:db8::1", "192.0.2.1"]);
        assert_eq!(remote.url, "git://[2001:db8::1]:1234/b/c");
        assert_eq!(environment(&remote, "GIT_OVERRIDE_VIRTUAL_HOST").as_deref(), Some("a.org:1234"));
    }

    #[test]
    fn ssh_keeps_its_user_and_drops_a_password() {
        assert_eq!(remote("ssh://git:pw@a.org/b", &[]).url, "ssh://git@a.org/b");
        assert_eq!(remote("ssh://a.org:22/b", &[]).url, "ssh://a.org:22/b");
    }
}
