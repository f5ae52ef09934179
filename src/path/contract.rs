//! What a path contract requires.
//!
//! Contract: checked data, ready to judge with; the configuration builds it. Design: hops are named once and shared.

use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DestinationSet, Selector};
use crate::input::{Protocol, Workload};

/// How a hop may be proven (architecture: "How a hop is proven").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The responder of the flow is the hop.
    Peer,
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
    /// Workloads that are the hop; any of them.
    pub workloads: Vec<Selector>,
    /// Addresses that are the hop; any of them.
    pub addresses: Vec<IpNetwork>,
    /// Ports at which it serves; empty: any.
    pub ports: Vec<PortSpec>,
}

impl Hop {
    /// Whether a workload is this hop.
    pub fn is_workload(&self, workload: &Workload) -> bool {
        self.workloads.iter().any(|selector| selector.matches(workload))
    }

    /// Whether an address is this hop by configuration.
    pub fn is_address(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(ip))
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
    /// Everything else.
    #[default]
    Egress,
}

/// From whom, to where, via which hop.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Its name: metric label and alert field.
    pub name: String,
    /// What traffic it is about.
    pub service: Service,
    /// Whose traffic.
    pub from: Vec<Selector>,
    /// To where.
    pub to: Vec<DestinationSet>,
    /// To which ports; empty: any.
    pub ports: Vec<PortSpec>,
    /// The hop that must be passed.
    pub via: Arc<Hop>,
    /// Kinds of evidence that count.
    pub evidence: Vec<EvidenceKind>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNS_UDP: PortSpec = PortSpec { port: 53, protocol: Some(Protocol::UDP) };
    const PROXY: PortSpec = PortSpec { port: 3128, protocol: None };

    fn hop(ports: Vec<PortSpec>) -> Hop {
        let addresses = vec!["10.0.0.53".parse().expect("address"), "2001:db8::/64".parse().expect("range")];
        Hop { name: "resolver".to_owned(), workloads: Vec::new(), addresses, ports }
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
