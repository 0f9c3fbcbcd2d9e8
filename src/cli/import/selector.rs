//! Which imports are meant: the same words for lists and for acts on many.

use std::net::Ipv6Addr;

use chrono::TimeDelta;
use clap::Args;

use super::super::argument::{interval, one_of};
use super::super::complete;
use crate::domain::{PersonName, RcsType, ReviewStatus, Status};
use crate::store::views::ImportFilter;

/// Which imports; what is not said does not matter.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which imports")]
pub(super) struct SelectorArgs {
    /// Those of this review status, or of several with commas between: NEW, REVIEWED, SUSPENDED, INVALID, FAILING
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = one_of::<ReviewStatus>,
        add = complete::words::<ReviewStatus>()
    )]
    status: Vec<ReviewStatus>,
    /// Those of this RCS: CVS, SVN, GIT, HG, BZR
    #[arg(long, value_name = "RCS", value_parser = one_of::<RcsType>, add = complete::words::<RcsType>())]
    rcs: Option<RcsType>,
    /// Those of this person or team
    #[arg(long, value_name = "NAME", add = complete::people())]
    owner: Option<PersonName>,
    /// Those that this person registered
    #[arg(long, value_name = "NAME", add = complete::people())]
    registrant: Option<PersonName>,
    /// Those whose source is on this host
    #[arg(long, value_name = "HOST", value_parser = host)]
    host: Option<String>,
    /// Those whose names begin so: ~gnome/
    #[arg(long, value_name = "TEXT", add = complete::imports())]
    name_prefix: Option<String>,
    /// Those whose last success is longer ago, like 2d, or that never had one. No index has it: it looks through
    /// all that the others leave, for ten seconds at most
    #[arg(long, value_name = "TIME", value_parser = interval)]
    stale: Option<TimeDelta>,
    /// Those whose last result is this: SUCCESS, FAILURE_INVALID, … Looks through the others' rest, like --stale
    #[arg(
        long,
        value_name = "RESULT",
        value_parser = one_of::<Status>,
        add = complete::words::<Status>()
    )]
    last_result: Option<Status>,
}

impl SelectorArgs {
    pub(super) fn filter(&self) -> ImportFilter {
        ImportFilter {
            review_statuses: self.status.clone(),
            rcs_type: self.rcs,
            owner: self.owner.clone(),
            registrant: self.registrant.clone(),
            host: self.host.clone(),
            name_prefix: self.name_prefix.clone(),
            stale_for: self.stale,
            last_status: self.last_result,
        }
    }
}

/// Reads a host as sources have it: small letters, and brackets around an IPv6 address.
fn host(word: &str) -> Result<String, String> {
    let host = word.to_lowercase();
    if host.is_empty() || host.contains(['/', '@']) || host.contains(char::is_whitespace) {
        return Err("expected the name of a host alone, like github.com".to_owned());
    }
    Ok(if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_sources_have_it() {
        assert_eq!(host("GitHub.com"), Ok("github.com".to_owned()));
        assert_eq!(host("2001:DB8::1"), Ok("[2001:db8::1]".to_owned()));
        for bad in ["", "https://github.com", "me@github.com", "a b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
