//! CVS roots and modules: taken apart, checked and rebuilt, so that every tool reads in them what we read.

use super::host::NormalHost;
use super::parts::{Parts, is_forbidden};
use super::{BadSource, Shown};

/// Which rule a part breaks, for [`BadSource::Malformed`].
type Broken = &'static str;

/// The normal form of a CVS root (section 8): lower-case method and host, no default port, no trailing slash.
///
/// A root is a command line: `:ext;CVS_RSH=x:` runs `x`. And the two readers of a root, `cvs` and
/// `git cvsimport`, find its user-info each in its own way: with an `@`, a `:` or a `/` more than they
/// expect, they connect to another host than the one checked here. So none has one more.
pub(super) fn normal_root(root: &str) -> Result<String, BadSource> {
    let malformed = |rule| BadSource::Malformed { what: "CVS root", value: Shown::of(root), rule };
    if root.contains(is_forbidden) {
        return Err(malformed("it holds a control character"));
    }
    let method = method(root).map_err(malformed)?.ok_or(BadSource::LocalCvsRoot)?;
    let parts = Parts::of(root).ok_or_else(|| malformed("it holds options of its method"))?;
    let user_info = parts.user_info.map_or(Ok(String::new()), |text| user_info(method, text));
    let user_info = user_info.map_err(malformed)?;
    let path = path(parts.path).map_err(malformed)?;
    let port = parts.normal_port(method).map_err(malformed)?;
    let host = match NormalHost::of(parts.host).map_err(malformed)? {
        NormalHost::Ipv6(_) => return Err(malformed("CVS can not read an IPv6 address; write a name")),
        NormalHost::Name(name) if !name.contains('.') => return Err(BadSource::UnqualifiedHost),
        host => host,
    };
    Ok(format!("{method}{user_info}{host}{port}{path}"))
}

/// The normal form of a CVS module (section 8): no trailing slash.
pub(super) fn normal_module(module: &str) -> Result<String, BadSource> {
    let module = module.trim_end_matches('/');
    let legal = module.starts_with(|c: char| c.is_ascii_alphabetic()) && is_path(module);
    if !legal || !module.split('/').all(is_part) {
        return Err(BadSource::CvsModule);
    }
    if module.split('/').any(|part| part == "CVS") {
        return Err(BadSource::CvsModuleCalledCvs);
    }
    Ok(module.to_owned())
}

/// The method with its two `:`; none if it is one that reads the machine's own disk.
fn method(root: &str) -> Result<Option<&'static str>, Broken> {
    if root.starts_with('/') {
        return Ok(None);
    }
    let method = root.strip_prefix(':').and_then(|root| root.split([':', ';']).next()).unwrap_or_default();
    match method.to_ascii_lowercase().as_str() {
        "pserver" => Ok(Some(":pserver:")),
        "ext" => Ok(Some(":ext:")),
        "local" | "fork" => Ok(None),
        _ => Err("it does not begin with :pserver: or :ext:"),
    }
}

/// The user-info with its `@`; nothing if it is empty. An empty password stays: CVS asks for one else.
fn user_info(method: &str, user_info: &str) -> Result<String, Broken> {
    if user_info.is_empty() {
        return Ok(String::new());
    }
    let (user, password) = match user_info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (user_info, None),
    };
    if !user.starts_with(|c: char| c.is_ascii_alphanumeric()) || !is_path(user) {
        return Err("its user is not of letters, digits and _ . + -, a letter or digit first");
    }
    match password {
        Some(_) if method != ":pserver:" => Err("only :pserver: takes a password"),
        Some(password) if !is_password(password) => {
            Err("its password begins with -, or it holds a character beyond ASCII, a space or an @")
        }
        _ => Ok(format!("{user_info}@")),
    }
}

fn path(path: &str) -> Result<String, Broken> {
    let path = path.trim_end_matches('/');
    match path.strip_prefix('/') {
        None => Err("it has no path"),
        Some(parts) if parts.contains('@') => {
            Err("it holds an @ after a /, which neither a path nor a password may hold")
        }
        Some(parts) if is_path(&parts.replace('~', "")) && parts.split('/').all(is_part) => {
            Ok(path.to_owned())
        }
        Some(_) => Err(
            "its path is not of letters, digits and _ . + - ~, or a part is empty, . or .. or begins with -",
        ),
    }
}

fn is_password(password: &str) -> bool {
    !password.starts_with('-') && password.bytes().all(|b| b.is_ascii_graphic() && b != b'@')
}

fn is_path(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/.+-".contains(&b))
}

