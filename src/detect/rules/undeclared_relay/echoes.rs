//! Pairs of legs that carry as many bytes in all directions: one may be chance, several of different sizes are a relay before an echo.
//!
//! Limits: [`MAX_WORKLOADS`]; beyond, the one that was counted first is forgotten. Only sizes of the last [`WITHIN`] count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::input::WorkloadId;
use crate::time::Timestamp;

/// Workloads whose sizes are remembered.
pub(super) const MAX_WORKLOADS: usize = 4096;
/// Different sizes that are no chance.
const ENOUGH: usize = 3;
/// How long sizes are counted together.
const WITHIN: Duration = Duration::from_mins(10);

/// What was counted of a workload.
#[derive(Debug)]
struct Counted {
    from: Timestamp,
    sizes: BTreeSet<u64>,
}

/// Sizes of each workload's pairs.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    of: BTreeMap<WorkloadId, Counted>,
    /// Workloads that made room for others.
    pub(super) forgotten: u64,
}

impl Echoes {
    /// Counts a pair; all sizes in words once they are enough.
    pub(super) fn count(&mut self, workload: &WorkloadId, bytes: u64, at: Timestamp) -> Option<String> {
        if self.of.len() >= MAX_WORKLOADS && !self.of.contains_key(workload) {
            self.forget_oldest();
        }
        let new = || Counted { from: at, sizes: BTreeSet::new() };
        let counted = self.of.entry(workload.clone()).or_insert_with(new);
        if at.since(counted.from) > WITHIN {
            *counted = new();
        }
        counted.sizes.insert(bytes);
        if counted.sizes.len() < ENOUGH {
            return None;
        }
        let sizes: Vec<String> = self.of.remove(workload)?.sizes.iter().map(u64::to_string).collect();
        Some(format!(
            "{ENOUGH} conversations of {} bytes each way came in and went out alike, and began and ended together",
            sizes.join(", ")
        ))
    }

    fn forget_oldest(&mut self) {
        let oldest = self.of.iter().min_by_key(|(_, counted)| counted.from).map(|(id, _)| id.clone());
        self.forgotten += u64::from(oldest.and_then(|id| self.of.remove(&id)).is_some());
    }
}
