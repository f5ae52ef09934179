//! Packets in the order in which they came, in blocks that are given back as a whole.
//!
//! Contract: a slab never holds more than its bytes, nor all slabs together more than their [`RingMemory`]; the oldest packets go first.
//! Limits: a packet of more than [`MAX_PACKET`] bytes is cut. Design: blocks of [`BLOCK`] bytes; where no memory is left a slab fills its own
//! oldest block anew, so that a busy point takes nothing from a quiet one, and one that is quiet gives its blocks back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::flow::Frame;
use crate::time::Timestamp;

/// Bytes of packets in a block.
pub(super) const BLOCK: usize = 64 << 10;
/// Packets in a block: of fewer bytes than these on average, a block holds less.
const RECORDS: usize = BLOCK / 64;
/// What a block counts.
pub(super) const BLOCK_COST: usize = BLOCK + RECORDS * size_of::<Record>();
/// Bytes of one packet.
pub(super) const MAX_PACKET: usize = 16 << 10;

/// What all rings may hold together.
#[derive(Debug)]
pub struct RingMemory {
    limit: usize,
    used: AtomicUsize,
}

impl RingMemory {
    /// So many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes that rings hold now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>) -> Option<Share> {
        let before = self.used.fetch_add(BLOCK_COST, Ordering::Relaxed);
        let share = Share(Arc::clone(self));
        // Dropped, it gives back what was taken.
        (before + BLOCK_COST <= self.limit).then_some(share)
    }
}

/// The memory of one block.
#[derive(Debug)]
struct Share(Arc<RingMemory>);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.used.fetch_sub(BLOCK_COST, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    at: Timestamp,
    sequence: u64,
    wire_len: u32,
    /// Where its bytes end in the block; they begin where the one before ends.
    end: u32,
}

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    records: Vec<Record>,
    _share: Share,
}

impl Block {
    fn has_room_for(&self, packets: usize, bytes: usize) -> bool {
        self.records.len() + packets <= RECORDS && self.bytes.len() + bytes <= BLOCK
    }

    /// The first bytes of packets.
    #[inline]
    fn extend(&mut self, sequence: u64, frames: &[Frame<'_>], snap: usize) {
        let Self { bytes, records, .. } = self;
        records.extend(frames.iter().zip(sequence..).map(|(Frame { at, wire_len, data }, sequence)| {
            bytes.extend_from_slice(data.get(..snap).unwrap_or(data));
            let end = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            Record { at: *at, sequence, wire_len: *wire_len, end }
        }));
    }

    fn packets(&self) -> impl DoubleEndedIterator<Item = Seen<'_>> {
        let start = |index: usize| {
            index.checked_sub(1).and_then(|before| self.records.get(before)).map_or(0, |record| record.end)
        };
        self.records.iter().enumerate().map(move |(index, record)| Seen {
            at: record.at,
            sequence: record.sequence,
            wire_len: record.wire_len,
            data: self.bytes.get(start(index) as usize..record.end as usize).unwrap_or_default(),
        })
    }
}

/// A packet in a slab.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) at: Timestamp,
    pub(super) sequence: u64,
    pub(super) wire_len: u32,
    pub(super) data: &'a [u8],
}

/// A packet that was copied out of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPacket {
    /// When it was captured.
    pub at: Timestamp,
    /// Its place among all packets of its ring.
    pub sequence: u64,
    /// Its length on the wire.
    pub wire_len: u32,
    /// One of the first of its flow: kept as it was captured.
    pub first: bool,
    /// What is kept of it.
    pub data: Vec<u8>,
}

impl KeptPacket {
    pub(super) fn of(seen: &Seen<'_>, first: bool) -> Self {
        Self { at: seen.at, sequence: seen.sequence, wire_len: seen.wire_len, first, data: seen.data.to_vec() }
    }
}

/// Recent packets.
#[derive(Debug)]
pub(super) struct Slab {
    most: usize,
    memory: Arc<RingMemory>,
    blocks: VecDeque<Block>,
    /// When the latest packet that is not here any more was captured.
    forgotten: Option<Timestamp>,
}

impl Slab {
    pub(super) const fn new(most: usize, memory: Arc<RingMemory>) -> Self {
        Self { most, memory, blocks: VecDeque::new(), forgotten: None }
    }

    /// Keeps the first `snap` bytes of packets that came one after the other.
    pub(super) fn extend(&mut self, sequence: u64, frames: &[Frame<'_>], snap: usize) {
        match self.blocks.back_mut() {
            Some(block) if block.has_room_for(frames.len(), frames.len().saturating_mul(snap)) => {
                block.extend(sequence, frames, snap);
            }
            _ => frames.iter().zip(sequence..).for_each(|(frame, sequence)| self.push(sequence, frame, snap)),
        }
    }

    /// Keeps the first `snap` bytes of a packet, unless there is no memory for even one block.
    pub(super) fn push(&mut self, sequence: u64, frame: &Frame<'_>, snap: usize) {
        let snap = snap.min(MAX_PACKET);
        if !self.blocks.back().is_some_and(|block| block.has_room_for(1, frame.data.len().min(snap))) {
            self.begin_block();
        }
        match self.blocks.back_mut() {
            Some(block) => block.extend(sequence, std::slice::from_ref(frame), snap),
            None => self.forgotten = Some(frame.at),
        }
    }

    fn begin_block(&mut self) {
        let is_full = (self.blocks.len() + 1) * BLOCK_COST > self.most.max(BLOCK_COST);
        let share = if is_full { None } else { self.memory.take() };
        let block = match share {
            Some(share) => {
                Some(Block { bytes: Vec::with_capacity(BLOCK), records: Vec::with_capacity(RECORDS), _share: share })
            }
            None => self.blocks.pop_front().map(|mut oldest| {
                self.forgotten = oldest.records.last().map(|record| record.at).max(self.forgotten);
                oldest.bytes.clear();
                oldest.records.clear();
                oldest
            }),
        };
        self.blocks.extend(block);
    }

    /// Gives blocks back of which every packet is older.
    pub(super) fn expire(&mut self, before: Timestamp) {
        while let Some(block) = self.blocks.front()
            && block.records.last().is_none_or(|record| record.at < before)
        {
            self.forgotten = block.records.last().map(|record| record.at).max(self.forgotten);
            self.blocks.pop_front();
        }
    }

    /// When the latest packet that is not here any more was captured; `None` where all are.
    pub(super) const fn forgotten(&self) -> Option<Timestamp> {
        self.forgotten
    }

    /// Whether it holds no packet.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All, oldest first.
    pub(super) fn packets(&self) -> impl DoubleEndedIterator<Item = Seen<'_>> {
        self.blocks.iter().flat_map(Block::packets)
    }
}
