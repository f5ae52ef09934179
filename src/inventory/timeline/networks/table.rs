//! The networks of the runtimes by id, name, bridge and range.
//!
//! Contract: of several networks with the same name, bridge or range the first in order of id answers. Design: an index for each question, so that a
//! flow costs the same whatever networks there are; ranges by length of their prefix, of which there are few.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::is_private;
use crate::input::RuntimeNetwork;

/// Networks that share something, by id.
type Sharing = BTreeMap<String, Arc<RuntimeNetwork>>;
type Index<K> = HashMap<K, Sharing, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
pub(super) struct Table {
    all: Sharing,
    names: Index<String>,
    bridges: Index<String>,
    /// By length of the prefix, the longest first, and the range's first address.
    ranges: BTreeMap<Reverse<u8>, Index<IpAddr>>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.all.get(id)
    }

    /// All, in order of id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<RuntimeNetwork>> {
        self.all.values()
    }

    /// A network as it is now; gives it as it was.
    pub(super) fn insert(&mut self, network: &Arc<RuntimeNetwork>) -> Option<Arc<RuntimeNetwork>> {
        let before = self.remove(&network.id);
        let share = |sharing: &mut Sharing| sharing.insert(network.id.clone(), Arc::clone(network));
        share(&mut self.all);
        share(self.names.entry(network.name.clone()).or_default());
        if let Some(bridge) = &network.bridge {
            share(self.bridges.entry(bridge.clone()).or_default());
        }
        for range in &network.subnets {
            let of_length = self.ranges.entry(Reverse(range.prefix())).or_default();
            share(of_length.entry(range.network()).or_default());
        }
        before
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<RuntimeNetwork>> {
        let network = self.all.remove(id)?;
        unshare(&mut self.names, &network.name, id);
        if let Some(bridge) = &network.bridge {
            unshare(&mut self.bridges, bridge, id);
        }
        for range in &network.subnets {
            let prefix = Reverse(range.prefix());
            if let Some(of_length) = self.ranges.get_mut(&prefix) {
                unshare(of_length, &range.network(), id);
                if of_length.is_empty() {
                    self.ranges.remove(&prefix);
                }
            }
        }
        Some(network)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        first(self.names.get(name))
    }

    pub(super) fn by_bridge(&self, bridge: &str) -> Option<&Arc<RuntimeNetwork>> {
        first(self.bridges.get(bridge))
    }

    /// The ranges that hold an address, the narrowest first, with the first network of each.
    pub(super) fn around(&self, ip: IpAddr) -> impl Iterator<Item = (IpNetwork, &Arc<RuntimeNetwork>)> {
        self.ranges.iter().filter_map(move |(Reverse(prefix), ranges)| {
            let range = IpNetwork::new(ip, *prefix).ok()?;
            Some((range, first(ranges.get(&range.network()))?))
        })
    }

    /// Whether a range that is not private holds an address.
    pub(super) fn is_in_public_range(&self, ip: IpAddr) -> bool {
        self.around(ip).any(|(range, _)| !is_private(range.network()))
    }

    /// Whether an address is the last one of a range.
    pub(super) fn is_broadcast(&self, ip: Ipv4Addr) -> bool {
        self.around(IpAddr::V4(ip)).any(|(range, _)| match range {
            IpNetwork::V4(range) => range.prefix() < 31 && range.broadcast() == ip,
            IpNetwork::V6(_) => false,
        })
    }
}

fn first(sharing: Option<&Sharing>) -> Option<&Arc<RuntimeNetwork>> {
    sharing?.first_key_value().map(|(_, network)| network)
}

fn unshare<K: std::hash::Hash + Eq + Clone>(index: &mut Index<K>, key: &K, id: &str) {
    if let Some(sharing) = index.get_mut(key) {
        sharing.remove(id);
        if sharing.is_empty() {
            index.remove(key);
        }
    }
}
