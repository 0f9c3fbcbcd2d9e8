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
    let mut redacted = String::with_capacity(text.len());
    let mut copied: usize = 0;
    for (colon, _) in text.match_indices(':') {
        let rest = text.get(colon..).unwrap_or_default();
        let after = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix));
        // A prefix within user-info that is gone already is part of it.
        let Some(after) = after.filter(|_| colon >= copied) else { continue };
        if let Some(length) = user_info_length(after) {
            let start = text.len().saturating_sub(after.len());
            redacted.push_str(text.get(copied..start).unwrap_or_default());
            redacted.push_str("***");
            copied = start.saturating_add(length);
        }
    }
    redacted.push_str(text.get(copied..).unwrap_or_default());
    redacted
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

/// How much of `rest`, which follows a prefix, is user-info.
fn user_info_length(rest: &str) -> Option<usize> {
    let ends = |c: char| c.is_whitespace() || c.is_control();
    let word = rest.split(ends).next().unwrap_or_default();
    let authority = word.split('/').next().unwrap_or_default();
    if !has_odd_port(authority) {
        return authority.rfind('@');
    }
    // No port reads so: it is a password that a tool decoded, with a `/` in it.
    let (user_info, host) = word.split_once('@')?;
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
