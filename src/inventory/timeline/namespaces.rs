//! Which addresses, MACs and host-side interfaces were in which network namespace, as the kernel showed it, over time.
//!
//! Contract: a namespace goes by a number of its own, since inodes come back; what is seen in it at the first look was there before, from then
//! on each change counts from its look. Who was in the namespace then is for [`super::lifecycles`] to say. Limits: [`MAX_NAMESPACES`],
//! [`MAX_INSIDE`] a namespace, [`MAX_CLOSED`] past ones; beyond, newcomers are refused, the oldest past forgotten, both counted.
//! Design: loopback and link-local addresses mean something else in each namespace, so they are no keys.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::index::late_at;
use super::is_no_host;
use super::key::{ChangedKeys, Key};
use crate::input::{InsideInterface, NamespaceView, NetnsId, ObservationPoint, WorkloadId};
use crate::time::Timestamp;

const MAX_NAMESPACES: usize = 32_768;
/// Addresses, MACs and interfaces of one namespace: a pod has four, a router some dozen.
const MAX_INSIDE: usize = 256;
/// Past ones, of all namespaces.
const MAX_CLOSED: usize = 131_072;

/// Something was in a namespace for a time.
#[derive(Debug)]
pub(super) struct Inside {
    /// In which.
    pub(super) ns: u64,
    /// The interface that has it.
    pub(super) interface: Arc<InsideInterface>,
    /// When it was seen first.
    pub(super) seen: Timestamp,
    /// It was there at the first look at its namespace: then it was there before.
    pub(super) before: bool,
    until: Option<Timestamp>,
}

impl Inside {
    /// Whether it may have been there; what was seen after that time needs more proof.
    pub(super) fn covers(&self, at: Timestamp) -> bool {
        (self.before || self.seen <= at) && self.until.is_none_or(|until| at < until)
    }

    pub(super) fn late_at(&self, at: Timestamp) -> Option<Timestamp> {
        late_at(self.until, at)
    }
}

#[derive(Debug)]
struct Current {
    ns: u64,
    shown: bool,
    workloads: Vec<WorkloadId>,
    keys: BTreeMap<Key, Arc<InsideInterface>>,
}

#[derive(Debug, Default)]
pub(super) struct Namespaces {
    current: HashMap<NetnsId, Current>,
    by_number: HashMap<u64, NetnsId>,
    host: Option<u64>,
    last: u64,
    inside: HashMap<Key, VecDeque<Inside>, foldhash::fast::RandomState>,
    /// What may be elsewhere now.
    pub(super) changed: ChangedKeys,
    /// What is past, in the order of its end.
    closed: VecDeque<(Timestamp, Key)>,
    refused: u64,
}

impl Namespaces {
    /// The number of a namespace as it is now; `None` when there is no room for it.
    pub(super) fn number(&mut self, netns: NetnsId) -> Option<u64> {
        if let Some(current) = self.current.get(&netns) {
            return Some(current.ns);
        }
        if self.current.len() >= MAX_NAMESPACES {
            self.refused += 1;
            return None;
        }
        self.last += 1;
        self.by_number.insert(self.last, netns);
        self.current
            .insert(netns, Current { ns: self.last, shown: false, workloads: Vec::new(), keys: BTreeMap::new() });
        Some(self.last)
    }

    /// The number of a namespace that was reported.
    pub(super) fn known(&self, netns: NetnsId) -> Option<u64> {
        self.current.get(&netns).map(|current| current.ns)
    }

    /// The host's own namespace.
    pub(super) const fn host(&self) -> Option<u64> {
        self.host
    }

    /// Namespaces, and things in them, for which there was no room.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// A namespace as it is now; its number, if there was room.
    pub(super) fn apply(&mut self, at: Timestamp, view: &NamespaceView) -> Option<u64> {
        let ns = self.number(view.netns)?;
        if view.host && self.host != Some(ns) {
            self.host = Some(ns);
            self.changed.note_everything();
        }
        self.changed.note(&Key::Home(ns));
        let keys = self.keys_of(view);
        let current = self.current.get_mut(&view.netns)?;
        let before = !std::mem::replace(&mut current.shown, true);
        current.workloads.clone_from(&view.workloads);
        let old = std::mem::replace(&mut current.keys, keys.clone());
        for key in old.keys().filter(|key| !keys.contains_key(key)) {
            self.close(ns, key, at);
        }
        for (key, interface) in keys {
            if old.contains_key(&key) {
                self.refresh(ns, &key, &interface);
            } else {
                let inside = Inside { ns, interface, seen: at, before, until: None };
                self.changed.note(&key);
                self.inside.entry(key).or_default().push_back(inside);
            }
        }
        Some(ns)
    }

