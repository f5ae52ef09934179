//! When each hop was last seen, and what should have reached it since.
//!
//! Contract: a hop is seen when a flow reaches it or is proven to have passed it. Limits: as many as the configuration names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::input::ObservationPoint;
use crate::path::HopKind;
use crate::time::Timestamp;

/// What is remembered of a hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopRecord {
    /// Its kind.
    pub kind: HopKind,
    /// When a flow was last proven to have passed it.
    pub last_seen: Option<Timestamp>,
    /// Flows judged since, which should have passed it and were not seen to.
    pub missed: u64,
    /// Start of the first of those.
    pub missed_since: Option<Timestamp>,
    /// Its own observation points, as far as known: a loss there excuses its silence.
    pub points: BTreeSet<ObservationPoint>,
}

/// All hops of all contracts.
#[derive(Debug, Default)]
pub struct HopMemory {
    hops: BTreeMap<Arc<str>, HopRecord>,
}

impl HopMemory {
    /// A hop by its name in the configuration.
    pub fn get(&self, name: &str) -> Option<&HopRecord> {
        self.hops.get(name)
    }

    /// Every hop, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &HopRecord)> {
        self.hops.iter()
    }
}

#[cfg(test)]
impl HopMemory {
    /// Remembers this of a hop.
    pub fn put(&mut self, name: &str, record: HopRecord) {
        self.hops.insert(Arc::from(name), record);
    }
}
