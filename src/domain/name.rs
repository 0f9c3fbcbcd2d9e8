//! Names that people, hosts and imports go by, checked where they come in.

use std::fmt;
use std::str::FromStr;

/// What is wrong with a name, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not a name: {rule}")]
pub struct BadName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

/// Makes a checked text type.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(value: &str) -> Result<Self, BadName> {
                if $check(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    // A wrong name may be of any size; its beginning says which it is.
                    let value = value.chars().take(200).collect();
                    Err(BadName { what: $what, value, rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = String::deserialize(deserializer)?;
                value.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of a person or a team (section 2).
    PersonName, "person", is_plain_name,
    "it begins with a-z or 0-9, goes on with those and + . -, and has at most 100 bytes"
);
name!(
    /// The name of a machine; it is also the name of its broker account.
    Hostname, "machine", is_plain_name,
    "it begins with a-z or 0-9, goes on with those and + . -, and has at most 100 bytes"
);
name!(
    /// The name of an import's target, `~owner/project/name` (section 2).
    UniqueName, "import", is_unique_name,
    "it reads ~owner/project/name, each part of a-z, 0-9, + . - (and A-Z, _ after the owner), at most 200 bytes"
);

/// `[a-z0-9][a-z0-9+.-]*`, at most 100 bytes.
fn is_plain_name(value: &str) -> bool {
    value.len() <= 100
        && value.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
}

/// `~owner/project/name`; no part can climb out of a directory or hide in it.
fn is_unique_name(value: &str) -> bool {
    let Some(parts) = value.strip_prefix('~') else { return false };
    let parts: Vec<&str> = parts.split('/').collect();
    value.len() <= 200
        && parts.len() == 3
        && parts.first().is_some_and(|owner| is_plain_name(owner))
        && parts.iter().all(|p| is_path_part(p))
}

fn is_path_part(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_lower_case_and_short() {
        for good in ["david.allouche", "no-priv", "0ad", "c++", &"a".repeat(100)] {
            assert_eq!(good.parse::<PersonName>().unwrap().as_str(), good);
        }
        for bad in ["", "-x", ".x", "David", "a b", "a/b", "é", "a\0", &"a".repeat(101)] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_unique_name_has_three_parts_that_are_safe_as_directories() {
        for good in ["~vcs-imports/gnome-terminal/import", "~a/B_1/c.git"] {
            assert_eq!(good.parse::<UniqueName>().unwrap().as_str(), good);
        }
        let long = format!("~a/b/{}", "c".repeat(200));
        for bad in ["a/b/c", "~a/b", "~a/b/c/d", "~a//c", "~a/../c", "~a/b/-c", "~A/b/c", "~a/b/c\n", &long] {
            assert!(bad.parse::<UniqueName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_is_told_with_its_rule() {
        let error = "No Priv".parse::<PersonName>().unwrap_err();
        assert!(
            error.to_string().starts_with(r#"person "No Priv" is not a name: it begins with"#),
            "{error}"
        );
    }
}
