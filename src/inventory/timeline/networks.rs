//! The networks of the runtimes and the host's own interfaces: which addresses are the host's, which are nobody's yet.
//!
//! Contract: gateways of bridge networks (as the network or its workloads name them) and addresses reported by links are the host's; a bridge network's range is inside.
//! A macvlan's gateway is a router outside, and its range is shared with strangers: neither counts. Limits:
//! [`MAX_NETWORKS`], [`MAX_LINKS`]; beyond, newcomers are refused and counted (a link that is down makes room first).
//! Design: reads are once a flow and the lists are short, so subnets are searched in order of network id.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use crate::input::{Attachment, LinkEvent, Mac, ObservationPoint, RuntimeNetwork, WorkloadId};

/// Docker's default address pools hold 31 networks; a host with more than this many has other problems.
const MAX_NETWORKS: usize = 4096;
/// One a running container, and the bridges.
const MAX_LINKS: usize = 32_768;
/// Of one network; it has one an address family.
const MAX_GATEWAYS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Networks {
    by_id: BTreeMap<String, Arc<RuntimeNetwork>>,
    links: BTreeMap<ObservationPoint, LinkEvent>,
    learned: BTreeMap<ObservationPoint, Mac>,
    /// Points inside the namespaces of workloads.
    inside: BTreeMap<WorkloadId, BTreeSet<ObservationPoint>>,
    /// Gateways that workloads named; Docker's networks leave theirs out when only a range was asked for.
    named: BTreeMap<String, BTreeSet<IpAddr>>,
    host: HashSet<IpAddr, foldhash::fast::RandomState>,
    /// Ranges of the networks outside of the private ones: few hosts have any.
    public: Vec<IpNetwork>,
}

impl Networks {
    /// A network as it is now; false when there was no room for it.
    pub(super) fn apply(&mut self, network: &Arc<RuntimeNetwork>) -> bool {
        let room = self.by_id.len() < MAX_NETWORKS || self.by_id.contains_key(&network.id);
        if room {
            self.by_id.insert(network.id.clone(), network.clone());
            self.list_host();
        }
        room
    }

    pub(super) fn remove(&mut self, id: &str) {
        if self.by_id.remove(id).is_some() {
            self.named.remove(id);
            self.list_host();
        }
    }

    /// Notes the gateways that an attachment names, if its network is known as a bridge.
    pub(super) fn apply_gateways(&mut self, attachment: &Attachment) {
        let network = self.by_id_or_name(&attachment.network_id, &attachment.network);
        let Some(id) = network.filter(|network| is_bridged(network)).map(|network| network.id.clone()) else { return };
        let named = self.named.entry(id).or_default();
        for gateway in attachment.gateways.iter().map(IpAddr::to_canonical) {
            if named.len() < MAX_GATEWAYS && named.insert(gateway) {
                self.host.insert(gateway);
            }
        }
    }

    /// A link as it is now; false when there was no room for it. What a vanished link had is remembered until it returns.
    pub(super) fn apply_link(&mut self, link: &LinkEvent) -> bool {
        if let Some(known) = self.links.get_mut(&link.point) {
            known.up = link.up;
            if link.up {
                let before = known.inside.take();
                let mac = link.mac.or(known.mac);
                *known = LinkEvent { mac, ..link.clone() };
                self.is_not_inside(&link.point, before.as_ref());
            }
        } else if self.links.len() < MAX_LINKS || self.drop_one_down() {
            self.links.insert(link.point.clone(), link.clone());
        } else {
            return false;
        }
        if let Some(id) = link.inside.as_ref().filter(|_| link.up) {
            self.inside.entry(id.clone()).or_default().insert(link.point.clone());
        }
        self.list_host();
        true
    }

    /// Forgets a link that is down; false when all are up.
    fn drop_one_down(&mut self) -> bool {
        let Some(down) = self.links.values().find(|known| !known.up).map(|known| known.point.clone()) else {
            return false;
        };
        self.learned.remove(&down);
        let inside = self.links.remove(&down).and_then(|link| link.inside);
        self.is_not_inside(&down, inside.as_ref());
        true
    }

    fn is_not_inside(&mut self, point: &ObservationPoint, id: Option<&WorkloadId>) {
        let Some(id) = id else { return };
        let empty = self.inside.get_mut(id).is_some_and(|points| {
            points.remove(point);
            points.is_empty()
        });
        if empty {
            self.inside.remove(id);
        }
    }

    pub(super) fn link(&self, point: &ObservationPoint) -> Option<&LinkEvent> {
        self.links.get(point)
    }

    /// All links as they were last reported, in order of name.
    pub(super) fn links(&self) -> impl Iterator<Item = &LinkEvent> {
        self.links.values()
    }

