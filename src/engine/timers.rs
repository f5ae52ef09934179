//! Deadlines in event time.
//!
//! Contract: they come out in (deadline, order of setting). Limits: as many as the flows and alerts that set them.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// Things to do at a time.
#[derive(Debug)]
pub(super) struct Timers<T> {
    due: BTreeMap<(Timestamp, u64), T>,
    sequence: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), sequence: 0 }
    }
}

impl<T> Timers<T> {
    /// Come back to `what` at `at`.
    pub(super) fn set(&mut self, at: Timestamp, what: T) {
        self.due.insert((at, self.sequence), what);
        self.sequence += 1;
    }

    /// When the first thing is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The first thing that is due at or before `until`.
    pub(super) fn pop_due(&mut self, until: Timestamp) -> Option<(Timestamp, T)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= until)?;
        let ((at, _), what) = entry.remove_entry();
        Some((at, what))
    }
}
