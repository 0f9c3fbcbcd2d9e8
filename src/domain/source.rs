//! A source: where an import comes from, and the one place that checks it (section 8).
//!
//! ```text
//! SourceInput --SourcePolicy::check--> Source --key--> what is compared
//!  (as typed)      (or BadSource)         |----redacted--> what is shown
//! ```
//!
//! Nothing here resolves a name: whoever does asks [`SourcePolicy::check_addresses`] about what it found.

mod address;
mod bad_source;
mod cvs;
mod host;
mod parts;
mod policy;
#[cfg(test)]
mod properties;
mod redact;
mod scheme;
mod url;

use std::fmt;
use std::net::IpAddr;

pub use bad_source::{BadSource, Shown};
pub use host::BlockedHost;
pub use policy::SourcePolicy;
pub use redact::redact;
pub use scheme::Scheme;

use parts::{Parts, default_port};

/// The most bytes of a source, root and module together (section 8): the database indexes it whole, and an
/// index of PostgreSQL takes 2,704.
const MAX_BYTES: usize = 2_000;

/// Where an import comes from, in normal form; it may hold user-info, which is never shown (section 8).
///
/// It is what [`SourcePolicy::check`] let through, or what the database holds of that.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Every RCS but CVS.
    Url(String),
    /// CVS.
    Cvs {
        /// The CVS root, `:method:[user[:password]@]host[:port]/path`.
        root: String,
        /// The module in it.
        module: String,
    },
}

impl Source {
    /// The source that the database's columns hold; none if they hold something else (section 2).
    #[must_use]
    pub fn from_columns(
        url: Option<String>,
        cvs_root: Option<String>,
        cvs_module: Option<String>,
    ) -> Option<Self> {
        match (url, cvs_root, cvs_module) {
            (Some(url), None, None) => Some(Self::Url(url)),
            (None, Some(root), Some(module)) => Some(Self::Cvs { root, module }),
            _ => None,
        }
    }

    /// The source with its user-info replaced by `***`, for every eye but the worker's that imports it.
    #[must_use]
    pub fn redacted(&self) -> Self {
        self.with_user_info_as("***@")
    }

    /// What is compared: two sources are one if their keys are equal (section 8).
    ///
    /// The database keeps a source from being imported twice by the same key, which it computes as
    /// `regexp_replace(url, '^([a-z][a-z0-9+.-]*://)[^/@]*@', '\1')` and as
    /// `regexp_replace(cvs_root, '^(:[a-z]+:)[^/@]*@', '\1')` with the module. In normal form, no user-info
    /// holds a `/` or a second `@`; so those say the same as this.
    #[must_use]
    pub fn key(&self) -> String {
        match self.with_user_info_as("") {
            Self::Url(url) => url,
            // No root and no module holds a space.
            Self::Cvs { root, module } => format!("{root} {module}"),
        }
    }

    /// Whether both are imports of the same thing, whoever reads it.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// The host to resolve and to connect to, without brackets if it is an IPv6 address; empty for `file`.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = Parts::of(self.location()).map_or("", |parts| parts.host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The address that stands in place of a host name: nothing is left to resolve.
    #[must_use]
    pub fn literal_address(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// The host as [`Source::host`] gives it, and the port that will be connected to; none for `file`.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let parts = Parts::of(self.location())?;
        let port = match parts.port {
            Some(port) => port.parse().ok(),
            None => default_port(parts.prefix),
        };
        Some((self.host(), port?))
    }

    /// The part that says where: the URL, or the CVS root.
    fn location(&self) -> &str {
        match self {
            Self::Url(url) => url,
            Self::Cvs { root, .. } => root,
        }
    }

    fn with_user_info_as(&self, replacement: &str) -> Self {
        let location = match Parts::of(self.location()) {
            Some(parts) => parts.with_user_info_as(replacement),
            // No code of ours stored that: nobody can tell what in it is secret.
            None => redact::hide(self.location()),
        };
        match self {
            Self::Url(_) => Self::Url(location),
            Self::Cvs { module, .. } => Self::Cvs { root: location, module: module.clone() },
        }
    }
}

/// Redacted, so that no log and no panic tells a password (section 8).
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.redacted() {
            Self::Url(url) => f.debug_tuple("Url").field(&url).finish(),
            Self::Cvs { root, module } => {
                f.debug_struct("Cvs").field("root", &root).field("module", &module).finish()
            }
        }
    }
}

/// What a person typed as a source, not checked yet (section 8).
#[derive(Clone, Default, PartialEq, Eq, serde::Deserialize)]
pub struct SourceInput {
    /// For every RCS but CVS.
    pub url: Option<String>,
    /// For CVS.
    pub cvs_root: Option<String>,
    /// For CVS.
    pub cvs_module: Option<String>,
}

