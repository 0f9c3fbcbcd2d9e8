//! Takes user-info out of texts.

use super::parts::prefix_length;

/// What user-info stands behind, wherever it is in a text.
const PREFIXES: [&str; 3] = ["://", ":pserver:", ":ext:"];

/// Replaces the user-info of every URL and CVS root in a text by `***`: tools print them (section 8).
///
/// It is meant for logs, and so leaves alone an `@` in a path. A value that is known to be a source in
/// whole is better hidden by `Source::redacted`.
#[must_use]
pub fn redact(text: &str) -> String {
    text.split_inclusive(ends_word).map(redact_word).collect()
}

/// The last prefix first: when one is looked at, all behind it is redacted, and so nothing is left for a second time.
fn redact_word(word: &str) -> String {
    let mut redacted = word.to_owned();
    for (colon, _) in word.rmatch_indices(':') {
        let rest = redacted.get(colon..).unwrap_or_default();
        let Some(after) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) else { continue };
        if let Some(length) = user_info_length(after) {
            let start = redacted.len().saturating_sub(after.len());
            redacted.replace_range(start..start.saturating_add(length), "***");
        }
    }
    redacted
}

/// No user-info goes on behind it.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Hides all that could be user-info in a text that may be a source: everything up to its last `@`.
///
/// What a person mistyped has no parts to rely on: the `/` in a password ends the host for every parser.
pub(super) fn hide(text: &str) -> String {
    let (prefix, rest) =
        prefix_length(text).and_then(|length| text.split_at_checked(length)).unwrap_or(("", text));
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{prefix}***@{rest}"),
        None => text.to_owned(),
    }
}

/// How much of the rest of a word, which follows a prefix, is user-info.
fn user_info_length(rest: &str) -> Option<usize> {
    let authority = rest.split('/').next().unwrap_or_default();
    if !has_odd_port(authority) {
        return authority.rfind('@');
    }
    // No port reads so: it is a password that a tool decoded, with a `/` in it.
    let (user_info, host) = rest.split_once('@')?;
    let host = host.split('/').next().unwrap_or_default();
    let more = host.rsplit_once('@').map_or(0, |(more, _)| more.len().saturating_add(1));
    Some(user_info.len().saturating_add(more))
}

/// Whether what stands before the first `/` has neither user-info nor a port, but something like both.
fn has_odd_port(authority: &str) -> bool {
    let port = authority.split_once(':').map_or("", |(_, port)| port);
    !authority.contains('@') && !authority.starts_with('[') && !port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_taken_out_of_a_text() {
        #[track_caller]
        fn check(text: &str, redacted: &str) {
            assert_eq!(redact(text), redacted);
            assert_eq!(redact(redacted), redacted, "again");
        }

        check("", "");
        check("nothing: here, me@example.org", "nothing: here, me@example.org");
        check("at https://a.org/b", "at https://a.org/b");
        check("fatal: 'https://u:p@a.org/b' and more", "fatal: 'https://***@a.org/b' and more");
        check("https://u@a.org\nhttps://v:@b.org", "https://***@a.org\nhttps://***@b.org");
        check("https://u:p@a.org,https://v:q@b.org", "https://***@a.org,https://***@b.org");
        check("svn://a.org/trunk@42", "svn://a.org/trunk@42");
        check("https://a.org:80/@scope/x", "https://a.org:80/@scope/x");
        check("https://[::1]/@scope", "https://[::1]/@scope");
        check("https://u:p/w@a.org/x@5", "https://***@a.org/x@5");
        check("https://u:p/w@s@a.org/x@5", "https://***@a.org/x@5");
        check("https://u:p?w#x@a.org", "https://***@a.org");
        check("https://u:http://p@a.org", "https://***@a.org");
        check("cvs -d :pserver:u:p@a.org:/c rlog", "cvs -d :pserver:***@a.org:/c rlog");
        check(":ext:u@a.org/c", ":ext:***@a.org/c");
        check(":pserver:é:ß@a.org", ":pserver:***@a.org");
        check("mail me:x@a.org", "mail me:x@a.org");
        // Found by fuzzing: a prefix within user-info.
        check(r#"x://p@"i:ext:":"~a/c"a.orx://p@"i:ext:":"~a/c"ag"#, r#"x://***@"i:ext:":"~a/c"ag"#);
    }

    #[test]
    fn a_source_that_can_not_be_taken_apart_is_hidden_up_to_its_last_at() {
        assert_eq!(hide("git@a.org:b"), "***@a.org:b");
        assert_eq!(hide("https://u:p/w@a.org/b"), "https://***@a.org/b");
        assert_eq!(hide(":PServer:u:p/w@a.org/b"), ":PServer:***@a.org/b");
        assert_eq!(hide("https:/u:p@a.org"), "***@a.org");
        assert_eq!(hide("/srv/cvs"), "/srv/cvs");
    }
}
