//! When each hop was last seen, what should have reached it since, and over which address family contracts were kept.
//!
//! Contract: a hop is seen when a flow is proven to have passed it. Limits: as many hops as the configuration names; [`MAX_KEPT`] workloads
//! whose kept contracts are remembered, beyond which all are forgotten and counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::input::{ObservationPoint, WorkloadId};
use crate::path::{Contract, Family, Hop, HopKind};
use crate::time::Timestamp;

const MAX_KEPT: usize = 65_536;
/// Points of one hop.
const MAX_POINTS: usize = 64;

/// What is remembered of a hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopRecord {
    /// Its kind.
    pub kind: HopKind,
    /// When a flow was last proven to have passed it.
    pub last_seen: Option<Timestamp>,
    /// Its own observation points, as far as known: a loss there excuses its silence. At most [`MAX_POINTS`].
    pub points: BTreeSet<ObservationPoint>,
    /// Flows judged since, which should have passed it and were not seen to.
    pub missed: u64,
    /// Start of the first of those.
    pub missed_since: Option<Timestamp>,
}

/// Where the names of a contract and of a workload lie.
type Places = (usize, usize, Family);

/// All hops of all contracts.
#[derive(Debug, Default)]
pub struct HopMemory {
    hops: BTreeMap<Arc<str>, HopRecord>,
    at_interfaces: Vec<Arc<Hop>>,
    kept: HashSet<(Arc<str>, WorkloadId, Family), foldhash::fast::RandomState>,
    /// What is in `kept`, by the places in memory of both names, which the entry keeps occupied: a flow asks by those of the one before.
    kept_by_place: hashbrown::HashMap<Places, (Arc<str>, WorkloadId), foldhash::fast::RandomState>,
    forgotten: u64,
}

impl HopMemory {
    /// The hops of these contracts, none of which was seen.
    pub fn new<'a>(contracts: impl Iterator<Item = &'a Contract> + Clone) -> Self {
        let hops = contracts.flat_map(Contract::hops);
        let at_interfaces = hops.clone().filter(|hop| !hop.interfaces.is_empty()).cloned().collect();
        let hops = hops.map(|hop| (Arc::from(hop.name.as_str()), HopRecord { kind: hop.kind, ..HopRecord::default() }));
        Self { hops: hops.collect(), at_interfaces, ..Self::default() }
    }

    /// Takes over other contracts. A hop that is the same as before keeps what is remembered of it; `observed` are the points that are seen now.
    pub(in crate::path) fn reconfigure<'a, 'p>(
        &mut self,
        contracts: impl Iterator<Item = &'a Contract> + Clone,
        is_same: impl Fn(&str) -> bool,
        observed: impl Iterator<Item = &'p ObservationPoint>,
    ) {
        let mut before = std::mem::replace(self, Self::new(contracts));
        for (name, hop) in self.hops.iter_mut().filter(|(name, _)| is_same(name)) {
            if let Some(known) = before.hops.remove(name) {
                *hop = known;
            }
        }
        observed.for_each(|point| self.observe(point));
        (self.kept, self.forgotten) = (before.kept, before.forgotten);
    }

    /// A hop by its name in the configuration.
    pub fn get(&self, name: &str) -> Option<&HopRecord> {
        self.hops.get(name)
    }

    /// Every hop, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &HopRecord)> {
        self.hops.iter()
    }

    /// A point is observed: it may be a hop's.
    pub fn observe(&mut self, point: &ObservationPoint) {
        for hop in self.at_interfaces.iter().filter(|hop| hop.is_interface(point)) {
            if let Some(known) = self.hops.get_mut(hop.name.as_str()).filter(|known| known.points.len() < MAX_POINTS) {
                known.points.insert(point.clone());
            }
        }
    }

    /// A flow was proven to have passed it.
    pub(in crate::path) fn seen(&mut self, name: &str, at: Timestamp) {
        if let Some(hop) = self.hops.get_mut(name) {
            hop.last_seen = hop.last_seen.max(Some(at));
            (hop.missed, hop.missed_since) = (0, None);
        }
    }

    /// A flow that began then should have passed it, and did not.
    pub(in crate::path) fn missed(&mut self, name: &str, start: Timestamp) {
        if let Some(hop) = self.hops.get_mut(name) {
            hop.missed += 1;
            hop.missed_since.get_or_insert(start);
        }
    }

    /// A workload kept a contract over an address family.
    pub(in crate::path) fn kept(&mut self, contract: &Arc<str>, workload: &WorkloadId, family: Family) {
        let places = (contract.as_ptr().addr(), workload.as_str().as_ptr().addr(), family);
        if self.kept_by_place.contains_key(&places) {
            return;
        }
        let key = (Arc::clone(contract), workload.clone(), family);
        let is_full = self.kept.len() >= MAX_KEPT && !self.kept.contains(&key);
        if is_full {
            self.forgotten += self.kept.len() as u64;
            self.kept.clear();
        }
        // The same id may lie at several places in memory.
        if is_full || self.kept_by_place.len() >= MAX_KEPT {
            self.kept_by_place.clear();
        }
        self.kept_by_place.insert(places, (Arc::clone(contract), workload.clone()));
        self.kept.insert(key);
    }

    /// Kept contracts forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Whether a workload was seen to keep a contract over an address family.
    pub fn has_kept(&self, contract: &Arc<str>, workload: &WorkloadId, family: Family) -> bool {
        !self.kept.is_empty() && self.kept.contains(&(Arc::clone(contract), workload.clone(), family))
    }
}
