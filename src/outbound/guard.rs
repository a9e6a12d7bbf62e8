//! Which addresses may be called. A name is resolved, its addresses are checked, and the connection is made to one of
//! those that passed: there is no moment between check and use in which the name could come to mean something else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those of the public internet.
    Public,
    /// All: the operator named the servers, and knows where they are.
    Everywhere,
}

/// Whether a URL's host is written as an address that is not public, or as `localhost`: whoever writes that means it.
pub(crate) fn names_private(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    url.as_ref().and_then(reqwest::Url::host_str).is_some_and(|host| {
        let name = host.trim_end_matches('.');
        name == "localhost" || name.ends_with(".localhost") || literal(host).is_some_and(|ip| !is_public(ip))
    })
}

/// Whether a URL's host is written as this machine's own: nothing that goes there is on any line.
pub(crate) fn names_loopback(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    url.as_ref().and_then(reqwest::Url::host_str).is_some_and(|host| {
        let name = host.trim_end_matches('.');
        name == "localhost"
            || name.ends_with(".localhost")
            || literal(host).is_some_and(|ip| ip.is_loopback())
    })
}

/// The address that a URL's host is, if it is not a name. The reader of URLs has brought all spellings into one.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A host has only addresses that must not be called.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct Forbidden;

/// Resolves names to their public addresses.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let public: Vec<SocketAddr> =
                found.into_iter().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// IPv4 networks that are not of the public internet (IANA special-purpose registry), each with its prefix length.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same within 2000::/3; all other IPv6 networks are special.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments, Teredo among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4 carries an IPv4 address that nobody checks.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is one of the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !SPECIAL_V4
            .iter()
            .any(|&(network, prefix)| (address.to_bits() ^ network.to_bits()) >> (u32::BITS - prefix) == 0),
        IpAddr::V6(address) => {
            address.segments()[0] >> 13 == 0b001
                && !SPECIAL_V6.iter().any(|&(network, prefix)| {
                    (address.to_bits() ^ network.to_bits()) >> (u128::BITS - prefix) == 0
                })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for text in ["8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.169.0.1"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["2606:4700::1111", "2001:4860::8888", "2a00::1", "::ffff:8.8.8.8"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn a_private_host_is_meant_only_where_the_url_says_so() {
        for url in ["http://localhost:8080/fhir", "http://10.1.2.3/", "https://[fd00::1]/x", "http://127.1/"]
        {
            assert!(names_private(url), "{url}");
        }
        for url in ["https://ehr.example.org/fhir", "https://8.8.8.8/", "http://local.example/", "nowhere"] {
            assert!(!names_private(url), "{url}");
        }
    }
}
