//! Flows that have ended and wait for what other points saw of them, while their five-tuple is in use again.
//!
//! Contract: a report of an ended flow belongs to it, and not to the flow that has its five-tuple now. Limits: [`MAX_ASIDE`] a five-tuple; the
//! oldest is judged as it stands. Design: a process that opens a connection from the same port right after the end of another one would else cut short the
//! comparison of what its points saw.

use std::collections::HashMap;

use super::key::TrailKey;
use super::{Step, Tracker};
use crate::input::{FlowId, FlowRecord};
use crate::path::JudgeContext;
use crate::time::Timestamp;

/// Ended flows of one five-tuple.
const MAX_ASIDE: usize = 4;

/// Sequences of the flows that were put aside, by the key that they had.
pub(super) type Aside = HashMap<TrailKey, Vec<u64>, foldhash::fast::RandomState>;

impl Tracker {
    /// Makes room for a new flow with the key of an ended one, which keeps waiting under a key of its own.
    pub(super) fn put_aside(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        let Some(key) = self.flows.of(id).map(|tracked| tracked.key) else { return };
        let known = self.aside.get(&key);
        if let Some(oldest) = known.filter(|all| all.len() >= MAX_ASIDE).and_then(|all| all.first())
            && let Some(oldest) = self.flows.get(&key.aside(*oldest)).map(|tracked| tracked.id)
        {
            self.end(context, oldest, now, step);
        }
        let Some(sequence) = self.flows.get(&key).map(|tracked| tracked.sequence) else { return };
        let aside = key.aside(sequence);
        let Some(tracked) = self.flows.rename(&key, aside) else { return };
        for twin in &tracked.twins {
            self.twins.insert(*twin, aside);
        }
        self.aside.entry(key).or_default().push(sequence);
    }

    /// The key of the flow that was put aside and that this record belongs to.
    pub(super) fn aside_of(&self, key: TrailKey, record: &FlowRecord) -> Option<TrailKey> {
        let aside = self.aside.get(&key.in_use())?.iter().map(|sequence| key.in_use().aside(*sequence));
        aside.into_iter().find(|key| self.flows.get(key).is_some_and(|tracked| tracked.knows(record)))
    }

    /// A flow that was put aside is forgotten.
    pub(super) fn forget_aside(&mut self, key: TrailKey) {
        let Some(sequence) = key.sequence else { return };
        let is_empty = self.aside.get_mut(&key.in_use()).is_some_and(|all| {
            all.retain(|known| *known != sequence);
            all.is_empty()
        });
        if is_empty {
            self.aside.remove(&key.in_use());
        }
    }
}
