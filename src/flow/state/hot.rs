//! What every packet of a flow touches.
//!
//! Contract: two cache lines. Design: counters keep the lower halves only; every four gigabytes a carry goes to [`Cold`](super::Cold).

use super::{LowCounters, is_syn};
use crate::decode::{Headers, TcpHeader};
use crate::flow::direction::Direction;
use crate::flow::key::FlowKey;
use crate::flow::limits::BEGINNING;
use crate::flow::payload::PayloadBudget;
use crate::flow::tcp::TcpState;
use crate::input::{FiveTuple, FlowEventKind, tcp_flags};
use crate::time::Timestamp;

/// A yes or no of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Mark {
    /// The originator is the low end of the key.
    OrigIsLow = 1,
    /// TCP has ended: RST, or FIN from both, or FIN from the only one that was seen.
    Closed = 2,
    /// A record is open.
    Open = 4,
    /// The responder has answered in this record.
    Answered = 8,
    /// Packets came since the last event.
    Dirty = 16,
    /// Started or updated within the last update interval.
    Recent = 32,
    /// The last packet needed the TCP history in the cold entry, and so will the next one.
    Eventful = 64,
    /// The record has [`Extras`].
    Extras = 128,
}

/// The marks of a flow, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::flow) struct Marks(u8);

impl Marks {
    #[inline]
    pub(in crate::flow) const fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    #[inline]
    pub(in crate::flow) const fn set(&mut self, mark: Mark) {
        self.0 |= mark as u8;
    }

    #[inline]
    pub(in crate::flow) const fn clear(&mut self, mark: Mark) {
        self.0 &= !(mark as u8);
    }
}

/// What every packet touches: two cache lines, in this order.
#[derive(Debug)]
#[repr(C, align(64))]
pub(in crate::flow) struct Hot {
    pub(in crate::flow) key: FlowKey,
    /// The meter's clock at the last packet.
    pub(in crate::flow) last: Timestamp,
    /// Tags of the link addresses that each direction's packets came with first; 0 before.
    pub(super) links: [u32; 2],
    /// How many nanoseconds the latest packet time of the record is before `last`; [`Self::FAR`] where [`Extras`] has it.
    pub(super) lag: u32,
    /// TCP flags by direction, of all records.
    pub(super) flags: [u8; 2],
    pub(in crate::flow) marks: Marks,
    /// Which payload is wanted.
    pub(in crate::flow) budget: PayloadBudget,
    pub(super) counters: [LowCounters; 2],
    pub(super) tcp: TcpState,
}

const _: () = assert!(size_of::<Hot>() == 128 && std::mem::offset_of!(Hot, counters) == 64);

impl Hot {
    /// The latest packet time is more than four seconds behind the clock.
    pub(super) const FAR: u32 = u32::MAX;

    /// Of a flow whose first packet this is, at the meter's clock; its record is not open yet.
    pub(in crate::flow) fn first(key: FlowKey, from_low: bool, headers: &Headers, now: Timestamp) -> Self {
        let handshake = tcp_flags::SYN | tcp_flags::ACK;
        let is_syn_ack = headers.tcp_flags().is_some_and(|flags| flags & (handshake | tcp_flags::RST) == handshake);
        let mut marks = Marks::default();
        if from_low != is_syn_ack {
            marks.set(Mark::OrigIsLow);
        }
        Self {
            key,
            last: now,
            links: [0; 2],
            lag: 0,
            flags: [0; 2],
            marks,
            budget: PayloadBudget::new(headers),
            counters: [LowCounters::default(); 2],
            tcp: TcpState::default(),
        }
    }

    /// The place is free.
    pub(in crate::flow) const fn vacate(&mut self) {
        self.key = FlowKey::NONE;
        self.marks = Marks(0);
    }

    /// Who sent a packet of this flow.
    pub(in crate::flow) const fn direction(&self, from_low: bool) -> Direction {
        if from_low == self.marks.has(Mark::OrigIsLow) { Direction::Orig } else { Direction::Resp }
    }

    /// Originator to responder.
    pub(in crate::flow) fn tuple(&self) -> FiveTuple {
        let tuple = self.key.tuple();
        if self.marks.has(Mark::OrigIsLow) { tuple } else { tuple.reversed() }
    }

