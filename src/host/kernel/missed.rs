//! What could not be seen, counted until it is reported.

use std::collections::BTreeMap;

use crate::input::{KernelFact, MissedKind};

/// Counts by kind since they were last reported.
#[derive(Debug, Default)]
pub(super) struct Missed(BTreeMap<MissedKind, u64>);

impl Missed {
    pub(super) fn add(&mut self, what: MissedKind, count: usize) {
        if count > 0 {
            let sum = self.0.entry(what).or_default();
            *sum = sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// As facts; counts from zero again.
    pub(super) fn take(&mut self) -> impl Iterator<Item = KernelFact> {
        std::mem::take(&mut self.0).into_iter().map(|(what, count)| KernelFact::Missed { what, count })
    }
}
