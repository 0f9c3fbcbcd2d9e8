//! What holds for every source, whatever is typed.

use proptest::prelude::*;
use proptest::sample::select;
use strum::VariantArray;

use super::parts::is_forbidden;
use super::{BadSource, MAX_BYTES, Scheme, Source, SourceInput, SourcePolicy, redact};
use crate::domain::RcsType;

/// Pieces that parsers of URLs and of CVS roots have stumbled over.
const PIECES: &[&str] = &[
    "http://",
    "https://",
    "git://",
    "svn://",
    "bzr://",
    "ssh://",
    "file://",
    "ext::",
    ":pserver:",
    ":ext:",
    ":local:",
    ":ext;CVS_RSH=x:",
    "a.org",
    "example.org",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[2606::1]",
    "2130706433",
    "0x7f.1",
    "bücher",
    "user",
    "s3cret",
    ":",
    "@",
    "/",
    "//",
    ".",
    "..",
    "-",
    "_",
    "%",
    "%2d",
    "%2F",
    "%0a",
    "%40",
    "%25",
    "\\",
    "?",
    "#",
    ";",
    "'",
    "\"",
    " ",
    "\t",
    "\n",
    "\0",
    "\u{202e}",
    "\u{ad}",
    "。",
    ":80",
    ":443",
    ":22",
    ":2401",
    ":8080",
    "CVS",
    "module",
    "~",
    "+",
    "*",
    "é",
    "𝕒",
];

/// All that configuration can allow, so that most of what is typed gets far.
fn open_policy() -> SourcePolicy {
    SourcePolicy {
        extra_schemes: Scheme::VARIANTS.to_vec(),
        blocked_hosts: Vec::new(),
        allowed_networks: ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap()).to_vec(),
    }
}

fn text() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces, any::<String>()]
}

fn host() -> impl Strategy<Value = String> {
    let name = "[A-Za-z0-9][A-Za-z0-9-]{0,8}(\\.[a-z][a-z0-9-]{0,8}){1,3}\\.?";
    prop_oneof![name, any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string())]
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), (1..=u16::MAX).prop_map(|port| format!(":{port}"))]
}

fn path() -> impl Strategy<Value = String> {
    "(/[A-Pa-z0-9_.+~][A-Pa-z0-9_+-]{1,5}){1,4}/{0,2}"
}

fn rcs() -> impl Strategy<Value = RcsType> {
    select(RcsType::VARIANTS)
}

/// A URL or CVS details, and the user-info to put in; what is made of them mostly passes.
fn good() -> impl Strategy<Value = (RcsType, &'static str, String)> {
    let prefix = select(vec![
        (RcsType::Git, "git://"),
        (RcsType::Git, "SSH://"),
        (RcsType::Svn, "Svn://"),
        (RcsType::Hg, "http://"),
        (RcsType::Bzr, "https://"),
        (RcsType::Cvs, ":PServer:"),
    ]);
    (prefix, host(), port(), path())
        .prop_map(|((rcs, prefix), host, port, path)| (rcs, prefix, format!("{host}{port}{path}")))
}

fn input(rcs: RcsType, location: String) -> SourceInput {
    match rcs {
        RcsType::Cvs => {
            SourceInput { url: None, cvs_root: Some(location), cvs_module: Some("module".to_owned()) }
        }
        _ => SourceInput { url: Some(location), ..SourceInput::default() },
    }
}

fn location(source: &Source) -> &str {
    match source {
        Source::Url(url) => url,
        Source::Cvs { root, .. } => root,
    }
}

/// What every source is that was let through.
fn require_normal(rcs: RcsType, source: &Source) -> Result<(), TestCaseError> {
    let again = open_policy().check(rcs, &source.clone().into());
    prop_assert_eq!(again.map(|again| again == *source), Ok(true), "the normal form has a normal form");
    let location = location(source);
    prop_assert!(location.len() <= MAX_BYTES);
    prop_assert!(location.is_ascii() && !location.contains(is_forbidden) && !location.contains(' '));
    prop_assert!(!location.ends_with('/') && !location.starts_with('-'));
    prop_assert!(source.same_as(&source.redacted()));
    // A browser looks for drive letters in the path of a file.
    let parsed = ::url::Url::parse(location).ok().filter(|parsed| parsed.scheme() != "file");
    if let Some(parsed) = parsed {
        let host = parsed.host_str().unwrap_or_default();
        prop_assert_eq!(host.trim_matches(['[', ']']), source.host(), "a browser connects elsewhere");
        prop_assert_eq!(parsed.path().trim_end_matches('/'), parsed_path(location));
    }
    Ok(())
}

