//! What an installation imports from.

use std::net::IpAddr;

use ipnet::IpNet;
use strum::VariantArray;

use super::address::special_kind;
use super::{BadSource, BlockedHost, MAX_BYTES, Scheme, Shown, Source, SourceInput, cvs, url};
use crate::domain::RcsType;

/// What may be imported (section 8); by default, what an operator who configures nothing allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePolicy {
    /// Allowed beyond the usual ones, for every RCS that can be read through them.
    pub extra_schemes: Vec<Scheme>,
    /// Refused, and with them all hosts below them.
    pub blocked_hosts: Vec<BlockedHost>,
    /// Allowed although their addresses are special.
    pub allowed_networks: Vec<IpNet>,
}

impl Default for SourcePolicy {
    fn default() -> Self {
        Self {
            extra_schemes: Vec::new(),
            blocked_hosts: vec![BlockedHost::localhost()],
            allowed_networks: Vec::new(),
        }
    }
}

impl SourcePolicy {
    /// Checks a source of `rcs` and brings it into normal form (section 8).
    ///
    /// Where its host is a name, the addresses of that name are still to be checked, by
    /// [`SourcePolicy::check_addresses`]; at a redirect, both are, again.
    pub fn check(&self, rcs: RcsType, input: &SourceInput) -> Result<Source, BadSource> {
        let url = given(input.url.as_deref());
        let root = given(input.cvs_root.as_deref());
        let module = given(input.cvs_module.as_deref());
        require_short(&[url, root, module])?;
        let source = if rcs == RcsType::Cvs {
            checked_cvs(url, root, module)?
        } else {
            if root.is_some() || module.is_some() {
                return Err(BadSource::CvsDetails(rcs));
            }
            let url = url.ok_or(BadSource::NoUrl)?;
            Source::Url(url::normal_form(url, &self.schemes(rcs))?)
        };
        match &source {
            Source::Url(url) => require_short(&[Some(url)])?,
            Source::Cvs { root, module } => require_short(&[Some(root), Some(module)])?,
        }
        self.check_host(&source)?;
        Ok(source)
    }

    /// Checks the addresses that a host has: all of them, since any may be connected to (section 8).
    pub fn check_addresses(&self, host: &str, addresses: &[IpAddr]) -> Result<(), BadSource> {
        if addresses.is_empty() {
            return Err(BadSource::NoAddress(Shown::of(host)));
        }
        let forbidden = |address: &IpAddr| {
            let kind = special_kind(*address).filter(|_| !self.allows(*address))?;
            Some(BadSource::SpecialAddress { host: Shown::of(host), address: *address, kind })
        };
        addresses.iter().find_map(forbidden).map_or(Ok(()), Err)
    }

    /// The schemes that sources of `rcs` may have, sorted.
    fn schemes(&self, rcs: RcsType) -> Vec<Scheme> {
        let extra = |scheme: Scheme| self.extra_schemes.contains(&scheme) && scheme.can_be_allowed(rcs);
        Scheme::VARIANTS.iter().copied().filter(|scheme| scheme.is_usual(rcs) || extra(*scheme)).collect()
    }

    fn check_host(&self, source: &Source) -> Result<(), BadSource> {
        let host = source.host();
        if let Some(blocked) = self.blocked_hosts.iter().find(|blocked| blocked.covers(host)) {
            return Err(BadSource::BlockedHost { host: Shown::of(host), blocked: blocked.clone() });
        }
        match source.literal_address() {
            Some(address) => self.check_addresses(host, &[address]),
            None => Ok(()),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let allowed =
            |address: IpAddr| self.allowed_networks.iter().any(|network| network.contains(&address));
        // An IPv4 address in an IPv6 one leads where the IPv4 address leads.
        allowed(address) || allowed(address.to_canonical())
    }
}

/// What was typed, without the blanks around it; none if that is nothing.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(|text| text.trim_matches(' ')).filter(|text| !text.is_empty())
}

fn checked_cvs(url: Option<&str>, root: Option<&str>, module: Option<&str>) -> Result<Source, BadSource> {
    if url.is_some() {
        return Err(BadSource::UrlOfCvs);
    }
    let root = cvs::normal_root(root.ok_or(BadSource::NoCvsRoot)?)?;
    let module = cvs::normal_module(module.ok_or(BadSource::NoCvsModule)?)?;
    Ok(Source::Cvs { root, module })
}

