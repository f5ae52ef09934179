//! What a path contract requires.
//!
//! Contract: checked data, ready to judge with; the configuration builds it. Design: hops are named once and shared.

use std::net::IpAddr;
use std::sync::Arc;

use globset::GlobMatcher;
use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DestinationSet, Selector};
use crate::input::{ObservationPoint, Protocol, Workload};

/// How a hop may be proven; one of the accepted kinds is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The other end of the flow is the hop.
    Peer,
    /// The frame's destination MAC belongs to the hop.
    NextHop,
    /// The flow, or its translated twin, was seen at the hop's own observation point.
    Transit,
    /// The kernel's connection tracking says that the reply comes from the hop (REDIRECT, TPROXY, DNAT).
    Redirect,
    /// The socket belongs to the hop, inside a namespace that it shares.
    Owner,
    /// The leg to the hop is matched with a leg from the hop to the target.
    Relay,
}

impl EvidenceKind {
    /// The word used in configuration and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::NextHop => "next_hop",
            Self::Transit => "transit",
            Self::Redirect => "redirect",
            Self::Owner => "owner",
            Self::Relay => "relay",
        }
    }
}

/// What kind of place a hop is; it decides which evidence counts unless the hop names its own, and which rule speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// Is spoken to, knowingly or by redirection: a proxy, a resolver, an ingress.
    #[default]
    Endpoint,
    /// Routes for others: a gateway, firewall or VPN container.
    Gateway,
    /// Traffic runs through it: an inline IDS, a bridge.
    Inline,
    /// Traffic is copied to it.
    Mirror,
    /// Shares the workload's network namespace and speaks for it: a service mesh's sidecar.
    Sidecar,
}

impl HopKind {
    /// The word used in configuration and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Gateway => "gateway",
            Self::Inline => "inline",
            Self::Mirror => "mirror",
            Self::Sidecar => "sidecar",
        }
    }

    /// What proves such a hop, unless it says otherwise.
    pub const fn evidence(self) -> &'static [EvidenceKind] {
        match self {
            Self::Endpoint => &[EvidenceKind::Peer, EvidenceKind::Redirect],
            Self::Gateway => &[EvidenceKind::NextHop],
            Self::Inline | Self::Mirror => &[EvidenceKind::Transit],
            Self::Sidecar => &[EvidenceKind::Owner],
        }
    }
}

/// A port, with or without its protocol: `3128`, `53/udp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// Port.
    pub port: u16,
    /// Protocol; `None` is TCP and UDP.
    pub protocol: Option<Protocol>,
}

impl PortSpec {
    /// Whether a flow to this protocol and port is meant.
    pub fn matches(self, protocol: Protocol, port: u16) -> bool {
        self.port == port && self.protocol.is_none_or(|wanted| wanted == protocol)
    }
}

/// A place that traffic must pass.
#[derive(Clone, Debug)]
pub struct Hop {
    /// Its name in the configuration.
    pub name: String,
    /// What kind of place it is.
    pub kind: HopKind,
    /// Workloads that are the hop; any of them.
    pub workloads: Vec<Selector>,
    /// Addresses that are the hop; any of them.
    pub addresses: Vec<IpNetwork>,
    /// Its own observation points, as globs of interface names; of a workload without: its host-side interfaces.
    pub interfaces: Vec<GlobMatcher>,
    /// Ports at which it serves; empty: any.
    pub ports: Vec<PortSpec>,
    /// Kinds of evidence that count; any one of them proves it.
    pub evidence: Vec<EvidenceKind>,
}

impl PartialEq for Hop {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, kind, workloads, addresses, interfaces, ports, evidence } = self;
        let globs = |of: &[GlobMatcher]| of.iter().map(|glob| glob.glob().clone()).collect::<Vec<_>>();
        (name, kind, workloads, addresses, ports, evidence)
            == (&other.name, &other.kind, &other.workloads, &other.addresses, &other.ports, &other.evidence)
            && globs(interfaces) == globs(&other.interfaces)
    }
}

impl Hop {
    /// Whether a workload is this hop.
    pub fn is_workload(&self, workload: &Workload) -> bool {
        self.workloads.iter().any(|selector| selector.matches(workload))
    }