fn is_part(part: &str) -> bool {
    !["", ".", ".."].contains(&part) && !part.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_has_one_normal_form() {
        #[track_caller]
        fn check(root: &str, normal: &str) {
            assert_eq!(normal_root(root).as_deref(), Ok(normal));
            assert_eq!(normal_root(normal).as_deref(), Ok(normal), "again");
        }

        check(":pserver:a.org/cvs", ":pserver:a.org/cvs");
        check(":PServer:A.Org:/cvs/", ":pserver:a.org/cvs");
        check(":pserver:a.org.:2401/cvs/root", ":pserver:a.org/cvs/root");
        check(":pserver:a.org:2402/cvs", ":pserver:a.org:2402/cvs");
        check(":pserver:anonymous@a.org/cvs", ":pserver:anonymous@a.org/cvs");
        check(":pserver:anonymous:@a.org/cvs", ":pserver:anonymous:@a.org/cvs");
        check(":pserver:u:p:;'\"<w@a.org/cvs", ":pserver:u:p:;'\"<w@a.org/cvs");
        check(":pserver:@a.org/cvs", ":pserver:a.org/cvs");
        check(":pserver:203.0.113.7/cvs", ":pserver:203.0.113.7/cvs");
        check(":ext:u@a.org:22/cvs", ":ext:u@a.org/cvs");
        check(":ext:a.org:/~u/c++", ":ext:a.org/~u/c++");
    }

    #[test]
    fn a_root_that_two_tools_could_read_differently_is_refused() {
        #[track_caller]
        fn check(root: &str, message: &str) {
            let error = normal_root(root).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }

        for root in ["/cvs", ":local:/cvs", ":LOCAL:a.org:/cvs", ":fork:/cvs", ":local;x=y:/cvs"] {
            check(root, "Local CVS roots are not allowed.");
        }
        for root in [":pserver:localhost/cvs", ":ext:a:/cvs", ":ext:a.:/cvs"] {
            check(root, "Please use a fully qualified host name.");
        }
        for root in
            ["", "cvs", "a.org:/cvs", "u@a.org:/cvs", "http://a.org/", ":gserver:a.org/cvs", "::a.org/"]
        {
            check(root, "it does not begin with :pserver: or :ext:");
        }
        for root in [":ext;CVS_RSH=x:a.org/cvs", ":pserver;proxy=b:a.org/cvs", ":ext", ":ext;"] {
            check(root, "it holds options of its method");
        }
        for root in [
            ":pserver:u@v@a.org/cvs",
            ":pserver:-u@a.org/c",
            ":ext:-oProxyCommand=x@a.org/c",
            ":pserver::p@a.org/c",
        ] {
            check(root, "its user is not of");
        }
        for root in [
            ":pserver:u:p@w@a.org/c",
            ":pserver:u:p w@a.org/c",
            ":pserver:u:é@a.org/c",
            ":pserver:u:-p@a.org/c",
        ] {
            check(root, "its password begins with -");
        }
        for root in [":pserver:a.org", ":pserver:a.org:2401", ":ext:a.org/"] {
            check(root, "it has no path");
        }
        for root in [":ext:a.org/a b", ":ext:a.org/../c", ":ext:a.org/-c", ":ext:a.org/a//b", ":ext:a.org/$c"]
        {
            check(root, "its path is not of");
        }
        for root in [":pserver:u:p/w@a.org/cvs", ":pserver:u:1/w@a.org/cvs", ":ext:a.org/x@evil.org/c"] {
            check(root, "it holds an @ after a /");
        }
        check(":pserver:a.org:x/cvs", "its port is not a number");
        check(":ext:u:p@a.org/cvs", "only :pserver: takes a password");
        check(":ext:[::1]/cvs", "CVS can not read an IPv6 address");
        check(":ext:/cvs", "its host is empty");
        check(":ext:-x.org/cvs", "its host is not a name");
        check(":ext:a.org/cvs\n", "it holds a control character");
    }

    #[test]
    fn a_module_is_letters_digits_and_little_else() {
        #[track_caller]
        fn check(module: &str, normal: Result<&str, &str>) {
            let found = normal_module(module).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), normal);
        }

        let illegal = Err("The CVS module contains illegal characters.");
        check("gnome", Ok("gnome"));
        check("gnome/Terminal_2.0/c++-x/", Ok("gnome/Terminal_2.0/c++-x"));
        for module in
            ["", "/", "/gnome", "1a", "-a", "a b", "a\n", "é", "a//b", "a/../b", "a/.", "a/-b", "a;b", "a~"]
        {
            check(module, illegal);
        }
        check("CVS", Err("A CVS module can not be called \"CVS\"."));
        check("a/CVS/b", Err("A CVS module can not be called \"CVS\"."));
        check("CVSROOT", Ok("CVSROOT"));
        check("cvs", Ok("cvs"));
    }
}
