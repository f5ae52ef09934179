//! The flow table: flows by key, and what says which of them is due.
//!
//! Contract: at most as many flows as the meter allows; slots are reused.
//! Design: an index of slot numbers over two parallel arrays, so that a packet touches one line of the index and two of a hot
//! entry. Keys are hashed once, with a random seed, so that nobody can choose colliding addresses; the seed never reaches the
//! output: order comes from the timers and from sorting.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::index::{Index, NO_SLOT};
use super::key::FlowKey;
use super::state::{Cold, Hot, Mark};
use super::timers::{Due, Timers};
use crate::decode::Headers;
use crate::time::Timestamp;

/// The flow table.
#[derive(Debug)]
pub(super) struct Table {
    index: Index,
    seed: RandomState,
    hot: Vec<Hot>,
    cold: Vec<Cold>,
    free: Vec<u32>,
    timers: Timers,
}

impl Table {
    pub(super) fn new(timers: Timers) -> Self {
        Self {
            index: Index::new(),
            seed: RandomState::default(),
            hot: Vec::new(),
            cold: Vec::new(),
            free: Vec::new(),
            timers,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.index.len()
    }

    /// The upper half is better mixed than the lower.
    #[inline]
    pub(super) fn hash(&self, key: &FlowKey) -> u32 {
        (self.seed.hash_one(key) >> 32) as u32
    }

    /// Whether a flow is in the table.
    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.find(self.hash(key), key).is_some()
    }

    fn find(&self, hash: u32, key: &FlowKey) -> Option<u32> {
        self.index.find(hash, |slot| self.hot[slot as usize].key == *key)
    }

    /// Reads ahead where a search for this hash begins.
    #[inline]
    pub(super) fn read_index(&self, hash: u32) -> u32 {
        self.index.prefetch(hash)
    }

    /// The likely slot of a packet with this hash.
    #[inline]
    pub(super) fn likely(&self, hash: u32) -> u32 {
        self.index.find(hash, |_| true).unwrap_or(NO_SLOT)
    }

    /// Reads ahead what every packet of a flow touches.
    #[inline]
    pub(super) fn read_hot(&self, likely: u32) -> u32 {
        self.hot.get(likely as usize).map_or(0, Hot::prefetch)
    }

    /// Reads ahead the cold entry of a flow where it will likely be needed.
    #[inline]
    pub(super) fn read_cold(&self, likely: u32) -> u32 {
        if self.hot.get(likely as usize).is_some_and(|hot| hot.marks.has(Mark::Eventful)) {
            self.cold[likely as usize].prefetch()
        } else {
            0
        }
    }

    /// The slot of a flow; `likely` is where it was when the batch began.
    #[inline]
    pub(super) fn find_at(&self, likely: u32, hash: u32, key: &FlowKey) -> Option<u32> {
        // A slot that was given up since has no key.
        let is_there = self.hot.get(likely as usize).is_some_and(|hot| hot.key == *key);
        if is_there { Some(likely) } else { self.find(hash, key) }
    }

    /// Adds the flow of a packet, which is not in the table yet; the caller has made room.
    pub(super) fn insert(&mut self, key: FlowKey, hash: u32, from_low: bool, headers: &Headers, now: Timestamp) -> u32 {
        let hot = Hot::first(key, from_low, headers, now);
        let slot = if let Some(slot) = self.free.pop() {
            self.hot[slot as usize] = hot;
            self.cold[slot as usize] = Cold::first();
            slot
        } else {
            self.hot.push(hot);
            self.cold.push(Cold::first());
            u32::try_from(self.hot.len() - 1).unwrap_or(NO_SLOT)
        };
        self.index.insert(hash, slot);
        self.timers.arm_end(slot, &self.hot, now);
        slot
    }

    /// Removes a flow and its timers.
    pub(super) fn remove(&mut self, slot: u32) {
        self.index.remove(self.hash(&self.hot[slot as usize].key), slot);
        self.hot[slot as usize].vacate();
        self.timers.disarm_end(slot);
        self.timers.disarm_report(slot);
        self.free.push(slot);
    }

    /// The end of a flow came nearer.
    pub(super) fn arm_end(&mut self, slot: u32, now: Timestamp) {
        self.timers.arm_end(slot, &self.hot, now);
    }

    /// The next report of a flow came nearer, or there is a first one.
    pub(super) fn arm_report(&mut self, slot: u32, now: Timestamp) {
        self.timers.arm_report(slot, &self.hot, &self.cold, now);
    }

    /// What is due first, if it is due by `now`.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<(Timestamp, Due, u32)> {
        self.timers.next_due(now, &self.hot, &self.cold)
    }

    /// Nothing is due before this.
    pub(super) fn next_check(&self) -> Timestamp {
        self.timers.next_check()
    }

    /// The flow that would end first if no more packets came.
    pub(super) fn first_to_end(&mut self) -> Option<u32> {
        self.timers.first_to_end(&self.hot)
    }

    pub(super) fn hot(&self, slot: u32) -> &Hot {
        &self.hot[slot as usize]
    }

    pub(super) fn cold(&self, slot: u32) -> &Cold {
        &self.cold[slot as usize]
    }

    #[inline]
    pub(super) fn hot_mut(&mut self, slot: u32) -> &mut Hot {
        &mut self.hot[slot as usize]
    }

    #[inline]
    pub(super) fn entry(&mut self, slot: u32) -> (&mut Hot, &mut Cold) {
        (&mut self.hot[slot as usize], &mut self.cold[slot as usize])
    }

    /// No more packets: the flows with an open record by start, in order of (start, tuple). Flows cannot be found any more.
    pub(super) fn close(&mut self) -> Vec<(Timestamp, u32)> {
        // What is needed no more goes first, so that the list fits where it was.
        let mut flows = Vec::with_capacity(std::mem::replace(&mut self.index, Index::new()).len());
        self.timers = self.timers.emptied();
        let places = self.hot.iter().zip(&self.cold).zip(0_u32..);
        let open = places.filter(|((hot, _), _)| hot.marks.has(Mark::Open));
        flows.extend(open.map(|((_, cold), slot)| (cold.start, slot)));
        flows.sort_unstable_by(|(start, slot), (other_start, other)| {
            start.cmp(other_start).then_with(|| self.hot(*slot).tuple().cmp(&self.hot(*other).tuple()))
        });
        flows
    }

    /// Forgets every flow.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.timers.emptied());
    }
}
