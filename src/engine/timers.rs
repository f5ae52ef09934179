//! Deadlines in event time.
//!
//! Contract: they come out in (deadline, order of setting). Limits: as many as the flows and alerts that set them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::time::Timestamp;

/// Things to do at a time.
#[derive(Debug)]
pub(super) struct Timers<T> {
    due: BinaryHeap<Due<T>>,
    sequence: u64,
}

/// The earlier is the greater: it comes out first.
#[derive(Debug)]
struct Due<T> {
    at: Timestamp,
    sequence: u64,
    what: T,
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl<T> Eq for Due<T> {}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { due: BinaryHeap::new(), sequence: 0 }
    }
}

impl<T> Timers<T> {
    /// Come back to `what` at `at`.
    pub(super) fn set(&mut self, at: Timestamp, what: T) {
        self.due.push(Due { at, sequence: self.sequence, what });
        self.sequence += 1;
    }

    /// When the first thing is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.peek().map(|due| due.at)
    }

    /// The first thing that is due at or before `until`.
    pub(super) fn pop_due(&mut self, until: Timestamp) -> Option<(Timestamp, T)> {
        self.due.peek().filter(|due| due.at <= until)?;
        self.due.pop().map(|due| (due.at, due.what))
    }
}