fn parsed_path(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').map_or("", |slash| &rest[slash..])
}

/// What PostgreSQL makes of a source that is in its index.
///
/// `'^([a-z][a-z0-9+.-]*://)[^/@]*@'` and `'^(:[a-z]+:)[^/@]*@'`, replaced by `'\1'`.
fn key_in_sql(source: &Source) -> String {
    let location = location(source);
    let prefix = match source {
        Source::Url(url) => url.find("://").unwrap() + 3,
        Source::Cvs { root, .. } => root[1..].find(':').unwrap() + 2,
    };
    let (prefix, rest) = location.split_at(prefix);
    let end = rest.find(['/', '@']).unwrap_or(rest.len());
    let key = format!("{prefix}{}", rest[end..].strip_prefix('@').unwrap_or(rest));
    match source {
        Source::Url(_) => key,
        Source::Cvs { module, .. } => format!("{key} {module}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_is_typed_is_refused_or_has_one_normal_form(rcs in rcs(), text in text(), module in text()) {
        let mut input = input(rcs, text);
        if rcs == RcsType::Cvs {
            input.cvs_module = Some(module);
        }
        match open_policy().check(rcs, &input) {
            Ok(source) => {
                require_normal(rcs, &source)?;
                prop_assert_eq!(source.key(), key_in_sql(&source));
            }
            Err(error) => prop_assert!(!error.to_string().contains(is_forbidden)),
        }
    }

    #[test]
    fn most_of_what_is_typed_carefully_passes((rcs, prefix, rest) in good()) {
        match open_policy().check(rcs, &input(rcs, format!("{prefix}{rest}"))) {
            Ok(source) => require_normal(rcs, &source)?,
            // `xn--` that encodes nothing, and a last label that is a number.
            Err(error) => prop_assert!(matches!(error, BadSource::Malformed { .. }), "{error}"),
        }
    }

    #[test]
    fn user_info_changes_no_key_and_is_never_shown(
        (rcs, prefix, rest) in good(),
        user in "QZ[a-z0-9]{0,5}",
        password in "[!-~&&[^/@%-]][!-.0-~&&[^@%]]{0,8}",
    ) {
        let policy = open_policy();
        let without = policy.check(rcs, &input(rcs, format!("{prefix}{rest}")));
        prop_assume!(without.is_ok());
        let without = without.unwrap();
        let secret = format!("QZ{password}");
        // In a URL, these end the authority or are refused.
        let typed = if rcs == RcsType::Cvs { secret.clone() } else { secret.replace(['?', '#', '\\'], "&") };
        let with = policy.check(rcs, &input(rcs, format!("{prefix}{user}:{typed}@{rest}"))).unwrap();
        prop_assert!(with.same_as(&without));
        prop_assert_eq!(key_in_sql(&with), with.key());
        prop_assert_eq!(with.host_and_port(), without.host_and_port());
        require_normal(rcs, &with)?;

        let logged = redact(&format!("could not read '{}': no", location(&with)));
        for shown in [format!("{with:?}"), location(&with.redacted()).to_owned(), with.key(), logged] {
            prop_assert!(!shown.contains("QZ"), "{shown}");
        }
    }

    #[test]
    fn no_refusal_tells_user_info(rcs in rcs(), before in text(), after in text()) {
        // What stands before `://` or `::` is a scheme, and shown; so this does not.
        let typed = format!("{before}user:QZ{after}@a.org/b");
        let input = input(rcs, typed);
        let refusal = SourcePolicy::default().check(rcs, &input).err();
        let message = refusal.as_ref().map(ToString::to_string);
        let shown = format!("{input:?} {message:?} {refusal:?}");
        prop_assert!(!shown.contains("QZ"), "{shown}");
    }

    #[test]
    fn redaction_takes_any_text_and_has_nothing_left_to_do(text in text()) {
        let redacted = redact(&text);
        prop_assert_eq!(redact(&redacted), redacted);
    }
}
