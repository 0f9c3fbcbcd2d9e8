//! The host of a source, in one spelling.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::Host;

use super::{BadSource, Shown};

/// A host in normal form: every tool that reads it connects to the same (section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NormalHost {
    /// A name in lower case, its letters beyond ASCII encoded, without a dot at its end.
    Name(String),
    /// An address, whether it was written as one or, as the web allows, as one number.
    Ipv4(Ipv4Addr),
    /// An address that was written in brackets.
    Ipv6(Ipv6Addr),
}

impl NormalHost {
    /// Reads a host, whatever the scheme, as a browser does; what only a browser would take is refused.
    pub(super) fn of(host: &str) -> Result<Self, &'static str> {
        if host.is_empty() {
            return Err("its host is empty");
        }
        if host.contains('%') {
            return Err("its host holds a %");
        }
        match Host::parse(host) {
            Ok(Host::Domain(name)) => normal_name(&name).map(Self::Name),
            Ok(Host::Ipv4(address)) => Ok(Self::Ipv4(address)),
            Ok(Host::Ipv6(address)) => Ok(Self::Ipv6(address)),
            Err(_) => Err("its host is neither a name nor an address"),
        }
    }
}

impl fmt::Display for NormalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host from which nothing is imported, and below which neither (section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedHost(NormalHost);

impl BlockedHost {
    /// The one that every installation has unless it says otherwise.
    #[must_use]
    pub fn localhost() -> Self {
        Self(NormalHost::Name("localhost".to_owned()))
    }

    /// Whether `host`, as `Source::host` gives it, is this one or below it.
    pub(super) fn covers(&self, host: &str) -> bool {
        match &self.0 {
            NormalHost::Name(name) => {
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            NormalHost::Ipv4(address) => host == address.to_string(),
            NormalHost::Ipv6(address) => host == address.to_string(),
        }
    }
}

/// In any spelling; a dot at its beginning, which elsewhere means "below it", says nothing new.
impl FromStr for BlockedHost {
    type Err = BadSource;

    fn from_str(host: &str) -> Result<Self, BadSource> {
        let malformed = |rule| BadSource::Malformed { what: "blocked host", value: Shown::of(host), rule };
        NormalHost::of(host.strip_prefix('.').unwrap_or(host)).map(Self).map_err(malformed)
    }
}

impl fmt::Display for BlockedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn normal_name(name: &str) -> Result<String, &'static str> {
    // The dot at the end only says that the name is complete.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253
        || !name.split('.').all(is_label)
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err("its host is not a name of letters, digits, - and _ with dots between them");
    }
    Ok(name.to_owned())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        #[track_caller]
        fn check(host: &str, normal: &str) {
            assert_eq!(NormalHost::of(host).unwrap().to_string(), normal);
            assert_eq!(NormalHost::of(normal).unwrap().to_string(), normal);
        }

        check("GitLab.Example.org", "gitlab.example.org");
        check("example.org.", "example.org");
        check("my_host.example.org", "my_host.example.org");
        check("bücher.example", "xn--bcher-kva.example");
        check("ＥＸＡＭＰＬＥ。org", "example.org");
        check("a\u{ad}\u{200b}.org", "a.org");
        check("localhost", "localhost");
        check("127.0.0.1", "127.0.0.1");
        check("127.0.0.1.", "127.0.0.1");
        check("127.1", "127.0.0.1");
        check("0x7f.1", "127.0.0.1");
        check("017700000001", "127.0.0.1");
        check("2130706433", "127.0.0.1");
        check("①②⑦.0.0.1", "127.0.0.1");
        check("[::1]", "[::1]");
        check("[0:0:0:0:0:0:0:1]", "[::1]");
        check("[2001:DB8::1]", "[2001:db8::1]");
        check("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]");
    }

    #[test]
    fn what_two_tools_could_read_differently_is_no_host() {
        let long = "a".repeat(64);
        let longer = "a.".repeat(127) + "org";
        for host in [
            "",
            ".",
            "..",
            ".a.org",
            "a..org",
            "a.org..",
            "-a.org",
            "-oProxyCommand=x",
            "a.-b.org",
            "_a.org",
            "a b.org",
            "a.org%00.b.org",
            "%6cocalhost",
            "1.2.3.4.5",
            "256.1.1.1",
            "a:b",
            "::1",
            "[::1",
            "[::1%eth0]",
            "[a.org]",
            "a\\b.org",
            "a;b",
            "a,b",
            "a'b",
            "a$b",
            "a(b)",
            "a@b",
            "\u{ad}",
            &long,
            &longer,
        ] {
            assert!(NormalHost::of(host).is_err(), "{host:?}: {:?}", NormalHost::of(host));
        }
    }

    #[test]
    fn a_blocked_host_that_would_block_nothing_is_refused() {
        let error = "*.example.org".parse::<BlockedHost>().unwrap_err().to_string();
        assert!(error.starts_with("The blocked host \"*.example.org\" is refused: its host is"), "{error}");
        assert!("".parse::<BlockedHost>().is_err());
    }
}
