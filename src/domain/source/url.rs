//! URLs: taken apart, checked and rebuilt, so that every tool reads in them what we read.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::host::NormalHost;
use super::parts::{Parts, is_forbidden, is_scheme};
use super::{BadSource, Scheme, Shown};

/// Which rule a part breaks, for [`BadSource::Malformed`].
type Broken = &'static str;

/// What is encoded in a path: all but what RFC 3986 (3.3) allows there, and the `%` of what is encoded.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'%')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b'/')
    .remove(b':')
    .remove(b'@');

/// What is encoded in a user and in a password: a `/`, a `:` and an `@`, too, which part them from the rest.
const USER_INFO: &AsciiSet = &PATH.add(b'/').add(b':').add(b'@').add(b'\'');

/// The normal form of a URL (section 8): lower-case scheme and host, no default port, no trailing slash.
pub(super) fn normal_form(url: &str, allowed: &[Scheme]) -> Result<String, BadSource> {
    let malformed = |rule| BadSource::Malformed { what: "URL", value: Shown::of(url), rule };
    require_plain(url).map_err(malformed)?;
    let scheme = scheme(url, allowed)?;
    let parts = Parts::of(url).ok_or_else(|| malformed("it is not of the form scheme://host/path"))?;
    let rest = if scheme == Scheme::File { file(&parts) } else { remote(scheme, &parts) };
    Ok(format!("{scheme}://{}", rest.map_err(malformed)?))
}

/// The scheme, if it is allowed.
fn scheme(url: &str, allowed: &[Scheme]) -> Result<Scheme, BadSource> {
    let (name, rest) = url.split_once(':').unwrap_or((url, ""));
    // Git's `ext::command` and `fd::7` run commands: whatever begins like them is told as a scheme.
    if !is_scheme(name) || !(rest.starts_with("//") || rest.starts_with(':')) {
        let rule = "it is not of the form scheme://host/path (instead of host:path, write ssh://host/path)";
        return Err(BadSource::Malformed { what: "URL", value: Shown::of(url), rule });
    }
    let name = name.to_ascii_lowercase();
    let scheme = name.parse().ok().filter(|scheme| allowed.contains(scheme));
    scheme.ok_or_else(|| BadSource::Scheme {
        scheme: name.chars().take(50).collect(),
        allowed: allowed.to_vec(),
    })
}

/// What holds for the URL as a whole.
fn require_plain(url: &str) -> Result<(), Broken> {
    if url.contains(is_forbidden) {
        return Err("it holds a control character");
    }
    if url.contains('\\') {
        return Err("it holds a backslash");
    }
    if url.contains('?') {
        return Err("it has a query; leave out what begins with ?");
    }
    if url.contains('#') {
        return Err("it has a fragment; leave out what begins with #");
    }
    Ok(())
}

/// What follows `file://`.
fn file(parts: &Parts<'_>) -> Result<String, Broken> {
    if parts.user_info.is_some() || !parts.host.is_empty() || parts.port.is_some() {
        return Err("a file URL has no host; write file:///path");
    }
    match path(parts.path)? {
        path if path.is_empty() => Err("it has no path"),
        path => Ok(path),
    }
}

/// What follows `scheme://` for every other scheme.
fn remote(scheme: Scheme, parts: &Parts<'_>) -> Result<String, Broken> {
    let user_info = parts.user_info.map_or(Ok(String::new()), user_info)?;
    let host = NormalHost::of(parts.host)?;
    let port = parts.normal_port(&format!("{scheme}://"))?;
    let path = path(parts.path)?;
    Ok(format!("{user_info}{host}{port}{path}"))
}

/// The user-info with its `@`; nothing if neither a user nor a password is in it.
fn user_info(user_info: &str) -> Result<String, Broken> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    for part in [user, password] {
        if decoded(part)?.starts_with('-') {
            return Err("a user or a password in it begins with -");
        }
    }
    let user = utf8_percent_encode(user, USER_INFO);
    let password = utf8_percent_encode(password, USER_INFO).to_string();
    let user_info = if password.is_empty() { user.to_string() } else { format!("{user}:{password}") };
    Ok(if user_info.is_empty() { user_info } else { format!("{user_info}@") })
}

/// The path with its `/`; nothing if it is the root.
fn path(path: &str) -> Result<String, Broken> {
    let path = path.trim_end_matches('/');
    for part in decoded(path)?.split('/') {
        if part == "." || part == ".." {
            return Err("a part of its path is . or ..");
        }
        if part.starts_with('-') {
            return Err("a part of its path begins with -");
        }
    }
    Ok(utf8_percent_encode(path, PATH).to_string())
}

