//! The other end of a service's traffic, and the ports it is spoken to at.
//!
//! Contract: what is printed is read back equal. A service is known by its name and its image's repository, so that a container with another image
//! is another peer. Limits: who asks from outside is not told apart; addresses are networks: a /24 or /48 of the internet, one address elsewhere.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;

use crate::input::Protocol;
use crate::path::{is_internet, parse_range};

/// Ports from here on are given out anew for each connection (Linux: 32768 to 60999, RFC 6335: from 49152).
pub const FIRST_EPHEMERAL: u16 = 32_768;
/// Bits of the network that stands for an address of the internet: the least that is routed.
const PREFIXES: (u8, u8) = (24, 48);

/// The other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// The host itself, or a network's gateway.
    Host,
    /// A service of this host: name and image's repository.
    Service(String),
    /// A domain that somebody registered, or a name of a provider's customer.
    Domain(String),
    /// Addresses that never had a name.
    Network(IpNetwork),
    /// Any end in a private network that asks, and is no service.
    Inside,
    /// Any end of the internet that asks.
    Outside,
}

impl Peer {
    /// What stands for an address without a name: its network on the internet, the address itself elsewhere.
    pub fn at(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let prefix = match ip {
            IpAddr::V4(_) if is_internet(ip) => PREFIXES.0,
            IpAddr::V6(_) if is_internet(ip) => PREFIXES.1,
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self::Network(network(ip, prefix))
    }

    /// Whether it is reached over the internet.
    pub fn is_outside(&self) -> bool {
        match self {
            Self::Host | Self::Service(_) | Self::Inside => false,
            Self::Domain(_) | Self::Outside => true,
            Self::Network(network) => is_internet(network.ip()),
        }
    }
}

/// The network of so many bits that holds an address.
pub(super) fn network(ip: IpAddr, prefix: u8) -> IpNetwork {
    let whole = IpNetwork::from(ip);
    IpNetwork::new(ip, prefix).and_then(|range| IpNetwork::new(range.network(), prefix)).unwrap_or(whole)
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Domain(name) => write!(f, "domain {name}"),
            Self::Network(network) => write!(f, "network {network}"),
            Self::Inside => f.write_str("inside"),
            Self::Outside => f.write_str("outside"),
        }
    }
}

/// A text that names no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no peer; write `service NAME (IMAGE)`, `domain NAME`, `network RANGE`, `host`, `inside` or `outside`"
)]
pub struct PeerError(String);

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PeerError(text.to_owned());
        match text.split_once(' ') {
            None if text == "host" => Ok(Self::Host),
            None if text == "inside" => Ok(Self::Inside),
            None if text == "outside" => Ok(Self::Outside),
            Some(("service", name)) if !name.is_empty() => Ok(Self::Service(name.to_owned())),
            Some(("domain", name)) if !name.is_empty() => Ok(Self::Domain(name.to_ascii_lowercase())),
            Some(("network", range)) => parse_range(range).map(Self::Network).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// Ports of one protocol, from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// IP protocol.
    pub protocol: Protocol,
    /// The first; 0 where the protocol has none.
    pub from: u16,
    /// The last.
    pub to: u16,
}

impl Ports {
    /// One port; of a protocol without ports, that one.
    pub const fn one(protocol: Protocol, port: u16) -> Self {
        let port = if protocol.has_ports() { port } else { 0 };
        Self { protocol, from: port, to: port }
    }

    /// All that are given out anew for each connection.
    pub const fn ephemeral(protocol: Protocol) -> Self {
        Self { protocol, from: FIRST_EPHEMERAL, to: u16::MAX }
    }

    /// Whether it is one port that is given out anew for each connection.
    pub const fn is_one_ephemeral(self) -> bool {
        self.from == self.to && self.from >= FIRST_EPHEMERAL
    }
}

/// `443/tcp`, `32768-65535/udp`, `icmp`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol.has_ports(), self.from == self.to) {
            (false, _) => write!(f, "{}", self.protocol),
            (true, true) => write!(f, "{}/{}", self.from, self.protocol),
            (true, false) => write!(f, "{}-{}/{}", self.from, self.to, self.protocol),
        }
    }
}

/// A text that names no ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no port; write one like 443/tcp, 6000-6063/udp, icmp or ip-proto-47")]
pub struct PortsError(String);

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PortsError(text.to_owned());
        let Some((ports, name)) = text.split_once('/') else {
            let protocol = protocol(text).filter(|protocol| !protocol.has_ports()).ok_or_else(wrong)?;
            return Ok(Self::one(protocol, 0));
        };
        let protocol = protocol(name).filter(|protocol| protocol.has_ports()).ok_or_else(wrong)?;
        let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
        let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
        let (from, to) = (number(from)?, number(to)?);
        if from > to { Err(wrong()) } else { Ok(Self { protocol, from, to }) }
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    let by_number = || name.strip_prefix("ip-proto-").and_then(|number| number.parse().ok()).map(Protocol);
    let known = [Protocol::ICMP, Protocol::TCP, Protocol::UDP, Protocol::ICMPV6, Protocol::SCTP];
    known.into_iter().find(|protocol| protocol.to_string() == name).or_else(by_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_and_ports_are_read_as_they_are_printed() {
        for text in
            ["host", "inside", "outside", "service shop/db (postgres)", "domain a.example", "network 10.0.0.1/32"]
        {
            assert_eq!(text.parse::<Peer>().map(|peer| peer.to_string()).as_deref(), Ok(text));
        }
        for text in ["443/tcp", "6000-6063/udp", "icmp", "ip-proto-47", "9/sctp"] {
            assert_eq!(text.parse::<Ports>().map(|ports| ports.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "web", "domain ", "network 10.0.0.1/8", "service"] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
        for text in ["443", "tcp", "9-3/tcp", "70000/tcp", "1/icmp", "x/tcp"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_the_internet_stands_for_its_network_and_a_private_one_for_itself() {
        let at = |text: &str| Peer::at(text.parse().expect("an address")).to_string();
        assert_eq!(at("198.51.100.7"), "network 198.51.100.0/24");
        assert_eq!(at("2001:db8:1:2::3"), "network 2001:db8:1::/48");
        assert_eq!(at("10.1.2.3"), "network 10.1.2.3/32");
        assert_eq!(at("::ffff:10.1.2.3"), "network 10.1.2.3/32");
    }
}
