//! The flows that wait for their judgement, by what they wait for.
//!
//! Contract: finds every waiting flow that shows one of some traces, in order of id. Limits: those of the followed flows; lists of what no longer
//! waits are dropped when they outweigh the rest. Design: most flows are judged before any fact comes, so a flow is listed only once one
//! comes while it waits.

use std::collections::BTreeSet;

use super::tracked_flow::TrackedFlow;
use crate::input::{FiveTuple, FlowId, NatBinding};
use crate::inventory::Trace;

/// More entries than so many a waiting flow, and this many, are cleaned up.
const ENTRIES_EACH: usize = 32;
const ENTRIES: usize = 4096;

/// Flows without a judgement.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    ids: hashbrown::HashSet<FlowId, foldhash::fast::RandomState>,
    /// Those that are not listed yet as they are now.
    unlisted: Vec<FlowId>,
    by_trace: hashbrown::HashMap<Trace, Vec<FlowId>, foldhash::fast::RandomState>,
    entries: usize,
}

impl Waiting {
    pub(super) fn insert(&mut self, id: FlowId) {
        self.ids.insert(id);
        self.note(id);
    }

    /// What a waiting flow shows has changed.
    pub(super) fn note(&mut self, id: FlowId) {
        if self.unlisted.last() == Some(&id) {
            return;
        }
        if self.unlisted.len() >= 2 * self.ids.len() + ENTRIES {
            self.unlisted.retain(|id| self.ids.contains(id));
            self.unlisted.sort_unstable();
            self.unlisted.dedup();
        }
        self.unlisted.push(id);
    }

    /// Whether it was waiting.
    pub(super) fn remove(&mut self, id: FlowId) -> bool {
        self.ids.remove(&id)
    }

    pub(super) fn contains(&self, id: FlowId) -> bool {
        self.ids.contains(&id)
    }

    /// Every waiting flow, in order of id.
    pub(super) fn all(&self) -> Vec<FlowId> {
        let mut all: Vec<FlowId> = self.ids.iter().copied().collect();
        all.sort_unstable();
        all
    }

    /// The waiting flows that show one of these traces, in order of id; `traces_of` answers what a flow shows.
    pub(super) fn showing(
        &mut self,
        touched: &BTreeSet<Trace>,
        traces_of: impl Fn(FlowId) -> Option<BTreeSet<Trace>>,
    ) -> BTreeSet<FlowId> {
        if touched.is_empty() {
            return BTreeSet::new();
        }
        if self.entries > ENTRIES_EACH * self.ids.len() + ENTRIES {
            self.by_trace.clear();
            self.entries = 0;
            self.unlisted = self.all();
        }
        for id in std::mem::take(&mut self.unlisted) {
            if self.ids.contains(&id) {
                self.list(id, traces_of(id).unwrap_or_default());
            }
        }
        let lists = touched.iter().filter_map(|trace| self.by_trace.get(trace));
        lists.flatten().copied().filter(|id| self.ids.contains(id)).collect()
    }

    fn list(&mut self, id: FlowId, traces: BTreeSet<Trace>) {
        for trace in traces {
            let list = self.by_trace.entry(trace).or_default();
            if list.last() != Some(&id) {
                list.push(id);
                self.entries += 1;
            }
        }
    }
}

/// What a flow shows of its ends and of its way.
pub(super) fn traces_of(tracked: &TrackedFlow, binding: Option<&NatBinding>) -> BTreeSet<Trace> {
    let tuples = binding.into_iter().flat_map(NatBinding::tuples).chain([tracked.tuple]);
    let addresses = tuples.flat_map(|tuple| [tuple.orig.ip, tuple.resp.ip]);
    let mut traces: BTreeSet<Trace> = addresses.map(|ip| Trace::Address(ip.to_canonical())).collect();
    let FiveTuple { protocol, orig, resp } = tracked.tuple;
    traces.extend([orig.port, resp.port].map(|port| Trace::Port(protocol, port)));
    traces.insert(Trace::Point(tracked.point.clone()));
    for sighting in tracked.observed.iter().flat_map(|observed| &observed.sightings) {
        let frames = sighting.frames(true).chain(sighting.frames(false));
        traces.extend(frames.flat_map(|frames| [frames.from, frames.to]).flatten().map(Trace::Mac));
        traces.insert(Trace::Point(sighting.point.clone()));
    }
    traces
}
