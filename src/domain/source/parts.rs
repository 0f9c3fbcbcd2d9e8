//! The parts of a URL and of a CVS root, which have one shape: `prefix[user-info@]host[:port][/path]`.

/// A URL or a CVS root, taken apart and not checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// `scheme://` or `:method:`.
    pub(super) prefix: &'a str,
    /// What stands before the last `@` before the first `/`.
    pub(super) user_info: Option<&'a str>,
    /// With the brackets of an IPv6 address.
    pub(super) host: &'a str,
    /// What follows the host's `:`, which may be nothing.
    pub(super) port: Option<&'a str>,
    /// From the first `/` on.
    pub(super) path: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes `text` apart; none if it begins with neither `scheme://` nor `:method:`.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let (prefix, rest) = text.split_at(prefix_length(text)?);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user_info, host_and_port) = match authority.rsplit_once('@') {
            Some((user_info, host_and_port)) => (Some(user_info), host_and_port),
            None => (None, authority),
        };
        let (host, port) = match host_and_port.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (host_and_port, None),
        };
        Some(Self { prefix, user_info, host, port, path })
    }

    /// Puts the parts together again, with `replacement` where the user-info and its `@` are, if any are.
    pub(super) fn with_user_info_as(&self, replacement: &str) -> String {
        let Self { prefix, host, path, .. } = self;
        let user_info = self.user_info.map_or("", |_| replacement);
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        format!("{prefix}{user_info}{host}{port}{path}")
    }

    /// The port in normal form with its `:`; nothing if it is the default of `prefix`.
    pub(super) fn normal_port(&self, prefix: &str) -> Result<String, &'static str> {
        let port = match self.port {
            None | Some("") => return Ok(String::new()),
            // `parse` would take a sign.
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok(),
            Some(_) => None,
        };
        match port {
            None | Some(0) => Err("its port is not a number from 1 to 65535"),
            Some(port) if Some(port) == default_port(prefix) => Ok(String::new()),
            Some(port) => Ok(format!(":{port}")),
        }
    }
}

/// The port that is meant when none is given.
pub(super) fn default_port(prefix: &str) -> Option<u16> {
    match prefix {
        "http://" => Some(80),
        "https://" => Some(443),
        "git://" => Some(9418),
        "svn://" => Some(3690),
        "bzr://" => Some(4155),
        "ssh://" | "svn+ssh://" | "bzr+ssh://" | ":ext:" => Some(22),
        ":pserver:" => Some(2401),
        _ => None,
    }
}

/// The length of the `scheme://` or `:method:` that `text` begins with.
pub(super) fn prefix_length(text: &str) -> Option<usize> {
    if let Some(rest) = text.strip_prefix(':') {
        let (method, _) = rest.split_once(':')?;
        return is_scheme(method).then_some(method.len().saturating_add(2));
    }
    let (scheme, _) = text.split_once("://")?;
    is_scheme(scheme).then_some(scheme.len().saturating_add(3))
}

/// Whether `text` could name a scheme (RFC 3986, 3.1).
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
}

/// Whether no source may hold `c`: it steers a terminal or a protocol, or it hides what it stands beside.
pub(super) fn is_forbidden(c: char) -> bool {
    let separates_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let turns_the_writing = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || separates_lines || turns_the_writing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_ends_at_the_last_at_before_the_first_slash() {
        #[track_caller]
        fn check(text: &str, user_info: Option<&str>, host: &str, port: Option<&str>, path: &str) {
            let parts = Parts::of(text).unwrap();
            let found = (parts.user_info, parts.host, parts.port, parts.path);
            assert_eq!(found, (user_info, host, port, path), "{text}");
        }

        check("http://a", None, "a", None, "");
        check("http://a:1/@", None, "a", Some("1"), "/@");
        check("http://u:p@a/b", Some("u:p"), "a", None, "/b");
        check("http://u@v@a/b@c", Some("u@v"), "a", None, "/b@c");
        check("http://u:p/w@a", None, "u", Some("p"), "/w@a");
        check("http://[::1]", None, "[::1]", None, "");
        check("http://[::1]:8", None, "[::1]", Some("8"), "");
        check("file:///a", None, "", None, "/a");
        check(":pserver:u:@a:/b", Some("u:"), "a", Some(""), "/b");
        check(":ext:a/b", None, "a", None, "/b");
    }

    #[test]
    fn only_a_scheme_or_a_method_begins_a_source() {
        for text in ["", "a", "a:b", "a:/b", "://a", ":a", "::a", ":a;b=c:d", "1a://b", "é://b", "a b://c"] {
            assert!(Parts::of(text).is_none(), "{text}");
        }
    }
}
