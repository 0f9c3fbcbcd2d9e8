//! Addresses that no source may have: they lead to ourselves, to our neighbours or to nobody (section 8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// From the IANA registry of special-purpose IPv4 addresses, and multicast.
const SPECIAL_IPV4: &[(Ipv4Net, &str)] = &[
    (ipv4([0, 0, 0, 0], 8), "an unspecified address"),
    (ipv4([10, 0, 0, 0], 8), "a private address"),
    (ipv4([100, 64, 0, 0], 10), "a carrier's private address"),
    (ipv4([127, 0, 0, 0], 8), "a loopback address"),
    (ipv4([169, 254, 0, 0], 16), "a link-local address"),
    (ipv4([172, 16, 0, 0], 12), "a private address"),
    (ipv4([192, 0, 0, 0], 24), "an address for protocols"),
    (ipv4([192, 0, 2, 0], 24), "an address for documentation"),
    (ipv4([192, 88, 99, 0], 24), "a 6to4 relay"),
    (ipv4([192, 168, 0, 0], 16), "a private address"),
    (ipv4([198, 18, 0, 0], 15), "an address for benchmarks"),
    (ipv4([198, 51, 100, 0], 24), "an address for documentation"),
    (ipv4([203, 0, 113, 0], 24), "an address for documentation"),
    (ipv4([224, 0, 0, 0], 4), "a multicast address"),
    (ipv4([255, 255, 255, 255], 32), "the broadcast address"),
    (ipv4([240, 0, 0, 0], 4), "a reserved address"),
];

/// From the IANA registry of special-purpose IPv6 addresses; the first that holds an address names it.
const SPECIAL_IPV6: &[(Ipv6Net, &str)] = &[
    (ipv6([0, 0, 0, 0, 0, 0, 0, 0], 128), "an unspecified address"),
    (ipv6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (ipv6([0, 0, 0, 0, 0, 0, 0, 0], 96), "an IPv4-compatible address"),
    (ipv6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "an IPv4-mapped address"),
    (ipv6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "a NAT64 address"),
    (ipv6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "a NAT64 address"),
    (ipv6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard address"),
    (ipv6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo address"),
    (ipv6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "an address for protocols"),
    (ipv6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address for documentation"),
    (ipv6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 address"),
    (ipv6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address for documentation"),
    (ipv6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (ipv6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (ipv6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (ipv6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

/// The only part of IPv6 that is given out as public; all else is special, listed above or not.
const GLOBAL_UNICAST: Ipv6Net = ipv6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// What makes an address special, such as "a loopback address"; none if it is public.
pub(super) fn special_kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            let special = SPECIAL_IPV4.iter().find(|(network, _)| network.contains(&address));
            special.map(|(_, kind)| *kind)
        }
        IpAddr::V6(address) => {
            let special = SPECIAL_IPV6.iter().find(|(network, _)| network.contains(&address));
            let reserved = (!GLOBAL_UNICAST.contains(&address)).then_some("a reserved address");
            special.map(|(_, kind)| *kind).or(reserved)
        }
    }
}

const fn ipv4(bytes: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(bytes), length)
}

const fn ipv6(words: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(words), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, kind: Option<&str>) {
        assert_eq!(special_kind(address.parse().unwrap()), kind, "{address}");
    }

    #[test]
    fn public_addresses_are_not_special() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:db7:ffff::",
            "2003::1",
            "2606:4700:4700::1111",
            "3ffe:ffff::1",
        ] {
            check(address, None);
        }
    }

    #[test]
    fn special_addresses_are_known_to_both_ends_of_their_networks() {
        for (address, kind) in [
            ("0.0.0.0", "an unspecified address"),
            ("0.255.255.255", "an unspecified address"),
            ("10.0.0.0", "a private address"),
            ("10.255.255.255", "a private address"),
            ("100.64.0.0", "a carrier's private address"),
            ("100.127.255.255", "a carrier's private address"),
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.255", "a loopback address"),
            ("169.254.169.254", "a link-local address"),
            ("172.16.0.0", "a private address"),
            ("172.31.255.255", "a private address"),
            ("192.0.0.170", "an address for protocols"),
            ("192.0.2.1", "an address for documentation"),
            ("192.88.99.1", "a 6to4 relay"),
            ("192.168.255.255", "a private address"),
            ("198.18.0.0", "an address for benchmarks"),
            ("198.19.255.255", "an address for benchmarks"),
            ("198.51.100.7", "an address for documentation"),
            ("203.0.113.7", "an address for documentation"),
            ("224.0.0.0", "a multicast address"),
            ("239.255.255.255", "a multicast address"),
            ("240.0.0.0", "a reserved address"),
            ("255.255.255.255", "the broadcast address"),
            ("::", "an unspecified address"),
            ("::1", "a loopback address"),
            ("::7f00:1", "an IPv4-compatible address"),
            ("::ffff:127.0.0.1", "an IPv4-mapped address"),
            ("::ffff:1.1.1.1", "an IPv4-mapped address"),
            ("64:ff9b::7f00:1", "a NAT64 address"),
            ("64:ff9b:1:ffff::1", "a NAT64 address"),
            ("100::1", "a discard address"),
            ("100:0:0:1::1", "a reserved address"),
            ("2001::1", "a Teredo address"),
            ("2001:2::1", "an address for protocols"),
            ("2001:1ff:ffff::", "an address for protocols"),
            ("2001:db8::1", "an address for documentation"),
            ("2002:7f00:1::", "a 6to4 address"),
            ("3fff:fff::1", "an address for documentation"),
            ("4000::1", "a reserved address"),
            ("5f00::1", "a reserved address"),
            ("fc00::1", "a private address"),
            ("fdff:ffff::1", "a private address"),
            ("fe80::1", "a link-local address"),
            ("fec0::1", "a site-local address"),
            ("ff02::1", "a multicast address"),
        ] {
            check(address, Some(kind));
        }
    }
}