/// What a tool reads that decodes `text` before it uses it.
fn decoded(text: &str) -> Result<String, Broken> {
    let is_encoded = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_encoded) {
        return Err("a % in it is not followed by two hexadecimal digits; write %25 for a %");
    }
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    if decoded.contains(is_forbidden) {
        return Err("it holds an encoded control character");
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Scheme] = <Scheme as strum::VariantArray>::VARIANTS;

    #[test]
    fn a_url_has_one_normal_form() {
        #[track_caller]
        fn check(url: &str, normal: &str) {
            assert_eq!(normal_form(url, ALL).as_deref(), Ok(normal));
            assert_eq!(normal_form(normal, ALL).as_deref(), Ok(normal), "again");
        }

        check("https://a.org/b", "https://a.org/b");
        check("HTTPS://A.Org/B.git///", "https://a.org/B.git");
        check("http://a.org", "http://a.org");
        check("http://a.org/", "http://a.org");
        check("http://a.org:80/b", "http://a.org/b");
        check("http://a.org:0080/b", "http://a.org/b");
        check("http://a.org:/b", "http://a.org/b");
        check("http://a.org:443/b", "http://a.org:443/b");
        check("https://a.org:443/b", "https://a.org/b");
        check("git://a.org:9418/b", "git://a.org/b");
        check("svn://a.org:3690/b", "svn://a.org/b");
        check("bzr://a.org:4155/b", "bzr://a.org/b");
        check("ssh://git@a.org:22/b", "ssh://git@a.org/b");
        check("svn+ssh://a.org:022/b", "svn+ssh://a.org/b");
        check("ssh://a.org//srv/hg", "ssh://a.org//srv/hg");
        check("git://A.ORG./~me/b", "git://a.org/~me/b");
        check("git://2130706433/b", "git://127.0.0.1/b");
        check("svn://[0::1]/b", "svn://[::1]/b");
        check("https://bücher.example/ä b", "https://xn--bcher-kva.example/%C3%A4%20b");
        check("https://a.org/%7eb/a@b:c", "https://a.org/%7eb/a@b:c");
        check("https://u:p@a.org/b", "https://u:p@a.org/b");
        check("https://u:@a.org/b", "https://u@a.org/b");
        check("https://:p@a.org/b", "https://:p@a.org/b");
        check("https://:@a.org/b", "https://a.org/b");
        check("https://@a.org/b", "https://a.org/b");
        check("https://me@b.org:p@s:'s@a.org/b", "https://me%40b.org:p%40s%3A%27s@a.org/b");
        check("https://u:%2Fp%25@a.org/b", "https://u:%2Fp%25@a.org/b");
        check("file:///srv/b/", "file:///srv/b");
    }

    #[test]
    fn a_url_that_two_tools_could_read_differently_is_refused() {
        #[track_caller]
        fn check(url: &str, rule: &str) {
            let error = normal_form(url, ALL).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }

        let form = "is refused: it is not of the form scheme://host/path (instead of host:path, write";
        for url in
            ["", "a", "/srv/b", "git@a.org:b", "a.org:b/c", "http:/a.org", "http:a.org", "C:/b", "://a"]
        {
            check(url, form);
        }
        for url in ["http:///a", "http://", "http://:80/", "http://u:p@/b", "git:///b"] {
            check(url, "its host is empty");
        }
        for url in [
            "http://a.org:x/",
            "http://a.org:0/",
            "http://a.org:65536/",
            "http://a.org:+1/",
            "http://u:p/w@a.org",
        ] {
            check(url, "its port is not a number from 1 to 65535");
        }
        for url in [
            "http://a.org/b\n",
            "http://a\0.org",
            "http://a.org/\u{202e}",
            "http://\u{9b}a.org",
            "\thttp://a.org",
        ] {
            check(url, "it holds a control character");
        }
        for url in ["http://a.org/%0a", "http://a.org/%00", "http://u%0D@a.org/", "http://a.org/%c2%9b"] {
            check(url, "it holds an encoded control character");
        }
        for url in ["http://a.org/../b", "http://a.org/b/.", "git://a.org/%2E./b", "svn://a.org/b%2f..%2fc"] {
            check(url, "a part of its path is . or ..");
        }
        for url in [
            "ssh://a.org/-x",
            "http://a.org/b/-x",
            "ssh://a.org/%2dx",
            "ssh://a.org/b%2f-x",
            "ssh://a.org//-x",
        ] {
            check(url, "a part of its path begins with -");
        }
        for url in ["ssh://-oProxyCommand=x@a.org/b", "ssh://%2dx@a.org/b", "http://u:-p@a.org/b"] {
            check(url, "a user or a password in it begins with -");
        }
        for url in ["http://a.org/%", "http://a.org/%zz", "http://u%1@a.org/", "http://a.org/%é"] {
            check(url, "a % in it is not followed by two hexadecimal digits; write %25 for a %");
        }
        for url in ["file://a.org/b", "file://u@/b", "file://:1/b", "file://localhost/b"] {
            check(url, "a file URL has no host; write file:///path");
        }
        for url in ["http::x", "git::http://a.org/b"] {
            check(url, "it is not of the form scheme://host/path.");
        }
        check("file:///", "it has no path");
        check("http://a.org\\@b.org/", "it holds a backslash");
        check("http://a.org?b", "it has a query");
        check("http://a.org/#", "it has a fragment");
        check("http://a%2eorg/", "its host holds a %");
        check("ssh://-oProxyCommand=x/b", "its host is not a name of letters");
        check("http://[::1]x/", "its host is neither a name nor an address");
        check("http://a.org,b/", "its host is not a name of letters");
    }

    #[test]
    fn a_scheme_that_is_not_allowed_is_told_with_those_that_are() {
        #[track_caller]
        fn check(url: &str, scheme: &str) {
            let error = normal_form(url, &[Scheme::Git, Scheme::Http, Scheme::Https]).unwrap_err();
            let expected = format!(
                "The URI scheme \"{scheme}\" is not allowed. \
                 Only URIs with the following schemes may be used: git, http, https"
            );
            assert_eq!(error.to_string(), expected);
        }

        check("ftp://a.org/b", "ftp");
        check("FTP://a.org/b", "ftp");
        check("file:///b", "file");
        check("ssh://a.org/b", "ssh");
        check("ext::sh -c x", "ext");
        check("fd::7", "fd");
        check("hg::https://a.org", "hg");
        check(&format!("{}://a.org", "x".repeat(3_000)), &"x".repeat(50));
    }
}
