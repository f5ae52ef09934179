//! Named sets of destination addresses; `internet` and `any` are built in.
//!
//! Contract: `internet` is every unicast address that is not set aside for private, local or shared use (RFC 6890's
//! registries: private, loopback, link-local, shared, benchmarking, multicast, reserved; ULA in IPv6).
//! A NAT64's addresses are where they lead (RFC 6052's well-known prefix). Limits: documentation ranges (RFC 5737, RFC 3849) count as internet: no host has them by rights, and tests need them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

/// A set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationSet {
    /// Every address.
    Any,
    /// What [`is_internet`] says.
    Internet,
    /// Listed ranges.
    Ranges(Vec<IpNetwork>),
}

impl DestinationSet {
    /// Whether the address is in the set.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Internet => is_internet(ip),
            Self::Ranges(ranges) => ranges.iter().any(|range| range.contains(ip)),
        }
    }
}

/// A text that is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Neither range nor address.
    #[error("{0:?} is not an address range; write one like 10.20.0.0/16, 2001:db8::/32 or 10.1.2.3")]
    NoRange(String),
    /// An address inside the range instead of its first one: perhaps the prefix is wrong, perhaps the address.
    #[error("{text:?} has bits beyond its prefix; did you mean \"{meant}\"?")]
    HostBits {
        /// The text.
        text: String,
        /// The range that holds it.
        meant: IpNetwork,
    },
}

/// Reads an address range, or one address.
pub fn parse_range(text: &str) -> Result<IpNetwork, RangeError> {
    let no_range = || RangeError::NoRange(text.chars().take(80).collect());
    let range: IpNetwork = text.parse().map_err(|_| no_range())?;
    let meant = IpNetwork::new(range.network(), range.prefix()).map_err(|_| no_range())?;
    if meant == range { Ok(range) } else { Err(RangeError::HostBits { text: text.to_owned(), meant }) }
}

/// Whether an address is reached over the internet.
pub fn is_internet(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_internet_v4(ip),
        IpAddr::V6(ip) => is_internet_v6(ip),
    }
}

fn is_internet_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmarking = a == 198 && (18..20).contains(&b);
    let local = ip.is_private() || ip.is_loopback() || ip.is_link_local();
    !(local || shared || benchmarking || a == 0 || ip.is_multicast() || a >= 240)
}

fn is_internet_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // What a NAT64 translates (RFC 6052 §2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
            is_internet_v4(Ipv4Addr::new(a, b, c, d))
        }
        // 2000::/3 is the only unicast range that IANA hands out.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_with_bits_beyond_its_prefix_says_which_was_meant() {
        assert_eq!(parse_range("10.20.0.0/16").map(|range| range.prefix()), Ok(16));
        assert_eq!(parse_range("2001:db8::1").map(|range| range.prefix()), Ok(128));
        let error = parse_range("2001:db8::1/32").expect_err("an address in the range");
        assert_eq!(error.to_string(), "\"2001:db8::1/32\" has bits beyond its prefix; did you mean \"2001:db8::/32\"?");
        for text in ["", "10.0.0.0/33", "10.0.0", "internet", "::/129", "10.0.0.0/", "/8"] {
            assert_eq!(parse_range(text), Err(RangeError::NoRange(text.to_owned())));
        }
    }

    #[test]
    fn the_built_in_sets_hold_what_they_say() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("address");
        let corp = DestinationSet::Ranges(vec![parse_range("10.20.0.0/16").expect("range")]);
        for (set, inside, outside) in
            [(&DestinationSet::Internet, "198.51.100.7", "10.20.0.1"), (&corp, "10.20.255.255", "10.21.0.0")]
        {
            assert!(set.contains(ip(inside)) && !set.contains(ip(outside)));
        }
        assert!(DestinationSet::Any.contains(ip("127.0.0.1")) && DestinationSet::Any.contains(ip("2001:db8::1")));
    }

    #[test]
    fn private_and_local_addresses_are_not_the_internet() {
        for inside in [
            "10.1.2.3",
            "172.17.0.2",
            "192.168.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "0.0.0.0",
            "255.255.255.255",
        ] {
            assert!(!is_internet(inside.parse().expect("address")), "{inside}");
        }
        for outside in ["198.51.100.7", "203.0.113.9", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(is_internet(outside.parse().expect("address")), "{outside}");
        }
    }
}
