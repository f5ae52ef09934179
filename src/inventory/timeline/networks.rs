//! The networks of the runtimes and the host's own interfaces: which addresses are the host's, which are nobody's yet.
//!
//! Contract: gateways of bridge networks (as the network or its workloads name them) and addresses reported by links are the host's; a bridge network's range is inside.
//! A macvlan's gateway is a router outside, and its range is shared with strangers: neither counts. Limits:
//! [`MAX_NETWORKS`], [`MAX_LINKS`]; beyond, newcomers are refused and counted (a link that is down makes room first).
//! Design: [`table`] finds a network by what a flow shows of it; how many give an address to the host is counted, so that a change touches its own only.

mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use self::table::Table;
use crate::input::{Attachment, LinkEvent, Mac, ObservationPoint, RuntimeNetwork, WorkloadId};

/// Docker's default address pools hold 31 networks; a host with more than this many has other problems.
const MAX_NETWORKS: usize = 4096;
/// One a running container, and the bridges.
const MAX_LINKS: usize = 32_768;
/// Of one network; it has one an address family.
const MAX_GATEWAYS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Networks {
    table: Table,
    links: BTreeMap<ObservationPoint, LinkEvent>,
    learned: BTreeMap<ObservationPoint, Mac>,
    /// Points inside the namespaces of workloads.
    inside: BTreeMap<WorkloadId, BTreeSet<ObservationPoint>>,
    /// Gateways that workloads named; Docker's networks leave theirs out when only a range was asked for.
    named: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The host's addresses, and how many networks, workloads and links say so.
    host: HashMap<IpAddr, usize, foldhash::fast::RandomState>,
}

impl Networks {
    /// A network as it is now; false when there was no room for it.
    pub(super) fn apply(&mut self, network: &Arc<RuntimeNetwork>) -> bool {
        let room = self.table.len() < MAX_NETWORKS || self.table.get(&network.id).is_some();
        if room {
            let before = self.table.insert(network);
            self.are_hosts(before.iter().flat_map(|before| gateways(before)), false);
            self.are_hosts(gateways(network), true);
        }
        room
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(network) = self.table.remove(id) {
            let named = self.named.remove(id).unwrap_or_default();
            self.are_hosts(gateways(&network).chain(&named), false);
        }
    }

    /// Notes the gateways that an attachment names, if its network is known as a bridge.
    pub(super) fn apply_gateways(&mut self, attachment: &Attachment) {
        let network = self.by_id_or_name(&attachment.network_id, &attachment.network);
        let Some(id) = network.filter(|network| is_bridged(network)).map(|network| network.id.clone()) else { return };
        let named = self.named.entry(id).or_default();
        for gateway in attachment.gateways.iter().map(IpAddr::to_canonical) {
            if named.len() < MAX_GATEWAYS && named.insert(gateway) {
                *self.host.entry(gateway).or_default() += 1;
            }
        }
    }

    /// A link as it is now; false when there was no room for it. What a vanished link had is remembered until it returns.
    pub(super) fn apply_link(&mut self, link: &LinkEvent) -> bool {
        if let Some(known) = self.links.get_mut(&link.point) {
            known.up = link.up;
            if link.up {
                let mac = link.mac.or(known.mac);
                let before = std::mem::replace(known, LinkEvent { mac, ..link.clone() });
                self.are_hosts(own_addresses(&before), false);
                self.are_hosts(own_addresses(link), true);
                self.is_not_inside(&link.point, before.inside.as_ref());
            }
        } else if self.links.len() < MAX_LINKS || self.drop_one_down() {
            self.links.insert(link.point.clone(), link.clone());
            self.are_hosts(own_addresses(link), true);
        } else {
            return false;
        }
        if let Some(id) = link.inside.as_ref().filter(|_| link.up) {
            self.inside.entry(id.clone()).or_default().insert(link.point.clone());
        }
        true
    }

    /// Forgets a link that is down; false when all are up.
    fn drop_one_down(&mut self) -> bool {
        let Some(down) = self.links.values().find(|known| !known.up).map(|known| known.point.clone()) else {
            return false;
        };
        self.learned.remove(&down);
        if let Some(link) = self.links.remove(&down) {
            self.are_hosts(own_addresses(&link), false);
            self.is_not_inside(&down, link.inside.as_ref());
        }
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
        let bridges: BTreeSet<&str> = self.table.iter().filter_map(|network| network.bridge.as_deref()).collect();
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
        ip.is_loopback() || self.host.contains_key(&ip)
    }

    /// These addresses are, or are no longer, the host's, as far as one source says.
    fn are_hosts<'a>(&mut self, addresses: impl Iterator<Item = &'a IpAddr>, are: bool) {
        for ip in addresses.map(IpAddr::to_canonical) {
            let sources = self.host.entry(ip).or_default();
            *sources = if are { *sources + 1 } else { sources.saturating_sub(1) };
            if *sources == 0 {
                self.host.remove(&ip);
            }
        }
    }

    pub(super) fn by_bridge(&self, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.table.by_bridge(name)
    }

    pub(super) fn by_id_or_name(&self, id: &str, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.table.get(id).or_else(|| self.table.by_name(name))
    }

    /// The network with the narrowest range that holds the address.
    pub(super) fn by_address(&self, ip: IpAddr) -> Option<&Arc<RuntimeNetwork>> {
        self.table.around(ip).next().map(|(_, network)| network)
    }

    /// Whether nobody but a workload or the host can have this address: it lies in a bridge network.
    pub(super) fn is_inside(&self, ip: IpAddr) -> bool {
        self.by_address(ip).is_some_and(|network| is_bridged(network))
    }

    /// Whether a network has this address in a range that is not private.
    pub(super) fn is_in_public_range(&self, ip: IpAddr) -> bool {
        self.table.is_in_public_range(ip)
    }

    /// Whether the address means everybody in a known IPv4 range.
    pub(super) fn is_directed_broadcast(&self, ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(ip) if self.table.is_broadcast(ip))
    }
}

/// The addresses that a network gives to the host.
fn gateways(network: &RuntimeNetwork) -> impl Iterator<Item = &IpAddr> {
    network.gateways.iter().filter(|_| is_bridged(network))
}

/// The addresses that the host has on a link.
fn own_addresses(link: &LinkEvent) -> impl Iterator<Item = &IpAddr> {
    link.addresses.iter().filter(|_| link.inside.is_none())
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
