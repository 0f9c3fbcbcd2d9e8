//! The schemes of URLs.

use strum::{Display, EnumString, VariantArray};

use crate::domain::RcsType;

/// A scheme that an importer can read, for some RCS; the order is the alphabet's (section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Scheme {
    /// Bazaar's own protocol.
    Bzr,
    /// Bazaar's own protocol, through SSH; only by configuration.
    #[strum(serialize = "bzr+ssh")]
    BzrSsh,
    /// The importing machine's own disk; only by configuration.
    File,
    /// Git's own protocol.
    Git,
    /// HTTP.
    Http,
    /// HTTP with TLS.
    Https,
    /// SSH; only by configuration.
    Ssh,
    /// Subversion's own protocol.
    Svn,
    /// Subversion's own protocol, through SSH; only by configuration.
    #[strum(serialize = "svn+ssh")]
    SvnSsh,
}

impl Scheme {
    /// Whether sources of `rcs` may have this scheme on every installation.
    pub(super) fn is_usual(self, rcs: RcsType) -> bool {
        match self {
            Self::Http | Self::Https => rcs != RcsType::Cvs,
            Self::Git => rcs == RcsType::Git,
            Self::Svn => rcs == RcsType::Svn,
            Self::Bzr => rcs == RcsType::Bzr,
            Self::BzrSsh | Self::File | Self::Ssh | Self::SvnSsh => false,
        }
    }

    /// Whether sources of `rcs` may have this scheme where an operator allows it.
    pub(super) fn can_be_allowed(self, rcs: RcsType) -> bool {
        match self {
            Self::File | Self::Ssh => rcs != RcsType::Cvs,
            Self::SvnSsh => rcs == RcsType::Svn,
            Self::BzrSsh => rcs == RcsType::Bzr,
            Self::Bzr | Self::Git | Self::Http | Self::Https | Self::Svn => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_in_the_order_of_the_alphabet_and_read_as_they_are_written() {
        let names: Vec<String> = Scheme::VARIANTS.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["bzr", "bzr+ssh", "file", "git", "http", "https", "ssh", "svn", "svn+ssh"]);
        for scheme in Scheme::VARIANTS {
            assert_eq!(scheme.to_string().parse(), Ok(*scheme));
        }
    }
}
