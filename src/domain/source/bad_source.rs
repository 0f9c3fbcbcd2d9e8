//! Why a source is refused.

use std::fmt;
use std::net::IpAddr;

use super::redact::hide;
use super::{BlockedHost, MAX_BYTES, Scheme};
use crate::domain::RcsType;

/// Why a source is refused, for the person who typed it (section 8). It never tells user-info.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// Every RCS but CVS needs a URL.
    #[error("Enter the URL of a foreign VCS branch.")]
    NoUrl,
    /// CVS needs a root.
    #[error("Enter a CVS root.")]
    NoCvsRoot,
    /// CVS needs a module.
    #[error("Enter a CVS module.")]
    NoCvsModule,
    /// CVS has no URL.
    #[error("A CVS import has a CVS root and a CVS module, and no URL.")]
    UrlOfCvs,
    /// Only CVS has a root and a module.
    #[error("A {0} import has a URL, and no CVS root and no CVS module.")]
    CvsDetails(RcsType),
    /// Longer than the database takes, as typed or in normal form.
    #[error("The source has {bytes} bytes; at most {MAX_BYTES} are allowed.")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The scheme is not allowed for the RCS.
    #[error(
        "The URI scheme \"{scheme}\" is not allowed. Only URIs with the following schemes may be used: {}",
        names(allowed)
    )]
    Scheme {
        /// The scheme, in lower case and cut to a sane length.
        scheme: String,
        /// Those that are allowed, sorted.
        allowed: Vec<Scheme>,
    },
    /// It is not of the form that it must have, or a part of it is not.
    #[error("The {what} {value} is refused: {rule}.")]
    Malformed {
        /// "URL", "CVS root" or "blocked host".
        what: &'static str,
        /// What was typed.
        value: Shown,
        /// Which rule it breaks, and the remedy where there is one.
        rule: &'static str,
    },
    /// A repository on the importing machine's own disk.
    #[error("Local CVS roots are not allowed.")]
    LocalCvsRoot,
    /// A CVS host without a dot.
    #[error("Please use a fully qualified host name.")]
    UnqualifiedHost,
    /// A CVS module that is not letters, digits and `_ / . + -` from a letter on.
    #[error("The CVS module contains illegal characters.")]
    CvsModule,
    /// The name that CVS keeps for itself.
    #[error("A CVS module can not be called \"CVS\".")]
    CvsModuleCalledCvs,
    /// The host is a blocked one or below one.
    #[error("The host {host} is refused: \"{blocked}\" and all hosts below it are blocked.")]
    BlockedHost {
        /// The host.
        host: Shown,
        /// The entry of the block list.
        blocked: BlockedHost,
    },
    /// The host has an address that is not public, and that no operator allowed.
    #[error(
        "The host {host} is refused: its address {address} is {kind}. \
         Only public addresses are imported from, and networks that an operator allows."
    )]
    SpecialAddress {
        /// The host.
        host: Shown,
        /// The address.
        address: IpAddr,
        /// What it is, such as "a loopback address".
        kind: &'static str,
    },
    /// The host has no address at all.
    #[error("The host {0} has no address.")]
    NoAddress(Shown),
}

/// A text from outside as a message may show it: no user-info, no query, escaped, at most 200 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Makes a text fit to be shown.
    pub(super) fn of(text: &str) -> Self {
        const LENGTH: usize = 200;
        let hidden = hide(text);
        // A query holds a token as often as user-info does.
        let told = hidden.split_inclusive(['?', '#']).next().unwrap_or_default();
        let mut shown: String = told.chars().take(LENGTH).collect();
        if shown.len() < hidden.len() {
            shown.push('…');
        }
        Self(shown)
    }
}

/// In quotes; what could steer a terminal is escaped.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn names(schemes: &[Scheme]) -> String {
    schemes.iter().map(Scheme::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::parts::is_forbidden;
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_holds_no_secret() {
        #[track_caller]
        fn check(text: &str, shown: &str) {
            assert_eq!(Shown::of(text).to_string(), shown);
        }

        check("a.org", r#""a.org""#);
        check("https://u:p/w@a.org/b", r#""https://***@a.org/b""#);
        check("https://a.org/b?private_token=p", r#""https://a.org/b?…""#);
        check("https://u:p#w@a.org/b#c", r#""https://***@a.org/b#…""#);
        check("a\n\u{1b}[2J\u{202e}b", r#""a\n\u{1b}[2J\u{202e}b""#);
        check(&"é".repeat(1_000), &format!("\"{}…\"", "é".repeat(200)));
    }

    #[test]
    fn what_is_forbidden_is_escaped_where_it_is_shown() {
        for c in ('\0'..=char::MAX).filter(|c| is_forbidden(*c)) {
            assert!(!Shown::of(&c.to_string()).to_string().contains(c), "{c:?}");
        }
    }
}
