//! What can be owned, and which of it was changed.
//!
//! Limits: [`MAX_TOUCHED`] changed keys between two looks; beyond, everything counts as changed.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::input::{Mac, NetworkMode, ObservationPoint, Workload, WorkloadId};

/// Changed keys, and what flows show of them.
pub(super) const MAX_TOUCHED: usize = 4096;

/// What can be owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// An address.
    Ip(IpAddr),
    /// A MAC.
    Mac(Mac),
    /// A host-side veth.
    Veth(ObservationPoint),
    /// A place in the host's network namespace, according to the runtime.
    HostNetwork,
    /// A place in the namespace of another workload, according to the runtime.
    Joined(WorkloadId),
    /// A place in the namespace with this number, according to the kernel: its first process is there.
    Home(u64),
    /// Another of its processes is in the namespace with this number, according to the kernel.
    Stray(u64),
}

/// Addresses and MACs in one word: whose they are is asked some twenty times of each flow.
impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Ip(IpAddr::V4(ip)) => state.write_u64(u64::from(ip.to_bits())),
            Self::Ip(IpAddr::V6(ip)) => state.write_u128(ip.to_bits()),
            Self::Mac(mac) => mac.hash(state),
            Self::Veth(point) => point.hash(state),
            Self::HostNetwork => state.write_u64(u64::MAX),
            Self::Joined(id) => id.hash(state),
            Self::Home(number) => (0_u8, number).hash(state),
            Self::Stray(number) => (1_u8, number).hash(state),
        }
    }
}

impl Key {
    /// Everything that the runtime says a workload owns: addresses only when its networks are its own.
    pub(super) fn of(workload: &Workload) -> impl Iterator<Item = Self> + '_ {
        let own = workload.network_mode == NetworkMode::Own;
        let membership = match &workload.network_mode {
            NetworkMode::Host => Some(Self::HostNetwork),
            NetworkMode::Container(other) => Some(Self::Joined(other.clone())),
            NetworkMode::Own | NetworkMode::None | NetworkMode::Rootless(_) => None,
        };
        let attached = workload.attachments.iter().filter(move |_| own).flat_map(|attachment| {
            let addresses = attachment.addresses.iter().map(|ip| Self::Ip(ip.to_canonical()));
            let mac = attachment.mac.filter(|mac| !mac.is_multicast()).map(Self::Mac);
            let veth = attachment.host_interface.as_deref().map(|name| Self::Veth(ObservationPoint::new(name)));
            addresses.chain(mac).chain(veth)
        });
        attached.chain(membership)
    }
}

/// Keys of the indexes as they are changed.
#[derive(Debug, Default)]
pub(super) struct ChangedKeys {
    pub(super) keys: BTreeSet<Key>,
    pub(super) everything: bool,
}

impl ChangedKeys {
    pub(super) fn note(&mut self, key: &Key) {
        if self.everything || self.keys.contains(key) {
            return;
        }
        if self.keys.len() >= MAX_TOUCHED {
            return self.note_everything();
        }
        self.keys.insert(key.clone());
    }

    pub(super) fn note_everything(&mut self) {
        self.everything = true;
        self.keys.clear();
    }
}