    pub(super) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether packets can be seen at a point on the host.
    pub(super) fn is_up(&self, point: &ObservationPoint) -> bool {
        self.links.get(point).is_some_and(|link| link.up && link.inside.is_none())
    }

    /// Points on the host at which its own traffic can be seen: those with an address, but for the bridges of networks.
    pub(super) fn host_points(&self) -> Vec<ObservationPoint> {
        let bridges: BTreeSet<&str> = self.by_id.values().filter_map(|network| network.bridge.as_deref()).collect();
        let is_hosts = |link: &&LinkEvent| link.up && link.inside.is_none() && !link.addresses.is_empty();
        let own = self.links.values().filter(is_hosts).filter(|link| !bridges.contains(link.point.as_str()));
        own.map(|link| link.point.clone()).collect()
    }

    /// Points inside a workload's namespace at which packets can be seen.
    pub(super) fn inside_points(&self, id: &WorkloadId) -> Vec<ObservationPoint> {
        let points = self.inside.get(id).into_iter().flatten();
        points.filter(|point| self.links.get(*point).is_some_and(|link| link.up)).cloned().collect()
    }

    /// The point inside a workload's namespace that has one of these addresses; any, when none is known.
    pub(super) fn inside_point(&self, id: &WorkloadId, addresses: &[IpAddr]) -> Option<ObservationPoint> {
        let has_one = |point: &ObservationPoint| {
            let link = self.links.get(point);
            link.is_some_and(|link| addresses.is_empty() || link.addresses.iter().any(|own| addresses.contains(own)))
        };
        self.inside_points(id).into_iter().find(has_one)
    }

    /// The link inside a workload's namespace that a point is.
    pub(super) fn link_inside(&self, point: &ObservationPoint) -> Option<&LinkEvent> {
        let some = !self.inside.is_empty();
        some.then(|| self.links.get(point)).flatten().filter(|link| link.inside.is_some())
    }

    pub(super) fn learn_host_mac(&mut self, point: &ObservationPoint, mac: Mac) -> bool {
        let room = self.learned.len() < MAX_LINKS || self.learned.contains_key(point);
        if room && !mac.is_multicast() {
            self.learned.insert(point.clone(), mac);
        }
        room
    }

    pub(super) fn host_mac(&self, point: &ObservationPoint) -> Option<Mac> {
        self.links
            .get(point)
            .filter(|link| link.inside.is_none())
            .and_then(|link| link.mac)
            .or_else(|| self.learned.get(point).copied())
    }

    pub(super) fn is_host(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.host.contains(&ip)
    }

    pub(super) fn by_bridge(&self, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.by_id.values().find(|network| network.bridge.as_deref() == Some(name))
    }

    pub(super) fn by_id_or_name(&self, id: &str, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.by_id.get(id).or_else(|| self.by_id.values().find(|network| network.name == name))
    }

    /// The network with the narrowest range that holds the address.
    pub(super) fn by_address(&self, ip: IpAddr) -> Option<&Arc<RuntimeNetwork>> {
        let ranges = self.by_id.values().flat_map(|network| network.subnets.iter().map(move |range| (range, network)));
        // max_by_key keeps the last of equals; reversed, that is the first in order of id.
        ranges.rev().filter(|(range, _)| range.contains(ip)).max_by_key(|(range, _)| range.prefix()).map(|(_, n)| n)
    }

    /// Whether nobody but a workload or the host can have this address: it lies in a bridge network.
    pub(super) fn is_inside(&self, ip: IpAddr) -> bool {
        self.by_address(ip).is_some_and(|network| is_bridged(network))
    }

    /// Whether a network has this address in a range that is not private.
    pub(super) fn is_in_public_range(&self, ip: IpAddr) -> bool {
        self.public.iter().any(|range| range.contains(ip))
    }

    /// Whether the address means everybody in a known IPv4 range.
    pub(super) fn is_directed_broadcast(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        self.by_id.values().flat_map(|network| &network.subnets).any(|range| match range {
            IpNetwork::V4(range) => range.prefix() < 31 && range.broadcast() == ip,
            IpNetwork::V6(_) => false,
        })
    }

    fn list_host(&mut self) {
        let gateways = self.by_id.values().filter(|network| is_bridged(network)).flat_map(|n| &n.gateways);
        let own = self.links.values().filter(|link| link.inside.is_none()).flat_map(|link| &link.addresses);
        let named = self.named.values().flatten();
        let ranges = self.by_id.values().flat_map(|network| &network.subnets);
        self.public = ranges.filter(|range| !is_private(range.ip())).copied().collect();
        self.host = gateways.chain(named).chain(own).map(IpAddr::to_canonical).collect();
    }
}

fn is_bridged(network: &RuntimeNetwork) -> bool {
    network.driver == "bridge" || network.bridge.is_some()
}

const fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}
