//! The flow table: flows by key, and the queues that say what is due.
//!
//! Contract: at most as many flows as the meter allows; slots are reused. Every queue is in the order of its deadlines.
//! Design: an index of slot numbers (hashbrown, foldhash with a random seed, keys hashed once) over two parallel arrays, so
//! that a packet touches the index, one hot entry and its links. The seed never reaches the output: order comes from queues.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::key::FlowKey;
use super::queue::Queue;
use super::state::{Cold, Hot};

/// The flow table.
#[derive(Debug)]
pub(super) struct Table {
    index: HashTable<u32>,
    seed: RandomState,
    hot: Vec<Hot>,
    cold: Vec<Cold>,
    free: Vec<u32>,
    /// Flows whose connection goes on, by last packet.
    pub(super) idle: Queue,
    /// Flows whose TCP connection has ended, by last packet.
    pub(super) closed: Queue,
    /// Open records, by start.
    pub(super) active: Queue,
    /// Open records reported within the last update interval, by that report.
    pub(super) reported: Queue,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            index: HashTable::new(),
            seed: RandomState::default(),
            hot: Vec::new(),
            cold: Vec::new(),
            free: Vec::new(),
            idle: Queue::new(),
            closed: Queue::new(),
            active: Queue::new(),
            reported: Queue::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn hash(&self, key: &FlowKey) -> u64 {
        self.seed.hash_one(key)
    }

    pub(super) fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        self.index.find(hash, |slot| self.hot[*slot as usize].key == *key).copied()
    }

    /// Adds a flow that is not in the table yet; the caller has made room.
    pub(super) fn insert(&mut self, hot: Hot, cold: Cold) -> u32 {
        let hash = hot.hash;
        let slot = if let Some(slot) = self.free.pop() {
            self.hot[slot as usize] = hot;
            self.cold[slot as usize] = cold;
            slot
        } else {
            let slot = u32::try_from(self.hot.len()).unwrap_or(u32::MAX);
            self.hot.push(hot);
            self.cold.push(cold);
            slot
        };
        let entries = &self.hot;
        self.index.insert_unique(hash, slot, |slot| entries[*slot as usize].hash);
        slot
    }

    /// Removes a flow and takes it out of all queues.
    pub(super) fn remove(&mut self, slot: u32) {
        if let Ok(entry) = self.index.find_entry(self.hot[slot as usize].hash, |other| *other == slot) {
            entry.remove();
            self.free.push(slot);
        }
        for queue in [&mut self.idle, &mut self.closed, &mut self.active, &mut self.reported] {
            queue.remove(slot);
        }
    }

    pub(super) fn hot(&self, slot: u32) -> &Hot {
        &self.hot[slot as usize]
    }

    pub(super) fn cold(&self, slot: u32) -> &Cold {
        &self.cold[slot as usize]
    }

    pub(super) fn entry(&mut self, slot: u32) -> (&mut Hot, &mut Cold) {
        (&mut self.hot[slot as usize], &mut self.cold[slot as usize])
    }

    /// The flows with an open record, in order of (start, tuple).
    pub(super) fn open_by_start(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.index.iter().copied().filter(|slot| self.hot(*slot).open).collect();
        slots.sort_unstable_by_key(|slot| (self.cold(*slot).start, self.cold(*slot).tuple));
        slots
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}