    /// Counts a packet; true when a counter's lower half overflowed (see [`Cold::carry`](super::Cold::carry)).
    #[inline]
    pub(in crate::flow) fn count(&mut self, direction: Direction, wire_len: u32, headers: &Headers) -> bool {
        let mut carried = false;
        let counters = &mut self.counters[direction.index()];
        for (counter, more) in counters.iter_mut().zip([1, wire_len, headers.ip_bytes, headers.payload_bytes]) {
            let (sum, overflowed) = counter.overflowing_add(more);
            *counter = sum;
            carried |= overflowed;
        }
        self.marks.set(Mark::Dirty);
        carried
    }

    /// Whether a packet, not counted yet, is the first payload after a pause. What only keeps a connection alive says nothing: in TCP a byte that was sent
    /// before, else a single one.
    #[inline]
    pub(in crate::flow) fn is_resumed_by(&self, direction: Direction, headers: &Headers, now: Timestamp) -> bool {
        self.last.plus(FlowEventKind::PAUSE) <= now && self.speaks_again(direction, headers)
    }

    #[cold]
    fn speaks_again(&self, direction: Direction, headers: &Headers) -> bool {
        let [.., payload_bytes] = self.counters[direction.index()];
        let is_new = match &headers.tcp {
            Some(tcp) => self.tcp.brings_new(direction == Direction::Resp, tcp, headers.payload_bytes),
            None => headers.payload_bytes > 1,
        };
        headers.payload_bytes > 0 && payload_bytes > 0 && is_new
    }

    /// What a packet says of the connection.
    #[inline]
    pub(in crate::flow) fn opening(&self, from_low: bool, headers: &Headers) -> Opening {
        match headers.tcp {
            Some(tcp) if tcp.flags & tcp_flags::SYN != 0 => self.opening_by_syn(from_low, &tcp),
            _ => Opening::None,
        }
    }

    #[cold]
    fn opening_by_syn(&self, from_low: bool, tcp: &TcpHeader) -> Opening {
        if tcp.flags & (tcp_flags::RST | tcp_flags::FIN) != 0 {
            return Opening::None;
        }
        let from_orig = self.direction(from_low) == Direction::Orig;
        if is_syn(tcp.flags) && (self.marks.has(Mark::Closed) || from_orig && self.tcp.is_reuse(tcp)) {
            return Opening::Another;
        }
        if self.tcp.turns(!from_orig, tcp) { Opening::Turned } else { Opening::None }
    }

    /// Sets who is the originator, before the first record.
    pub(in crate::flow) const fn set_origin(&mut self, is_low: bool) {
        if is_low {
            self.marks.set(Mark::OrigIsLow);
        } else {
            self.marks.clear(Mark::OrigIsLow);
        }
    }

    /// Whether both ends took part, as far as its marks and flags say.
    pub(in crate::flow) const fn is_two_sided(&self) -> bool {
        self.marks.has(Mark::Answered) || (self.flags[0] != 0 && self.flags[1] != 0)
    }

    /// Whether a packet went over other link addresses than the first of its direction in this record.
    #[inline]
    pub(in crate::flow) const fn is_other_link(&self, direction: Direction, tag: u32) -> bool {
        self.links[direction.index()] != tag
    }

    /// Notes the flags of a packet; true when it ended the TCP connection.
    #[inline]
    pub(super) fn see_flags(&mut self, direction: Direction, flags: u8) -> bool {
        self.flags[direction.index()] |= flags;
        if flags & (tcp_flags::FIN | tcp_flags::RST) == 0 || self.marks.has(Mark::Closed) {
            return false;
        }
        let other = self.flags[1 - direction.index()];
        let ended = flags & tcp_flags::RST != 0 || other & tcp_flags::FIN != 0 || other == 0;
        if ended {
            self.marks.set(Mark::Closed);
        }
        ended
    }

    /// Reads a word of each of its cache lines.
    #[inline]
    pub(in crate::flow) const fn prefetch(&self) -> u32 {
        self.lag ^ self.counters[0][0]
    }

    /// Whether the latest packet is one of the first of this record.
    #[inline]
    pub(in crate::flow) const fn is_beginning(&self) -> bool {
        self.counters[0][0].wrapping_add(self.counters[1][0]) <= BEGINNING
    }

    /// Whether a direction has had one packet so far, in this record.
    #[inline]
    pub(in crate::flow) const fn is_first_of(&self, direction: Direction) -> bool {
        self.counters[direction.index()][0] == 1
    }
}

/// What a packet says of the connection that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Opening {
    /// Nothing new.
    None,
    /// It is the first of another one: a SYN after the end, or the originator's with a new number.
    Another,
    /// The responder is the one who asked ([`TcpState::turns`]).
    Turned,
}