    /// Whether an observation point is this hop's own by configuration.
    pub fn is_interface(&self, point: &ObservationPoint) -> bool {
        self.interfaces.iter().any(|glob| glob.is_match(point.as_str()))
    }

    /// Whether this kind of evidence counts.
    pub fn accepts(&self, kind: EvidenceKind) -> bool {
        self.evidence.contains(&kind)
    }

    /// Whether an address is this hop by configuration.
    pub fn is_address(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(ip))
    }

    /// Whether it sends on the frames of others as they are.
    pub const fn passes_frames_on(&self) -> bool {
        matches!(self.kind, HopKind::Gateway | HopKind::Inline)
    }

    /// Whether the hop serves there.
    pub fn serves(&self, protocol: Protocol, port: u16) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|spec| spec.matches(protocol, port))
    }
}

/// What kind of traffic a contract is about; it decides which rule speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Name resolution: 53/udp, 53/tcp, 853/tcp (DoT) and 853/udp (DoQ).
    Dns,
    /// Everything else that a workload sends.
    #[default]
    Egress,
    /// What comes in: published ports.
    Ingress,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address; an IPv4-mapped one is IPv4.
    pub const fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

/// One stage of a path: any one of these hops.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Alternatives, in the order of the file; never empty.
    pub any_of: Vec<Arc<Hop>>,
}

/// From whom, to where, via which hops.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Its name: metric label and alert field.
    pub name: String,
    /// What traffic it is about.
    pub service: Service,
    /// Whose traffic: the workloads that send it, or for [`Service::Ingress`] that are reached.
    pub workloads: Vec<Selector>,
    /// The other end: where it goes, or for [`Service::Ingress`] where it comes from.
    pub remotes: Vec<DestinationSet>,
    /// To which ports; empty: any.
    pub ports: Vec<PortSpec>,
    /// Only this address family.
    pub family: Option<Family>,
    /// Networks over which the traffic may leave, by name; empty: those of the hop where it is a workload, else any.
    pub networks: Vec<String>,
    /// The hops that must be passed, in order; none: no path is allowed.
    pub via: Vec<Stage>,
}

impl Contract {
    /// Every hop of every stage.
    pub fn hops(&self) -> impl Iterator<Item = &Arc<Hop>> + Clone {
        self.via.iter().flat_map(|stage| &stage.any_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNS_UDP: PortSpec = PortSpec { port: 53, protocol: Some(Protocol::UDP) };
    const PROXY: PortSpec = PortSpec { port: 3128, protocol: None };

    fn hop(ports: Vec<PortSpec>) -> Hop {
        let addresses = vec!["10.0.0.53".parse().expect("address"), "2001:db8::/64".parse().expect("range")];
        Hop {
            name: "resolver".to_owned(),
            kind: HopKind::Endpoint,
            workloads: Vec::new(),
            addresses,
            interfaces: Vec::new(),
            ports,
            evidence: HopKind::Endpoint.evidence().to_vec(),
        }
    }

    #[test]
    fn a_port_without_protocol_means_both_and_with_one_means_that_one() {
        assert!(PROXY.matches(Protocol::TCP, 3128) && PROXY.matches(Protocol::UDP, 3128));
        assert!(!PROXY.matches(Protocol::TCP, 3129));
        assert!(DNS_UDP.matches(Protocol::UDP, 53));
        assert!(!DNS_UDP.matches(Protocol::TCP, 53));
    }

    #[test]
    fn a_hop_without_ports_serves_everywhere() {
        assert!(hop(Vec::new()).serves(Protocol::TCP, 1));
        let listed = hop(vec![DNS_UDP, PROXY]);
        assert!(listed.serves(Protocol::UDP, 53) && listed.serves(Protocol::TCP, 3128));
        assert!(!listed.serves(Protocol::TCP, 53));
    }

    #[test]
    fn a_hop_is_any_of_its_addresses() {
        let hop = hop(Vec::new());
        assert!(hop.is_address("10.0.0.53".parse().expect("address")));
        assert!(hop.is_address("2001:db8::5".parse().expect("address")));
        assert!(!hop.is_address("10.0.0.54".parse().expect("address")));
    }
}