    /// Whether none of those who were in a namespace is there now: then it has gone between two looks, and its inode come back.
    pub(super) fn is_another(&self, view: &NamespaceView) -> bool {
        self.current.get(&view.netns).is_some_and(|current| {
            let both = !view.host && !current.workloads.is_empty() && !view.workloads.is_empty();
            both && current.workloads.iter().all(|id| !view.workloads.contains(id))
        })
    }

    /// A namespace is gone; its number, if it was known.
    pub(super) fn gone(&mut self, at: Timestamp, netns: NetnsId) -> Option<u64> {
        let current = self.current.remove(&netns)?;
        self.by_number.remove(&current.ns);
        for key in current.keys.keys() {
            self.close(current.ns, key, at);
        }
        if self.host == Some(current.ns) {
            self.host = None;
            self.changed.note_everything();
        }
        Some(current.ns)
    }

    /// Forgets what ended before a time, and the oldest when that is too much.
    pub(super) fn forget(&mut self, horizon: Timestamp) {
        while let Some((ended, _)) = self.closed.front() {
            let full = self.closed.len() > MAX_CLOSED;
            if *ended >= horizon && !full {
                return;
            }
            self.refused += u64::from(*ended >= horizon);
            let Some((_, key)) = self.closed.pop_front() else { return };
            let Some(spans) = self.inside.get_mut(&key) else { continue };
            self.changed.note(&key);
            if let Some(oldest) = spans.iter().position(|span| span.until.is_some()) {
                spans.remove(oldest);
            }
            if spans.is_empty() {
                self.inside.remove(&key);
            }
        }
    }

    /// What is in a namespace now.
    pub(super) fn keys_in(&self, ns: u64) -> impl Iterator<Item = &Key> {
        let current = self.by_number.get(&ns).and_then(|netns| self.current.get(netns));
        current.into_iter().flat_map(|current| current.keys.keys())
    }

    /// Whether nothing was reported for any key.
    pub(super) fn shows_nothing(&self) -> bool {
        self.inside.is_empty()
    }

    /// Everything that was reported for a key, the newest first.
    pub(super) fn at(&self, key: &Key) -> impl Iterator<Item = &Inside> {
        let spans = self.inside.get(key);
        spans.into_iter().flat_map(|spans| spans.iter().rev())
    }

    fn close(&mut self, ns: u64, key: &Key, at: Timestamp) {
        let Some(spans) = self.inside.get_mut(key) else { return };
        self.changed.note(key);
        for span in spans.iter_mut().filter(|span| span.ns == ns && span.until.is_none()) {
            span.until = Some(at);
            self.closed.push_back((at, key.clone()));
        }
    }

    fn refresh(&mut self, ns: u64, key: &Key, interface: &Arc<InsideInterface>) {
        let spans = self.inside.get_mut(key).into_iter().flatten();
        for span in spans.filter(|span| span.ns == ns && span.until.is_none()) {
            span.interface = Arc::clone(interface);
        }
    }

    fn keys_of(&mut self, view: &NamespaceView) -> BTreeMap<Key, Arc<InsideInterface>> {
        let mut keys = BTreeMap::new();
        for interface in view.interfaces.iter().filter(|interface| interface.name != "lo") {
            let shared = Arc::new(interface.clone());
            for key in Key::inside(interface) {
                if keys.len() >= MAX_INSIDE && !keys.contains_key(&key) {
                    self.refused += 1;
                    continue;
                }
                keys.entry(key).or_insert_with(|| Arc::clone(&shared));
            }
        }
        keys
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.inside.values().map(VecDeque::len).sum()
    }
}

impl Key {
    /// Everything that an interface inside a namespace brings to it. The parent of a macvlan is not its own, the peer of a veth is.
    fn inside(interface: &InsideInterface) -> impl Iterator<Item = Self> + '_ {
        let own = |ip: &std::net::IpAddr| !ip.is_loopback() && !is_no_host(*ip);
        let addresses = interface.addresses.iter().map(std::net::IpAddr::to_canonical).filter(own).map(Self::Ip);
        let mac = interface.mac.filter(|mac| !mac.is_multicast() && mac.0 != [0; 6]).map(Self::Mac);
        let peer = interface.host_interface.as_deref().filter(|_| interface.kind == "veth");
        addresses.chain(mac).chain(peer.map(|name| Self::Veth(ObservationPoint::new(name))))
    }
}