fn require_short(texts: &[Option<&str>]) -> Result<(), BadSource> {
    let bytes = texts.iter().flatten().map(|text| text.len()).sum();
    if bytes > MAX_BYTES { Err(BadSource::TooLong { bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> SourceInput {
        SourceInput { url: Some(url.to_owned()), ..SourceInput::default() }
    }

    fn cvs(root: &str, module: &str) -> SourceInput {
        SourceInput { url: None, cvs_root: Some(root.to_owned()), cvs_module: Some(module.to_owned()) }
    }

    fn allowing(networks: &[&str]) -> SourcePolicy {
        let allowed_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        SourcePolicy { allowed_networks, ..SourcePolicy::default() }
    }

    fn message(policy: &SourcePolicy, rcs: RcsType, input: &SourceInput) -> Option<String> {
        policy.check(rcs, input).err().map(|error| error.to_string())
    }

    #[test]
    fn each_rcs_has_its_schemes() {
        #[track_caller]
        fn check(extra: &[Scheme], rcs: RcsType, schemes: &str) {
            let policy = SourcePolicy { extra_schemes: extra.to_vec(), ..SourcePolicy::default() };
            let expected = format!(
                "The URI scheme \"gopher\" is not allowed. \
                 Only URIs with the following schemes may be used: {schemes}"
            );
            assert_eq!(message(&policy, rcs, &url("gopher://a.org/b")), Some(expected));
        }

        check(&[], RcsType::Git, "git, http, https");
        check(&[], RcsType::Svn, "http, https, svn");
        check(&[], RcsType::Hg, "http, https");
        check(&[], RcsType::Bzr, "bzr, http, https");
        check(&[Scheme::Ssh, Scheme::File, Scheme::SvnSsh], RcsType::Git, "file, git, http, https, ssh");
        check(&[Scheme::SvnSsh, Scheme::Git, Scheme::Http], RcsType::Svn, "http, https, svn, svn+ssh");
        check(Scheme::VARIANTS, RcsType::Hg, "file, http, https, ssh");
        check(Scheme::VARIANTS, RcsType::Bzr, "bzr, bzr+ssh, file, http, https, ssh");
    }

    #[test]
    fn cvs_has_its_details_and_every_other_rcs_a_url() {
        #[track_caller]
        fn check(rcs: RcsType, input: &SourceInput, message: &str) {
            let error = SourcePolicy::default().check(rcs, input).unwrap_err();
            assert_eq!(error.to_string(), message);
        }

        let both = SourceInput { url: Some("http://a.org/b".to_owned()), ..cvs(":ext:a.org/b", "c") };
        check(RcsType::Cvs, &both, "A CVS import has a CVS root and a CVS module, and no URL.");
        check(
            RcsType::Cvs,
            &url("http://a.org"),
            "A CVS import has a CVS root and a CVS module, and no URL.",
        );
        check(RcsType::Hg, &both, "A HG import has a URL, and no CVS root and no CVS module.");
        check(RcsType::Git, &url("  "), "Enter the URL of a foreign VCS branch.");
        check(RcsType::Cvs, &SourceInput::default(), "Enter a CVS root.");
        check(RcsType::Cvs, &cvs(":ext:a.org/b", ""), "Enter a CVS module.");
        check(RcsType::Cvs, &cvs(":local:/b", "c"), "Local CVS roots are not allowed.");
    }

    #[test]
    fn blanks_around_what_was_typed_are_nothing() {
        let checked = SourcePolicy::default().check(RcsType::Git, &url(" https://a.org/b "));
        assert_eq!(checked, Ok(Source::Url("https://a.org/b".to_owned())));
    }

    #[test]
    fn a_source_has_at_most_two_thousand_bytes() {
        #[track_caller]
        fn check(rcs: RcsType, input: &SourceInput, bytes: Option<usize>) {
            let error = SourcePolicy::default().check(rcs, input).err();
            assert_eq!(error, bytes.map(|bytes| BadSource::TooLong { bytes }));
        }

        let path = |length: usize| format!("http://a.org/{}", "b".repeat(length - 13));
        check(RcsType::Git, &url(&path(2_000)), None);
        check(RcsType::Git, &url(&path(2_001)), Some(2_001));
        check(RcsType::Git, &url(&format!("http://a.org/{}", "é".repeat(400))), Some(2_413));
        check(RcsType::Cvs, &cvs(":ext:a.org/b", &"c".repeat(1_988)), None);
        check(RcsType::Cvs, &cvs(":ext:a.org/b", &"c".repeat(1_989)), Some(2_001));
    }

    #[test]
    fn a_blocked_host_is_refused_with_all_below_it() {
        #[track_caller]
        fn check(host: &str, blocked: bool) {
            let policy = SourcePolicy {
                blocked_hosts: ["localhost", ".Code.Example.ORG.", "bücher.example", "[2606::1]"]
                    .map(|host| host.parse().unwrap())
                    .to_vec(),
                ..allowing(&["0.0.0.0/0", "::/0"])
            };
            let found = policy.check(RcsType::Git, &url(&format!("https://u:p@{host}:8/b")));
            assert_eq!(matches!(found, Err(BadSource::BlockedHost { .. })), blocked, "{host}: {found:?}");
        }

        for host in ["localhost", "LOCALHOST.", "a.localhost", "code.example.org", "x.CODE.example.org."] {
            check(host, true);
        }
        for host in ["BÜCHER.example", "xn--bcher-kva.example", "[2606:0::1]"] {
            check(host, true);
        }
        for host in
            ["nolocalhost", "localhost.org", "example.org", "notcode.example.org", "127.0.0.1", "[::1]"]
        {
            check(host, false);
        }
    }

    #[test]
    fn a_blocked_host_is_told_without_user_info() {
        assert_eq!(
            message(&SourcePolicy::default(), RcsType::Git, &url("http://u:p@a.localhost/b")).as_deref(),
            Some(r#"The host "a.localhost" is refused: "localhost" and all hosts below it are blocked."#)
        );
    }

    #[test]
    fn a_host_that_is_a_special_address_is_refused_however_it_is_written() {
        let policy = SourcePolicy::default();
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"] {
            for (rcs, scheme) in [(RcsType::Git, "git"), (RcsType::Svn, "svn"), (RcsType::Hg, "http")] {
                let found = policy.check(rcs, &url(&format!("{scheme}://{host}/b")));
                assert!(matches!(found, Err(BadSource::SpecialAddress { .. })), "{host}: {found:?}");
            }
        }
        let found = policy.check(RcsType::Cvs, &cvs(":pserver:10.1/b", "c"));
        assert!(matches!(found, Err(BadSource::SpecialAddress { .. })), "{found:?}");
    }

    #[test]
    fn an_operator_can_allow_the_address_of_a_test_server_but_not_its_name_with_it() {
        let policy = allowing(&["127.0.0.0/8"]);
        assert_eq!(message(&policy, RcsType::Git, &url("http://127.0.0.1:8000/b")), None);
        assert_eq!(message(&policy, RcsType::Cvs, &cvs(":pserver:127.0.0.1:2500/b", "c")), None);
        assert!(message(&policy, RcsType::Git, &url("http://localhost:8000/b")).is_some());
        assert!(message(&policy, RcsType::Git, &url("http://10.0.0.1/b")).is_some());
    }

    #[test]
    fn every_address_of_a_host_must_be_public_or_allowed() {
        #[track_caller]
        fn check(allowed: &[&str], addresses: &[&str], refused: Option<&str>) {
            let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let message = allowing(allowed).check_addresses("a.org", &addresses).err();
            let message = message.map(|error| error.to_string());
            assert_eq!(message.is_some(), refused.is_some(), "{message:?}");
            assert!(message.unwrap_or_default().contains(refused.unwrap_or_default()));
        }

        check(&[], &["1.1.1.1", "2606:4700:4700::1111"], None);
        check(&[], &[], Some(r#"The host "a.org" has no address."#));
        check(&[], &["1.1.1.1", "10.0.0.1"], Some("its address 10.0.0.1 is a private address."));
        check(&["10.0.0.0/8"], &["1.1.1.1", "10.0.0.1"], None);
        check(&["10.0.0.0/8"], &["::ffff:10.0.0.1"], None);
        check(&["10.0.0.0/8"], &["::ffff:11.0.0.1"], Some("is an IPv4-mapped address."));
        check(&["10.0.0.0/8"], &["::10.0.0.1"], Some("is an IPv4-compatible address."));
        check(
            &["10.0.0.0/8"],
            &["10.0.0.1", "10.0.0.2", "127.0.0.1"],
            Some("127.0.0.1 is a loopback address."),
        );
        check(&["fd00::/8"], &["fd00::1"], None);
    }
}
