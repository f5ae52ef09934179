//! What wakes the thread of a sink.
//!
//! Contract: something was added, the run ends, or another thread takes its place; a ring is never missed. Design: a counter and two marks behind a lock.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::sync;

/// Wakes the workers: something was added, or the run ends.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct BellState {
    /// How often something was added.
    added: u64,
    stopping: bool,
    retired: bool,
}

impl Bell {
    /// Something was added.
    pub fn added(&self) {
        let mut state = sync::lock(&self.state);
        state.added = state.added.wrapping_add(1);
        drop(state);
        self.rung.notify_all();
    }

    /// What is due is tried once more, then the workers end.
    pub fn stop(&self) {
        sync::lock(&self.state).stopping = true;
        self.rung.notify_all();
    }

    /// The worker ends within its current attempt: another one takes its place.
    pub fn retire(&self) {
        sync::lock(&self.state).retired = true;
        self.rung.notify_all();
    }

    /// Whether the run ends.
    pub(super) fn is_stopping(&self) -> bool {
        sync::lock(&self.state).stopping
    }

    /// Whether another worker takes the place of this one.
    pub(super) fn is_retired(&self) -> bool {
        sync::lock(&self.state).retired
    }

    /// Waits; whether the worker should end meanwhile.
    pub fn ends_within(&self, most: Duration) -> bool {
        let state = sync::lock(&self.state);
        let goes_on = |state: &mut BellState| !state.stopping && !state.retired;
        let waited = self.rung.wait_timeout_while(state, most, goes_on);
        waited.is_ok_and(|(_, over)| !over.timed_out())
    }

    /// Until something is added after `seen`, the run ends, or the time is over. Returns what was seen.
    pub(super) fn wait(&self, seen: u64, most: Duration) -> u64 {
        let state = sync::lock(&self.state);
        let is_quiet = |state: &mut BellState| state.added == seen && !state.stopping && !state.retired;
        let waited = self.rung.wait_timeout_while(state, most, is_quiet);
        waited.map_or(seen, |(state, _)| state.added)
    }
}