/// Redacted: whatever could be user-info is left out (section 8).
impl fmt::Debug for SourceInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceInput")
            .field("url", &self.url.as_deref().map(Shown::of))
            .field("cvs_root", &self.cvs_root.as_deref().map(Shown::of))
            .field("cvs_module", &self.cvs_module.as_deref().map(Shown::of))
            .finish()
    }
}

/// So that a source can be checked again: by the worker that was given it, and at every redirect.
impl From<Source> for SourceInput {
    fn from(source: Source) -> Self {
        match source {
            Source::Url(url) => Self { url: Some(url), ..Self::default() },
            Source::Cvs { root, module } => {
                Self { url: None, cvs_root: Some(root), cvs_module: Some(module) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Source {
        Source::Url(url.to_owned())
    }

    fn cvs(root: &str) -> Source {
        Source::Cvs { root: root.to_owned(), module: "gnome".to_owned() }
    }

    #[test]
    fn user_info_is_neither_shown_nor_compared() {
        #[track_caller]
        fn check(source: &Source, redacted: &Source, key: &str) {
            assert!(source.redacted() == *redacted, "{:?}", source.redacted());
            assert_eq!(source.key(), key);
            assert_eq!(format!("{source:?}"), format!("{redacted:?}"));
            assert_eq!(redacted.key(), key);
        }

        check(&url("https://a.org/b"), &url("https://a.org/b"), "https://a.org/b");
        check(&url("https://u@a.org/b"), &url("https://***@a.org/b"), "https://a.org/b");
        check(&url("https://u:p@a.org/@b/c@d"), &url("https://***@a.org/@b/c@d"), "https://a.org/@b/c@d");
        check(&url("https://u:p@[::1]:8/b"), &url("https://***@[::1]:8/b"), "https://[::1]:8/b");
        check(&url("file:///srv/a@b"), &url("file:///srv/a@b"), "file:///srv/a@b");
        check(&cvs(":ext:a.org/cvs"), &cvs(":ext:a.org/cvs"), ":ext:a.org/cvs gnome");
        check(&cvs(":pserver:u:p@a.org:2/c"), &cvs(":pserver:***@a.org:2/c"), ":pserver:a.org:2/c gnome");
    }

    #[test]
    fn a_source_that_no_code_of_ours_stored_is_redacted_too() {
        assert!(url("u:p@a.org/b").redacted() == url("***@a.org/b"));
        assert!(url("https//u:p/w@a.org/b").redacted() == url("***@a.org/b"));
    }

    #[test]
    fn sources_are_the_same_whoever_reads_them() {
        assert!(url("https://u:p@a.org/b").same_as(&url("https://v@a.org/b")));
        assert!(cvs(":pserver:u:@a.org/b").same_as(&cvs(":pserver:a.org/b")));
        assert!(!cvs(":ext:a.org/b").same_as(&cvs(":pserver:a.org/b")));
        assert!(!url("https://a.org/b").same_as(&url("http://a.org/b")));
    }

    #[test]
    fn a_source_says_what_to_connect_to() {
        #[track_caller]
        fn check(source: &Source, host_and_port: Option<(&str, u16)>, literal: bool) {
            assert_eq!(source.host_and_port(), host_and_port);
            assert_eq!(source.host(), host_and_port.map_or("", |(host, _)| host));
            assert_eq!(source.literal_address().is_some(), literal);
        }

        check(&url("http://a.org/b"), Some(("a.org", 80)), false);
        check(&url("https://u:p@a.org/b"), Some(("a.org", 443)), false);
        check(&url("https://a.org:8443"), Some(("a.org", 8443)), false);
        check(&url("git://10.0.0.1/b"), Some(("10.0.0.1", 9418)), true);
        check(&url("svn://[2001:db8::1]/b"), Some(("2001:db8::1", 3690)), true);
        check(&url("bzr://[::1]:4156/b"), Some(("::1", 4156)), true);
        check(&url("ssh://a.org/b"), Some(("a.org", 22)), false);
        check(&url("file:///srv/b"), None, false);
        check(&cvs(":pserver:u@a.org/b"), Some(("a.org", 2401)), false);
        check(&cvs(":ext:a.org:2222/b"), Some(("a.org", 2222)), false);
    }

    #[test]
    fn columns_hold_a_url_or_a_root_and_a_module() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(Source::from_columns(some("u"), None, None), Some(url("u")));
        assert_eq!(Source::from_columns(None, some("r"), some("gnome")), Some(cvs("r")));
        assert_eq!(Source::from_columns(some("u"), some("r"), some("gnome")), None);
        assert_eq!(Source::from_columns(None, some("r"), None), None);
        assert_eq!(Source::from_columns(None, None, None), None);
    }

    #[test]
    fn what_was_typed_is_shown_without_its_secrets() {
        let input = SourceInput {
            url: Some("https://me:s3cret/x@a.org/b?token=s3cret".to_owned()),
            cvs_root: Some(":pserver:me:s3cret@a.org/b".to_owned()),
            cvs_module: None,
        };
        let shown = format!("{input:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("https://***@a.org/b?"), "{shown}");
    }
}
