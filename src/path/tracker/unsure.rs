//! Conversations that fell silent, and of which it is not certain who began them.
//!
//! Contract: the meter keeps the originator of a conversation over its idle timeout (`src/flow/origins.rs`). Where that one was forged, or was not
//! certain, it is no more certain afterwards: the next record is read as the last one was. Limits: [`MAX_UNSURE`], as many as a meter remembers; the
//! oldest is forgotten first, and then the meter's word counts. Design: somebody who forges a question would else only have to wait until the flow is idle.

use std::collections::VecDeque;

use super::tracked_flow::TrackedFlow;
use crate::input::{FiveTuple, FlowRecord, Protocol};

/// Conversations remembered.
const MAX_UNSURE: usize = 1 << 15;

/// Why the originator is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unsure {
    is_forged: bool,
    number: u64,
}

/// What is remembered, by five-tuple without its direction.
#[derive(Debug, Default)]
pub(super) struct UnsureOrigins {
    by_tuple: hashbrown::HashMap<FiveTuple, Unsure, foldhash::fast::RandomState>,
    /// In the order in which they fell silent; what went on since is still here.
    order: VecDeque<(FiveTuple, u64)>,
    next: u64,
}

impl UnsureOrigins {
    /// A flow is over.
    pub(super) fn remember(&mut self, tracked: &TrackedFlow) {
        let oriented = tracked.judged.as_ref().map(|judged| &judged.oriented);
        let is_turned = oriented.is_some_and(|oriented| !oriented.forward);
        let is_forged = tracked.forged || (is_turned && tracked.tuple.protocol != Protocol::TCP);
        if !is_forged && !is_turned && oriented.is_none_or(|oriented| oriented.certain) {
            return;
        }
        while self.order.len() >= MAX_UNSURE
            && let Some((oldest, number)) = self.order.pop_front()
        {
            if self.by_tuple.get(&oldest).is_some_and(|known| known.number == number) {
                self.by_tuple.remove(&oldest);
            }
        }
        let (tuple, number) = (tracked.tuple.canonical(), self.next);
        self.next += 1;
        self.by_tuple.insert(tuple, Unsure { is_forged, number });
        self.order.push_back((tuple, number));
    }

    /// A flow begins: what was not certain of the conversation that it goes on with is not certain of it either.
    pub(super) fn remind(&mut self, tracked: &mut TrackedFlow, record: &FlowRecord) {
        if self.by_tuple.is_empty() || !record.rare.as_ref().is_some_and(|rare| rare.remembered) {
            return;
        }
        if let Some(unsure) = self.by_tuple.remove(&tracked.tuple.canonical()) {
            tracked.unsure = true;
            tracked.forged |= unsure.is_forged;
        }
    }
}
