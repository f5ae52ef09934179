//! Pairs of legs that carry as many bytes in all directions: one may be chance, several of different sizes are a relay before an echo.
//!
//! Limits: [`MAX_WORKLOADS`]; beyond, the one that was counted first is forgotten. Only sizes of the last [`WITHIN`] count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// In the order in which counting began; one that is not counted any more, or counted anew, stays until it is first.
    order: VecDeque<(Timestamp, WorkloadId)>,
    /// Workloads that made room for others.
    pub(super) forgotten: u64,
}

impl Echoes {
    /// Counts a pair; all sizes in words once they are enough.
    pub(super) fn count(&mut self, workload: &WorkloadId, bytes: u64, at: Timestamp) -> Option<String> {
        if self.of.get(workload).is_none_or(|counted| at.since(counted.from) > WITHIN) {
            self.begin(workload, at);
        }
        let sizes = &mut self.of.get_mut(workload)?.sizes;
        sizes.insert(bytes);
        if sizes.len() < ENOUGH {
            return None;
        }
        let sizes: Vec<String> = self.of.remove(workload)?.sizes.iter().map(u64::to_string).collect();
        Some(format!(
            "{ENOUGH} conversations of {} bytes each way came in and went out alike, and began and ended together",
            sizes.join(", ")
        ))
    }

    fn begin(&mut self, workload: &WorkloadId, at: Timestamp) {
        self.of.insert(workload.clone(), Counted { from: at, sizes: BTreeSet::new() });
        self.order.push_back((at, workload.clone()));
        while self.order.len() > MAX_WORKLOADS {
            let Some((from, oldest)) = self.order.pop_front() else { return };
            if self.of.get(&oldest).is_some_and(|counted| counted.from == from) {
                self.of.remove(&oldest);
                self.forgotten += 1;
            }
        }
    }
}
